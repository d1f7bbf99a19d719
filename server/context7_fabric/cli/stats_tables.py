"""How `stats` looks on a terminal: figures one a row, then tables of what the records add up to.

Names come from clients and from upstream: none of them reaches a terminal as anything but text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta

from rich.box import SIMPLE_HEAD
from rich.table import Table

from context7_fabric.call_log.statistics import ErrorCount, Statistics, Tally, ranked
from context7_fabric.cli.output import print_table
from context7_fabric.cli.text import harmless, is_utf8, local_time, one_line, say

BAR = 40
"""Signs of the longest bar."""

DAYS = 14
"""Days that are drawn, up to the last one with a call."""

_FIGURES = ("\ncalls", "hit\nrate", "upstream\ncalls", "calls\nsaved", "tokens\nsaved", "p95\nms")
_TIMES = (
    "quota_said_at",
    "resting_until",
    "breaker_open_until",
    "session_lost_at",
    "last_store_fault_at",
)


def show_figures(figures: Mapping[str, object]) -> None:
    """Print figures one a row."""
    table = Table(box=None, show_header=False)
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), _worded(name, value))
    print_table(table)


def show_statistics(statistics: Statistics) -> None:
    """Print what the records add up to, or that there are none."""
    say("")
    if not statistics.total.calls:
        say(_none(statistics))
        return
    say(_span(statistics))
    print_table(_tallied("tool", [("all", statistics.total), *ranked(statistics.tools)]))
    print_table(_tallied("tier", ranked(statistics.tiers)))
    if statistics.libraries:
        print_table(_tallied("most asked libraries", statistics.most_asked))
        print_table(_tallied("slowest libraries", statistics.slowest))
    print_table(_chart(statistics.days))
    if statistics.errors:
        print_table(_failures(statistics.failures))


def _none(statistics: Statistics) -> str:
    if not statistics.read:
        return "There are no records of calls yet."
    return f"{statistics.read:,} records read, none of a call since {_minute(statistics.since)}."


def _span(statistics: Statistics) -> str:
    first, last = _minute(statistics.first_at or 0.0), _minute(statistics.last_at or 0.0)
    count = statistics.total.calls
    calls = "1 call" if count == 1 else f"{count:,} calls"
    return f"{statistics.read:,} records read: {calls}, {first} to {last}"


def _tallied(title: str, tallies: Iterable[tuple[str, Tally]]) -> Table:
    """Return a table of tallies, as wide as the terminal: names take what the figures leave."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True)
    table.add_column(f"\n{title}", ratio=1, overflow="fold")
    for name in _FIGURES:
        table.add_column(name, justify="right", no_wrap=True)
    for name, each in tallies:
        table.add_row(one_line(name), *_cells(each))
    return table


def _cells(tally: Tally) -> tuple[str, ...]:
    counts = tally.upstream_calls, tally.calls_saved, tally.tokens_saved
    return (
        f"{tally.calls:,}",
        f"{tally.hit_rate:.1%}",
        *(f"{count:,}" for count in counts),
        _milliseconds(tally.percentile(0.95)),
    )


def _chart(days: Mapping[date, Tally]) -> Table:
    """Return a bar a day: what was hits, and what was not."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("day")
    full, empty = _signs()
    table.add_column(f"{full} hits {empty} other calls", min_width=BAR)
    table.add_column("calls", justify="right")
    table.add_column("hits", justify="right")
    shown = _shown(days)
    most = max(tally.calls for tally in shown.values())
    for day, tally in shown.items():
        bar = _bar(tally.hits, tally.calls, most)
        table.add_row(day.isoformat(), bar, f"{tally.calls:,}", f"{tally.hits:,}")
    return table


def _shown(days: Mapping[date, Tally]) -> dict[date, Tally]:
    """Return the last days, those without a call among them too."""
    last = max(days)
    start = max(min(days), last - timedelta(days=DAYS - 1))
    drawn = (start + timedelta(days=number) for number in range((last - start).days + 1))
    return {day: days.get(day, Tally()) for day in drawn}


def _bar(hits: int, calls: int, most: int) -> str:
    """Return a bar for `calls`, `BAR` signs long for `most`; what is there shows."""
    length = -(-calls * BAR // most)
    full = length * hits // calls if calls else 0
    hit, other = _signs()
    return hit * full + other * (length - full)


def _signs() -> tuple[str, str]:
    """Return the signs of a bar's hits and of its other calls."""
    return ("█", "░") if is_utf8(sys.stdout) else ("#", ".")


def _failures(errors: Sequence[ErrorCount]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True)
    table.add_column("error", ratio=1, overflow="fold")
    table.add_column("calls", justify="right")
    for each in errors:
        table.add_row(one_line(each.text), f"{each.calls:,}")
    return table


def _milliseconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"  # noqa: PLR2004  # four signs


def _worded(name: str, value: object) -> str:
    if value is None:
        return "-"
    if name in _TIMES and isinstance(value, float):
        return local_time(value)
    return harmless(str(value))


def _minute(at: float) -> str:
    return local_time(at, "minutes")
