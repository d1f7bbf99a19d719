"""Which library is meant? The rule of `registry.names` on labelled look-ups, and the ticket's.

    PYTHONPATH=tests .venv/bin/python tests/bench/lookups.py --data FILE [--registry FILE]
        [--model DIR] [--json]

`--data` has one JSON object a line: `query`, `kind`, `expected_id` (null: any hit is wrong) and
perhaps `question`. `--registry` is a JSON list of libraries with `name`, `id`, `aliases`, `eco` and
`category`; the seeds without it. `tests/unit/registry` has both. `--model` is a folder with
MiniLM, and needs fastembed: the ticket's rule takes the library whose "name + aliases + category"
is nearest, if its cosine is .85 or more.

The rule is timed among 100,000 more libraries, each look-up three times. Exit code 1 when it finds
fewer than 85 % of the name-like look-ups, or any wrong library, or when its p99 is 0.2 ms or more.
"""

import argparse
import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.machine import machine
from context7_fabric.registry.names import NameIndex
from context7_fabric.registry.rows import Row
from context7_fabric.registry.seeds import load_seeds

NAME_LIKE = ("pos_exact", "pos_case_punct", "pos_version", "pos_suffix", "pos_alias")
LEAST_FOUND = 0.85
LONGEST_P99_MS = 0.2
MORE_ROWS = 100_000
ROUNDS = 3
COSINE = 0.85
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TICKET_TIMED = 300
"""So many look-ups time the ticket's rule: each is an inference."""

Ids = list[str | None]


@dataclass(frozen=True)
class Case:
    """A labelled look-up."""

    query: str
    kind: str
    expected_id: str | None
    question: str = ""


@dataclass(frozen=True)
class Score:
    """How a rule did on some look-ups."""

    look_ups: int
    hits: int
    right: int

    @property
    def wrong(self) -> int:
        """Hits on another library than the one meant."""
        return self.hits - self.right

    @property
    def cells(self) -> str:
        """Hits in %, precision in %, wrong per 1,000 look-ups."""
        precision = f"{self.right / self.hits:.1%}" if self.hits else "-"
        rate = 1000 * self.wrong / self.look_ups
        return f"{self.hits / self.look_ups:8.1%} {precision:>8} {rate:8.1f}"


@dataclass(frozen=True)
class Result:
    """What a rule found, look-up by look-up, and how long it took."""

    found: Ids
    p50_ms: float
    p99_ms: float


def main() -> int:
    """Measure, print, and say by the exit code whether the claims hold."""
    parser = argparse.ArgumentParser(description="Measure which library look-ups find.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--registry", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    cases = [_case(json.loads(line)) for line in arguments.data.read_text("utf-8").splitlines()]
    rows = _rows(arguments.registry)
    where, (rule, megabytes) = machine(), _by_rule(cases, rows)
    results = {"the rule": rule}
    if arguments.model:
        results["the ticket's"] = _by_ticket(cases, rows, arguments.model)
    broken = _broken(cases, rule)
    if arguments.json:
        rules = {name: _plain(cases, result) for name, result in results.items()}
        print(json.dumps({"machine": where, "index_mb": megabytes, "broken": broken, **rules}))
    else:
        print(where)
        print(f"{len(cases):,} look-ups ({arguments.data.name}) against {len(rows)} libraries\n")
        print(*_table(cases, results), sep="\n")
        if not arguments.model:
            print("the ticket's: not measured, because no folder with the model was given")
        many = len(rows) + MORE_ROWS
        print(f"\nIndex of {many:,} libraries, without their rows: {megabytes:.0f} MB")
        print(*(broken or ["All claims hold."]), sep="\n")
    return 1 if broken else 0


def _case(entry: dict[str, Any]) -> Case:
    return Case(entry["query"], entry["kind"], entry["expected_id"], entry.get("question", ""))


def _rows(registry: Path | None) -> list[Row]:
    if registry is None:
        return [seed.row for seed in load_seeds().libraries]
    return [
        Row(each["name"], each["eco"], each["id"], tuple(each["aliases"]), each.get("category", ""))
        for each in json.loads(registry.read_text("utf-8"))
    ]


def _by_rule(cases: Sequence[Case], rows: Sequence[Row]) -> tuple[Result, float]:
    """Return what the rule finds, and the megabytes that its index takes."""
    more = [_made_up(number) for number in range(MORE_ROWS)]
    tracemalloc.start()
    index = NameIndex([*rows, *more])
    megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()

    def find(case: Case) -> str | None:
        match = index.find(case.query, case.question)
        return None if match is None else match.row.id

    found, milliseconds = _timed(find, [*cases] * ROUNDS)
    return Result(found[: len(cases)], *_percentiles(milliseconds)), megabytes


def _made_up(number: int) -> Row:
    name = f"made-up-{number:x}-name"
    ecosystem = ("pypi", "npm", "crates", "go", "maven")[number % 5]
    return Row(name, ecosystem, f"/made-up/{name}", (f"made up {number:x}", f"{name}-client"))


def _by_ticket(cases: Sequence[Case], rows: Sequence[Row], folder: Path) -> Result:
    numpy = import_module("numpy")
    model = import_module("fastembed").TextEmbedding(
        MODEL, specific_model_path=str(folder), local_files_only=True
    )

    def vectors(texts: Iterable[str]) -> Any:  # noqa: ANN401
        found = numpy.array(list(model.embed(texts)))
        return found / numpy.linalg.norm(found, axis=1, keepdims=True)

    library = vectors([" ".join((row.name, *row.aliases, row.category)) for row in rows])

    def nearest(texts: Iterable[str]) -> Ids:
        cosines = vectors(texts) @ library.T
        best = cosines.argmax(axis=1)
        return [
            rows[at].id if cosines[case, at] >= COSINE else None for case, at in enumerate(best)
        ]

    step = max(1, len(cases) // TICKET_TIMED)
    _, milliseconds = _timed(lambda case: nearest([case.query])[0], cases[::step])
    return Result(nearest([case.query for case in cases]), *_percentiles(milliseconds))


def _timed(find: Callable[[Case], str | None], cases: Sequence[Case]) -> tuple[Ids, list[float]]:
    found: Ids = []
    milliseconds: list[float] = []
    for case in cases:
        before = time.perf_counter()
        found.append(find(case))
        milliseconds.append(1000 * (time.perf_counter() - before))
    return found, milliseconds


def _percentiles(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]


def _score(cases: Sequence[Case], result: Result, kinds: Iterable[str]) -> Score:
    pairs = [
        (case.expected_id, found)
        for case, found in zip(cases, result.found, strict=True)
        if case.kind in kinds
    ]
    hits = [(expected, found) for expected, found in pairs if found is not None]
    return Score(len(pairs), len(hits), sum(expected == found for expected, found in hits))


def _groups(cases: Sequence[Case]) -> dict[str, tuple[str, ...]]:
    kinds = {case.kind: (case.kind,) for case in cases}
    return {**kinds, "name-like": NAME_LIKE, "all": tuple(kinds)}


def _table(cases: Sequence[Case], results: Mapping[str, Result]) -> list[str]:
    lines = [
        " " * 31 + "".join(f"  {name:>26}" for name in results),
        f"{'kind':22} {'look-ups':>8}" + "    hits %  prec. %  wrong/k" * len(results),
    ]
    for group, kinds in _groups(cases).items():
        scores = [_score(cases, result, kinds) for result in results.values()]
        if scores[0].look_ups:
            figures = "  ".join(score.cells for score in scores)
            lines.append(f"{group:22} {scores[0].look_ups:8,}  {figures}")
    for name, result in results.items():
        lines.append(f"{name}: p50 {result.p50_ms:.3f} ms, p99 {result.p99_ms:.3f} ms")
    return lines


def _broken(cases: Sequence[Case], rule: Result) -> list[str]:
    names = _score(cases, rule, NAME_LIKE)
    broken = [
        f"CLAIM BROKEN: {case.query!r} ({case.kind}) found {found}, not {case.expected_id}"
        for case, found in zip(cases, rule.found, strict=True)
        if found not in (None, case.expected_id)
    ]
    if names.right < LEAST_FOUND * names.look_ups:
        broken.append(f"CLAIM BROKEN: {names.right} of {names.look_ups} name-like look-ups found")
    if rule.p99_ms >= LONGEST_P99_MS:
        broken.append(f"CLAIM BROKEN: p99 is {rule.p99_ms:.3f} ms")
    return broken


def _plain(cases: Sequence[Case], result: Result) -> dict[str, object]:
    groups = _groups(cases).items()
    scores = {name: asdict(_score(cases, result, kinds)) for name, kinds in groups}
    return {"p50_ms": result.p50_ms, "p99_ms": result.p99_ms, "scores": scores}


if __name__ == "__main__":
    sys.exit(main())
