"""`stats`: calls made and saved this month, the quota, store faults, and sums of the records."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from context7_fabric.cli.session import CommandSession
from context7_fabric.cli.text import (
    CommandParser,
    is_utf8,
    local_time,
    one_line,
    print_json,
    print_text,
)
from context7_fabric.durations import parse_duration
from context7_fabric.errors import SettingError
from context7_fabric.process import harmless

if TYPE_CHECKING:
    from rich.table import Table

BAR = 40
"""Characters of the longest bar."""

DAYS = 14
"""Days in the chart, up to the last one with a call."""

_Totals = Mapping[str, Any]
"""Totals of some calls, as `stats --json` prints them."""

_FIGURES = ("\ncalls", "hit\nrate", "upstream\ncalls", "calls\nsaved", "tokens\nsaved", "p95\nms")
_DOCSET_FIGURES = {
    "answers": "\nanswers",
    "calls_saved": "calls\nsaved",
    "tokens_served": "tokens\nserved",
    "unconfident": "not confident:\nasked Context7",
}
_TIMES = (
    "quota_said_at",
    "resting_until",
    "breaker_open_until",
    "session_lost_at",
    "last_store_fault_at",
)


def show(figures: Mapping[str, Any]) -> None:
    """Print the counts one a row, and tables of what the records add up to."""
    table = _table(box=None, pad_edge=True, show_header=False)
    for name, value in figures.items():
        if name != "records":
            table.add_row(name.replace("_", " "), _worded(name, value))
    _print(table)
    print_text("")
    records = figures["records"]
    if not records["calls"]:
        print_text(_none(records))
        return
    print_text(_span(records))
    for each in _tables(records):
        _print(each)


def _none(records: _Totals) -> str:
    if not records["read"]:
        return "There are no records of calls yet."
    return f"{records['read']:,} records read, none of a call since {_minute(records['since'])}."


def _span(records: _Totals) -> str:
    first, last = _minute(records["first_at"]), _minute(records["last_at"])
    calls = "1 call" if records["calls"] == 1 else f"{records['calls']:,} calls"
    return f"{records['read']:,} records read: {calls}, {first} to {last}"


def _tables(records: _Totals) -> Iterable[Table]:
    yield _totals("tool", [("all", records), *records["tools"].items()])
    yield _totals("tier", records["tiers"].items())
    for title, name in (("most asked libraries", "most_asked"), ("slowest libraries", "slowest")):
        if libraries := records[name]:
            yield _totals(title, [(each["library_id"], each) for each in libraries])
    if (docsets := records["docsets"])["libraries"]:
        yield _docsets(docsets)
    yield _chart({date.fromisoformat(each["day"]): each for each in records["days"]})
    if records["errors"]:
        yield _errors(records["errors"])


def _totals(title: str, rows: Iterable[tuple[str, _Totals]]) -> Table:
    """Return a table of totals, as wide as the terminal: names take what the figures leave."""
    table = _table(expand=True)
    table.add_column(f"\n{title}", ratio=1, overflow="fold")
    for name in _FIGURES:
        table.add_column(name, justify="right", no_wrap=True)
    for name, each in rows:
        table.add_row(one_line(name), *_cells(each))
    return table


def _docsets(docsets: _Totals) -> Table:
    """Return a table of the answers from docsets, for all libraries and for each."""
    table = _table(expand=True)
    table.add_column("\ndocset", ratio=1, overflow="fold")
    for name in _DOCSET_FIGURES.values():
        table.add_column(name, justify="right", no_wrap=True)
    for name, each in [
        ("all", docsets),
        *((one["library_id"], one) for one in docsets["libraries"]),
    ]:
        table.add_row(one_line(name), *(f"{each[figure]:,}" for figure in _DOCSET_FIGURES))
    return table


def _cells(totals: _Totals) -> tuple[str, ...]:
    counts = totals["upstream_calls"], totals["calls_saved"], totals["tokens_saved"]
    return (
        f"{totals['calls']:,}",
        f"{totals['hit_rate']:.1%}",
        *(f"{count:,}" for count in counts),
        _milliseconds(totals["p95_ms"]),
    )


def _chart(days: Mapping[date, _Totals]) -> Table:
    """Return a bar a day: hits, and other calls."""
    table = _table()
    table.add_column("day")
    full, empty = _signs()
    table.add_column(f"{full} hits {empty} other calls", min_width=BAR)
    table.add_column("calls", justify="right")
    table.add_column("hits", justify="right")
    most = max(totals["calls"] for totals in days.values())
    last = max(days)
    day = max(min(days), last - timedelta(days=DAYS - 1))
    while day <= last:
        calls, hits = (days[day]["calls"], days[day]["hits"]) if day in days else (0, 0)
        table.add_row(day.isoformat(), _bar(hits, calls, most), f"{calls:,}", f"{hits:,}")
        day += timedelta(days=1)
    return table


def _bar(hits: int, calls: int, most: int) -> str:
    """Return a bar for `calls`, `BAR` characters long for `most`; a single call is visible."""
    length = -(-calls * BAR // most)
    full = length * hits // calls if calls else 0
    hit, other = _signs()
    return hit * full + other * (length - full)


def _signs() -> tuple[str, str]:
    """Return the characters of a bar's hits and of its other calls."""
    return ("█", "░") if is_utf8(sys.stdout) else ("#", ".")


def _errors(errors: Iterable[_Totals]) -> Table:
    table = _table(expand=True)
    table.add_column("error", ratio=1, overflow="fold")
    table.add_column("calls", justify="right")
    for each in errors:
        table.add_row(one_line(each["text"]), f"{each['calls']:,}")
    return table


def _table(**options: Any) -> Table:  # noqa: ANN401  # rich's
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    shape: dict[str, Any] = {"box": SIMPLE_HEAD, "pad_edge": False}
    return Table(**(shape | options))


def _print(table: Table) -> None:
    from context7_fabric.cli.output import print_table

    print_table(table)


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


_SHOWN = 40
_SINCE = "a time that is past, such as 24h, 7d or 2026-11-01"


def run(words: list[str]) -> int:
    """Print the counts of every process on this home, and the sums of its records."""
    now = time.time()
    options = _parser(now).parse_args(words)

    with CommandSession() as session:
        figures = session.ask("stats", since=options.since, until=now)
    if options.json:
        print_json(figures)
    else:
        show(figures)
    return 0


def _parser(now: float) -> argparse.ArgumentParser:
    parser = CommandParser(
        "context7-fabric stats",
        description="Calls made and saved this month, the quota, and sums of the records.",
    )
    since: Callable[[str], float] = partial(_since, now)
    parser.add_argument(
        "--since",
        metavar="TIME",
        type=since,
        default=0.0,
        help="records of the last 24h or 7d, or since 2026-11-01 (default: all that are kept)",
    )
    parser.add_argument("--json", action="store_true", help="the same as a JSON object")
    return parser


def _since(now: float, text: str) -> float:
    """Return the time that `text` names in epoch seconds; a date is one of this machine's zone."""
    seconds = parse_duration(text)
    moment = _moment(text) if seconds is None else now - seconds
    if moment is None or not 0 <= moment < now:
        raise SettingError("--since", text[:_SHOWN], _SINCE)
    return moment


def _moment(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError):
        return None
