"""The results of `peers.py` as Markdown tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from bench.contestants import FASTMCP, LOOP, NODE, SDK, SDK_LONG
from bench.memory import FIRST_HITS, Weight
from bench.rounds import Ratio, Times, ratio
from bench.verdicts import ANSWER, CALL, FLIGHT, INITIALIZE, Results, resident, told

BESIDE = {
    INITIALIZE: (NODE,),
    ANSWER: (NODE,),
    CALL: (NODE, FASTMCP, SDK, SDK_LONG, LOOP),
    FLIGHT: (NODE, FASTMCP),
}
"""With whom each race compares."""

FEWEST_MS = 5.0
"""Imports that take less stand in one line."""


def sheets(results: Results) -> Iterator[str]:
    """Yield the lines of all tables."""
    for title, times in results.races.items():
        yield from ("", f"## {title}", "")
        yield from _rates(times) if title == FLIGHT else _race(times, BESIDE[title])
    if results.windows:
        yield from ("", "## Five windows after 100 mixed calls, no worker", "")
        yield from _weights(results.windows)
    if results.worker:
        yield from ("", "## The same windows with the worker", "")
        yield from _weights({**results.worker, NODE: results.windows[NODE]})
    if results.growth:
        yield from ("", f"## Memory over {results.hits:,} hits, after the first {FIRST_HITS}", "")
        yield from _growth(results.growth)
    if results.imports:
        yield from ("", "## Imports of a start in process, as Python measures them", "")
        yield from _imports(results.imports)


def _race(times: Sequence[Times], beside: Sequence[str]) -> Iterator[str]:
    others = [each for each in times if each.name in beside]
    yield from _head("", "p50 ms", "p99 ms", "calls", *(f"times {each.name}" for each in others))
    for one in times:
        figures = (f"{one.p50:.2f}", f"{one.p99:.2f}", f"{one.calls:,}")
        ratios = ("" if one is each else told(ratio(one, each)) for each in others)
        yield _row(one.name, *figures, *ratios)


def _rates(times: Sequence[Times]) -> Iterator[str]:
    others = [each for each in times if each.name in BESIDE[FLIGHT]]
    yield from _head("", "calls a second", "rounds", *(f"times {each.name}" for each in others))
    for one in times:
        faster = ("" if one is each else told(_faster(one, each)) for each in others)
        yield _row(one.name, f"{1000 / one.p50:,.0f}", str(one.calls), *faster)


def _faster(one: Times, other: Times) -> Ratio:
    return ratio(other, one)


def _weights(windows: Mapping[str, Sequence[Weight]]) -> Iterator[str]:
    yield from _head("", "processes", "RSS MiB", "PSS MiB", f"RSS, times {NODE}")
    for name, weights in windows.items():
        rss = [each.rss for each in weights]
        pss = statistics.median(each.pss for each in weights)
        spread = f"{statistics.median(rss):.0f} ({min(rss):.0f} to {max(rss):.0f})"
        share = f"{resident(weights) / resident(windows[NODE]):.2f}"
        yield _row(name, str(weights[0].processes), spread, f"{pss:.0f}", share)


def _growth(growth: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    yield from _head("", "RSS MiB before", "after", "grown by")
    for name, (before, after) in growth.items():
        yield _row(name, f"{before:.1f}", f"{after:.1f}", f"{after / before - 1:.1%}")


def _imports(imports: Mapping[str, float]) -> Iterator[str]:
    yield from _head("", "ms of its own modules")
    large = {name: spent for name, spent in imports.items() if spent >= FEWEST_MS}
    for name, spent in large.items():
        yield _row(name, f"{spent:.0f}")
    yield _row(f"{len(imports) - len(large)} others", f"{_rest(imports, large):.0f}")
    yield _row("together", f"{sum(imports.values()):.0f}")


def _rest(imports: Mapping[str, float], large: Mapping[str, float]) -> float:
    return sum(imports.values()) - sum(large.values())


def _head(first: str, *others: str) -> Iterator[str]:
    yield _row(first, *others)
    yield _row("---", *["--:"] * len(others))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
