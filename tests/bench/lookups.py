"""Labelled look-ups through the product: `resolve - --json`, with upstream off and with a list.

    PYTHONPATH=tests .venv/bin/python tests/bench/lookups.py --data FILE --registry FILE
        [--shuffle N] [--json]

`--data` has one JSON object a line: `query`, `kind` and `expected_id` (null: any id is wrong).
`--registry` is a JSON list of libraries with `name`, `id`, `aliases` and `eco`; a seed file is made
of it. The upstream of the second mode lists the registry's libraries whose names share a word with
the look-up, and others up to five. Ids are compared as they are written.

Each mode runs on a new home, in the file's order or shuffled by the seed N; then upstream lists
again, and is switched off, on the home as it is left, so that one look-up can influence the next. A
name-like look-up has to find its library in every run, and at most 0.1 in 1,000 may print a wrong
id.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.harness import Report, run
from support import lookups as labelled
from support.lookups import NAME_LIKE, Case, is_wrong

MOST_WRONG = 0.1  # wrong ids in 1,000 look-ups
SECONDS = 3600
FILE = {"type": Path, "required": True}


@dataclass(frozen=True)
class Run:
    """All look-ups in one process, with the id that each found (None: none)."""

    mode: str
    found: Sequence[tuple[Case, str | None]]

    def counts(self, kinds: Iterable[str]) -> tuple[int, int, int]:
        """Return the number of look-ups of `kinds`, of right ones, and of wrong ones."""
        found = [(case, each) for case, each in self.found if case.kind in kinds]
        right = sum(each == case.expected_id is not None for case, each in found)
        wrong = sum(is_wrong(case, {"library_id": each}) for case, each in found)
        return len(found), right, wrong


def measure(options: argparse.Namespace) -> Report:
    cases, known = labelled.read_cases(options.data), labelled.read_registry(options.registry)
    where = f"{len(cases):,} look-ups ({options.data.name}) against {len(known)} libraries"
    report = Report("Labelled look-ups", [where])
    runs = _runs(cases, options.registry, options.shuffle)
    _add_kinds(report, cases, runs)
    table = report.table("", "run", "name-like right", "wrong", "wrong in 1,000")
    for each in runs:
        _add_run(report, each)
        names, right, _wrong = each.counts(NAME_LIKE)
        total, _right, wrong = each.counts({case.kind for case in cases})
        share = f"{right / max(1, names):.2%}"
        table.add_row(each.mode, share, str(wrong), f"{1000 * wrong / total:.2f}")
    return report


def _runs(cases: Sequence[Case], registry: Path, shuffle: int | None) -> list[Run]:
    known = labelled.read_registry(registry)
    with tempfile.TemporaryDirectory() as name, labelled.word_upstream(known) as upstream:
        folder = Path(name)
        (folder / "seed.yaml").write_text(labelled.seed_text(known), "utf-8")
        modes = {"listed": upstream.url, "listed, again": upstream.url, "off, after listed": "off"}

        def chain(home: str, chosen: Mapping[str, str]) -> list[Run]:
            return [_run(cases, shuffle, folder / home, *mode) for mode in chosen.items()]

        with ThreadPoolExecutor() as pool:
            off = pool.submit(chain, "off", {"off": "off"})
            listed = pool.submit(chain, "listed", modes)
            return [*off.result(), *listed.result()]


def _run(cases: Sequence[Case], shuffle: int | None, home: Path, mode: str, upstream: str) -> Run:
    order = [*cases]
    if shuffle is not None:
        random.Random(shuffle).shuffle(order)  # noqa: S311  # an order, no secret
    answers = labelled.look_up(order, home, home.with_name("seed.yaml"), upstream, SECONDS)
    found = [(case, each["library_id"]) for case, each in zip(order, answers, strict=True)]
    name = "as in the file" if shuffle is None else f"shuffled {shuffle}"
    return Run(f"{mode}, {name}", found)


def _add_kinds(report: Report, cases: Sequence[Case], runs: Sequence[Run]) -> None:
    kinds = {case.kind: (case.kind,) for case in cases}
    others = tuple(kind for kind in kinds if kind not in NAME_LIKE)
    groups = {**kinds, "name-like": NAME_LIKE, "others": others, "all": tuple(kinds)}
    heads = (head for each in runs for head in (f"{each.mode}: right", "wrong"))
    table = report.table("", "kind", "look-ups", *heads)
    for group, members in groups.items():
        counts = [each.counts(members) for each in runs]
        if counts[0][0]:
            cells = (f"{count:,}" for _, *pair in counts for count in pair)
            table.add_row(group, f"{counts[0][0]:,}", *cells)


def _add_run(report: Report, each: Run) -> None:
    missed = [case for case, found in each.found if labelled.is_missed(case, {"library_id": found})]
    text = f"name-like look-up without its library: {each.mode}"
    report.none(text, (repr(case.query) for case in missed))
    wrong = [pair for pair in each.found if is_wrong(pair[0], {"library_id": pair[1]})]
    text = f"wrong ids in 1,000 look-ups: {each.mode}"
    report.at_most(text, 1000 * len(wrong) / len(each.found), MOST_WRONG)
    report.remarks += [f"{case.query!r} ({case.kind}) is {found}" for case, found in wrong]


if __name__ == "__main__":
    sys.exit(run(__doc__, measure, data=FILE, registry=FILE, shuffle={"type": int}))
