"""`stats`: calls made and saved this month, the quota, store faults, and what the records tell."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial

from rich.box import SIMPLE_HEAD
from rich.table import Table

from context7_fabric.call_log.statistics import (
    CallTotals,
    ErrorCount,
    Statistics,
    as_object,
    ranked,
    read_statistics,
)
from context7_fabric.cli.output import print_json, print_table, with_app
from context7_fabric.cli.text import CommandParser, is_utf8, local_time, one_line, say
from context7_fabric.cli.upstream_status import back_off_end, opening_end
from context7_fabric.durations import parse_duration
from context7_fabric.errors import SettingError
from context7_fabric.process import harmless
from context7_fabric.runtime.app import App
from context7_fabric.upstream.call_gate import UpstreamStatus

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


def _tallied(title: str, tallies: Iterable[tuple[str, CallTotals]]) -> Table:
    """Return a table of tallies, as wide as the terminal: names take what the figures leave."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True)
    table.add_column(f"\n{title}", ratio=1, overflow="fold")
    for name in _FIGURES:
        table.add_column(name, justify="right", no_wrap=True)
    for name, each in tallies:
        table.add_row(one_line(name), *_cells(each))
    return table


def _cells(tally: CallTotals) -> tuple[str, ...]:
    counts = tally.upstream_calls, tally.calls_saved, tally.tokens_saved
    return (
        f"{tally.calls:,}",
        f"{tally.hit_rate:.1%}",
        *(f"{count:,}" for count in counts),
        _milliseconds(tally.percentile(0.95)),
    )


def _chart(days: Mapping[date, CallTotals]) -> Table:
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


def _shown(days: Mapping[date, CallTotals]) -> dict[date, CallTotals]:
    """Return the last days, those without a call among them too."""
    last = max(days)
    start = max(min(days), last - timedelta(days=DAYS - 1))
    drawn = (start + timedelta(days=number) for number in range((last - start).days + 1))
    return {day: days.get(day, CallTotals()) for day in drawn}


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


_SHOWN = 40
_SINCE = "a time that is past, such as 24h, 7d or 2026-11-01"


def run(words: list[str]) -> int:
    """Print the counts of every process on this home, and what its records add up to."""
    now = time.time()
    options = _parser(now).parse_args(words)

    async def work(app: App) -> int:
        statistics = await read_statistics(app.fabric, options.since, now)
        # Last, so that it counts what the store failed to tell just now.
        figures = await _figures(app)
        if options.json:
            print_json({**figures, "records": as_object(statistics)})
        else:
            show_figures(figures)
            show_statistics(statistics)
        return 0

    return with_app(work)


def _parser(now: float) -> argparse.ArgumentParser:
    parser = CommandParser(
        "context7-fabric stats",
        description="Calls made and saved this month, the quota, and what the records tell.",
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


async def _figures(app: App) -> dict[str, object]:
    counts = await app.desk.shelf.counts()
    status = await app.desk.turnstile.status()
    message = status.quota_message
    # Last, as above.
    usage, usage_of_all = await app.desk.meter.month(), await app.desk.meter.month_of_all()
    fault = usage_of_all.last_fault
    return {
        "calls_this_month": usage.calls,
        "calls_saved": usage.saved,
        "monthly_calls": app.desk.meter.monthly_calls,
        "quota_said": message.text if message else None,
        "quota_said_at": message.at if message else None,
        **_status_fields(status),
        **counts,
        "store_faults": usage_of_all.faults,
        "last_store_fault": fault.text if fault else None,
        "last_store_fault_at": fault.at if fault else None,
    }


def _status_fields(status: UpstreamStatus) -> dict[str, object]:
    """Return back-off, circuit breaker and lost session, each with what ends it."""
    limit, opening, lost = status.back_off, status.opening, status.lost_session
    return {
        "resting_until": limit.until if limit else None,
        "resting_because": limit.why if limit else None,
        "resting_ends": back_off_end(limit) if limit else None,
        "breaker_open_until": opening.at + opening.seconds if opening else None,
        "breaker_open_because": opening.why if opening else None,
        "breaker_closes": opening_end() if opening else None,
        "session_lost_at": lost.at if lost else None,
        "session_lost_how": lost.text if lost else None,
    }
