"""Labelled look-ups through the product: `resolve - --json`, with upstream off and with a list.

    PYTHONPATH=tests .venv/bin/python tests/bench/lookups.py --data FILE --registry FILE [--json]

`--data` has one JSON object a line: `query`, `kind` and `expected_id` (null: any id is wrong).
`--registry` is a JSON list of libraries with `name`, `id`, `aliases` and `eco`; a seed file is made
of it. The upstream of the second mode lists the registry's libraries whose names share a word with
the look-up, and others up to five. Ids are compared as they are written.

Each mode runs in the file's order and shuffled, each time on a new home; then in the homes as they
are left, so that what one look-up leaves behind is there for the next. Exit code 1 when a name-like
look-up does not find its library in one of the runs, or more than 0.1 in 1,000 print a wrong id.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
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

ORDERS = (None, 1)
"""Seeds of the orders that are tried; None is the file's own."""

SECONDS = 1800


@dataclass(frozen=True)
class Run:
    """All look-ups in one process; `found` has the ids in the order of the file."""

    mode: str
    order: str
    found: list[str | None]
    seconds: float


def main() -> int:
    """Measure, print, and say by the exit code whether the claims hold."""
    parser = argparse.ArgumentParser(description="Measure which library look-ups find.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--registry", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    where, cases = machine(), read_cases(arguments.data)
    runs = list(_runs(cases, arguments.registry))
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


def _runs(cases: Sequence[Case], registry: Path) -> Iterator[Run]:
    known = read_registry(registry)
    with tempfile.TemporaryDirectory() as folder, word_upstream(known) as upstream:
        seed = Path(folder) / "seed.yaml"
        seed.write_text(seed_text(known), "utf-8")
        for order in ORDERS:
            off, listed = Path(folder) / f"off-{order}", Path(folder) / f"listed-{order}"
            yield _run(cases, order, off, seed, ("off", "off"))
            yield _run(cases, order, listed, seed, ("listed", upstream.url))
            yield _run(cases, order, listed, seed, ("listed, again", upstream.url))
            yield _run(cases, order, listed, seed, ("off, after listed", "off"))


def _run(
    cases: Sequence[Case], order: int | None, home: Path, seed: Path, mode: tuple[str, str]
) -> Run:
    places = list(range(len(cases)))
    if order is not None:
        random.Random(order).shuffle(places)  # noqa: S311  # an order, no secret
    begun = time.perf_counter()
    told = look_up([cases[place] for place in places], home, seed, mode[1], SECONDS)
    seconds = time.perf_counter() - begun
    found = {place: each["library_id"] for place, each in zip(places, told, strict=True)}
    name = "as in the file" if order is None else f"shuffled {order}"
    return Run(mode[0], name, [found[place] for place in range(len(cases))], seconds)


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
    """Yield a table of the runs in the file's order, by kind."""
    shown = [run for run in runs if run.order == "as in the file"]
    yield " " * 32 + "".join(f"{run.mode:>20}" for run in shown)
    yield f"{'kind':22} {'look-ups':>8} " + "        right  wrong" * len(shown)
    for group, kinds in _groups(cases).items():
        counts = [_counts(cases, run, kinds) for run in shown]
        cells = "".join(f"{right:13,}{wrong:7,}" for _, right, wrong in counts)
        if counts[0][0]:
            yield f"{group:22} {counts[0][0]:8,} {cells}"


def _list_of(cases: Sequence[Case], runs: Sequence[Run]) -> Iterator[str]:
    yield f"{'run':36} {'name-like right':>15} {'wrong':>6} {'wrong/k':>8} {'ms each':>8}"
    for run in runs:
        names, right, _ = _counts(cases, run, NAME_LIKE)
        total, _, wrong = _counts(cases, run, _groups(cases)["all"])
        yield (
            f"{f'{run.mode}, {run.order}':36} {right / max(1, names):15.2%} {wrong:6}"
            f" {1000 * wrong / total:8.2f} {1000 * run.seconds / total:8.2f}"
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
    return {"seconds": round(run.seconds, 1), "scores": scores}


if __name__ == "__main__":
    sys.exit(main())
