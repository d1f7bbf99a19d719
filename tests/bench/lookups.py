"""Labelled look-ups through the product: `resolve - --json`, with upstream off and with a list.

    PYTHONPATH=tests .venv/bin/python tests/bench/lookups.py --data FILE --registry FILE
        [--shuffle N] [--json]

`--data` has one JSON object a line: `query`, `kind` and `expected_id` (null: any id is wrong).
`--registry` is a JSON list of libraries with `name`, `id`, `aliases` and `eco`; a seed file is made
of it. The upstream of the second mode lists the registry's libraries whose names share a word with
the look-up, and others up to five. Ids are compared as they are written.

Each mode runs on a new home, in the file's order or shuffled by the seed N; then upstream lists
again, and is switched off, on the home as it is left: what one look-up leaves behind is there for
the next. Exit code 1 when a name-like look-up does not find its library in one of the runs, or more
than 0.1 in 1,000 print a wrong id.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.machine import machine
from support.lookups import (
    NAME_LIKE,
    Case,
    is_missed,
    is_wrong,
    look_up,
    read_cases,
    read_registry,
    seed_text,
    word_upstream,
)

MOST_WRONG = 0.1
"""Wrong ids in 1,000 look-ups."""

SECONDS = 3600


@dataclass(frozen=True)
class Run:
    """All look-ups in one process; `found` has the ids in the order of the file."""

    mode: str
    order: str
    found: list[str | None]


def main() -> int:
    """Measure, print, and say by the exit code whether the claims hold."""
    parser = argparse.ArgumentParser(description="Measure which library look-ups find.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--registry", type=Path, required=True)
    parser.add_argument("--shuffle", type=int)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    where, cases = machine(), read_cases(arguments.data)
    runs = _runs(cases, arguments.registry, arguments.shuffle)
    broken = [line for run in runs for line in _broken(cases, run)]
    if arguments.json:
        told = {f"{run.mode}, {run.order}": _plain(cases, run) for run in runs}
        print(json.dumps({"machine": where, "broken": broken, "runs": told}))
    else:
        known = len(read_registry(arguments.registry))
        print(where)
        print(f"{len(cases):,} look-ups ({arguments.data.name}) against {known} libraries\n")
        print(*_table(cases, runs), "", *_list_of(cases, runs), sep="\n")
        print(*(broken or ["All claims hold."]), sep="\n")
    return 1 if broken else 0


def _runs(cases: Sequence[Case], registry: Path, order: int | None) -> list[Run]:
    known = read_registry(registry)
    with tempfile.TemporaryDirectory() as name, word_upstream(known) as upstream:
        folder = Path(name)
        (folder / "seed.yaml").write_text(seed_text(known), "utf-8")
        modes = {"listed": upstream.url, "listed, again": upstream.url, "off, after listed": "off"}

        def chain(home: str, chosen: Mapping[str, str]) -> list[Run]:
            return [_run(cases, order, folder / home, mode) for mode in chosen.items()]

        with ThreadPoolExecutor() as pool:
            off = pool.submit(chain, "off", {"off": "off"})
            listed = pool.submit(chain, "listed", modes)
            return [*off.result(), *listed.result()]


def _run(cases: Sequence[Case], order: int | None, home: Path, mode: tuple[str, str]) -> Run:
    places = list(range(len(cases)))
    if order is not None:
        random.Random(order).shuffle(places)  # noqa: S311  # an order, no secret
    seed = home.with_name("seed.yaml")
    told = look_up([cases[place] for place in places], home, seed, mode[1], SECONDS)
    found = {place: each["library_id"] for place, each in zip(places, told, strict=True)}
    name = "as in the file" if order is None else f"shuffled {order}"
    return Run(mode[0], name, [found[place] for place in range(len(cases))])


def _counts(cases: Sequence[Case], run: Run, kinds: Iterable[str]) -> tuple[int, int, int]:
    """Return how many look-ups of `kinds` there are, and how many went right and wrong."""
    pairs = [
        (case, {"library_id": found})
        for case, found in zip(cases, run.found, strict=True)
        if case.kind in kinds
    ]
    wrong = sum(is_wrong(case, told) for case, told in pairs)
    right = sum(told["library_id"] == case.expected_id is not None for case, told in pairs)
    return len(pairs), right, wrong


def _groups(cases: Sequence[Case]) -> dict[str, tuple[str, ...]]:
    kinds = {case.kind: (case.kind,) for case in cases}
    rest = tuple(kind for kind in kinds if kind not in NAME_LIKE)
    return {**kinds, "name-like": NAME_LIKE, "others": rest, "all": tuple(kinds)}


def _table(cases: Sequence[Case], runs: Sequence[Run]) -> Iterator[str]:
    """Yield a table of the runs, by kind."""
    yield " " * 32 + "".join(f"{run.mode:>20}" for run in runs)
    yield f"{'kind':22} {'look-ups':>8} " + "        right  wrong" * len(runs)
    for group, kinds in _groups(cases).items():
        counts = [_counts(cases, run, kinds) for run in runs]
        cells = "".join(f"{right:13,}{wrong:7,}" for _, right, wrong in counts)
        if counts[0][0]:
            yield f"{group:22} {counts[0][0]:8,} {cells}"


def _list_of(cases: Sequence[Case], runs: Sequence[Run]) -> Iterator[str]:
    yield f"{'run':36} {'name-like right':>15} {'wrong':>6} {'wrong/k':>8}"
    for run in runs:
        names, right, _ = _counts(cases, run, NAME_LIKE)
        total, _, wrong = _counts(cases, run, _groups(cases)["all"])
        yield (
            f"{f'{run.mode}, {run.order}':36} {right / max(1, names):15.2%} {wrong:6}"
            f" {1000 * wrong / total:8.2f}"
        )


def _broken(cases: Sequence[Case], run: Run) -> list[str]:
    where = f"{run.mode}, {run.order}"
    pairs = [(case, {"library_id": found}) for case, found in zip(cases, run.found, strict=True)]
    missed = [case for case, told in pairs if is_missed(case, told)]
    wrong = [(case, told["library_id"]) for case, told in pairs if is_wrong(case, told)]
    broken = [f"CLAIM BROKEN ({where}): {each.query!r} is not found" for each in missed]
    if 1000 * len(wrong) > MOST_WRONG * len(cases):
        broken += [
            f"CLAIM BROKEN ({where}): {case.query!r} ({case.kind}) is {found}"
            for case, found in wrong
        ]
    return broken


def _plain(cases: Sequence[Case], run: Run) -> dict[str, object]:
    scores = {}
    for group, kinds in _groups(cases).items():
        number, right, wrong = _counts(cases, run, kinds)
        scores[group] = {"look_ups": number, "right": right, "wrong": wrong}
    return {"scores": scores}


if __name__ == "__main__":
    sys.exit(main())
