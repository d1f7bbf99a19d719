"""What `fabric.py` prints: a Markdown table a backend and size, and the claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.contests import MANY, NEWEST, Measured
from bench.rounds import Ratio, Times, ratio

MOST_TIMES_RAW = 2.0
LEAST_TIMES_FASTER = 10.0
LARGE = 100_000
MOST_MS = 5.0

COLUMNS = ("", "", "p50 ms", "p99 ms", "calls", "the fabric takes")


@dataclass(frozen=True)
class Claim:
    """A promise about one measurement, what was measured, and whether it is kept."""

    text: str
    seen: str
    holds: bool

    def __str__(self) -> str:
        return f"{'holds' if self.holds else 'BROKEN'}: {self.text}: {self.seen}"


def table(measured: Measured) -> Iterator[str]:
    """Yield the lines of a backend's table."""
    yield f"## {measured.backend}, {measured.size:,} contexts"
    yield ""
    yield _row(COLUMNS)
    yield _row(["---", "---", *["--:"] * 3, "---"])
    for operation, times in measured.times.items():
        for each in times:
            yield _row(_cells(_label(operation, measured), each, times[0]))
    yield ""
    rate = measured.size / measured.fill_seconds
    vectors = ", vectors included" if measured.ranked_by == "vectors" else ""
    yield (
        f"Filled in {measured.fill_seconds:.2f} s by pipelines of {MANY:,}{vectors}:"
        f" {rate:,.0f} a second."
    )


def _label(operation: str, measured: Measured) -> str:
    more = {
        "query": f"query, newest {NEWEST}",
        "search": f"search by {measured.ranked_by}",
        "pipeline": f"pipeline of {MANY:,} new ones",
        "overwrite": f"pipeline of {MANY:,} overwritten at random",
    }
    return more.get(operation, operation)


def _cells(label: str, times: Times, ours: Times) -> list[str]:
    found = ratio(ours, times)
    return [
        label,
        times.name,
        f"{times.p50:.3f}",
        f"{times.p99:.3f}",
        f"{times.calls:,}",
        "" if times is ours else f"{_told(found)} times that",
    ]


def _told(found: Ratio) -> str:
    return f"{found.median:.2f} ({found.least:.2f} to {found.most:.2f})"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def claims(measured: Sequence[Measured]) -> list[Claim]:
    """Return what is claimed of what was measured."""
    return [claim for each in measured for claim in _claims(each)]


def _claims(measured: Measured) -> Iterator[Claim]:
    where = f"{measured.backend}, {measured.size:,} contexts"
    if measured.backend in ("disk", "redis"):
        yield _get_claim(where, *measured.times["get"][:2])
        yield _pipeline_claim(where, *measured.times["pipeline"][:2])
    if measured.backend in ("memory", "disk", "redis") and measured.size == LARGE:
        p50 = measured.times["query"][0].p50
        text = f"{where}: a query of the newest {NEWEST} takes less than {MOST_MS:g} ms (p50)"
        yield Claim(text, f"{p50:.2f} ms", p50 < MOST_MS)


def _get_claim(where: str, ours: Times, raw: Times) -> Claim:
    found = ratio(ours, raw)
    return Claim(
        f"{where}: a get takes at most {MOST_TIMES_RAW:g} times that of {raw.name}",
        _told(found),
        found.median <= MOST_TIMES_RAW,
    )


def _pipeline_claim(where: str, pipeline: Times, sets: Times) -> Claim:
    found = ratio(sets, pipeline)
    return Claim(
        f"{where}: a pipeline of {MANY:,} new contexts is at least {LEAST_TIMES_FASTER:g} times"
        f" faster than {MANY:,} sets",
        _told(found),
        found.median >= LEAST_TIMES_FASTER,
    )


def as_json(measured: Measured) -> dict[str, Any]:
    """Return the figures of a backend at a size as JSON has them."""
    return {
        "backend": measured.backend,
        "contexts": measured.size,
        "fill_seconds": measured.fill_seconds,
        "search_ranked_by": measured.ranked_by,
        "operations": {
            operation: [_figures(each, times[0]) for each in times]
            for operation, times in measured.times.items()
        },
    }


def _figures(times: Times, ours: Times) -> dict[str, Any]:
    return {
        "name": times.name,
        "p50_ms": times.p50,
        "p99_ms": times.p99,
        "calls": times.calls,
        "fabric_takes_times": asdict(ratio(ours, times)),
    }
