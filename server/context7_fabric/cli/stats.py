"""`stats`: calls made and saved this month, the quota, store faults, and what the records tell."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

from context7_fabric.app import App
from context7_fabric.call_log.statistics import as_object, read_statistics
from context7_fabric.cli.output import print_json, with_app
from context7_fabric.cli.parser import CommandParser
from context7_fabric.cli.restraints import limit_ends, opening_ends
from context7_fabric.cli.stats_tables import show_figures, show_statistics
from context7_fabric.durations import parse_duration
from context7_fabric.errors import SettingError
from context7_fabric.services.restraints import Restraints

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
    held = await app.desk.turnstile.restraints()
    said = await app.desk.turnstile.last_said()
    # Last, as above.
    usage, everybody = await app.desk.meter.month(), await app.desk.meter.everybody()
    fault = everybody.last_fault
    return {
        "calls_this_month": usage.calls,
        "calls_saved": usage.saved,
        "monthly_calls": app.desk.meter.monthly_calls,
        "quota_said": said.why if said else None,
        "quota_said_at": said.at if said else None,
        **_restraints(held),
        **counts,
        "store_faults": everybody.faults,
        "last_store_fault": fault.text if fault else None,
        "last_store_fault_at": fault.at if fault else None,
    }


def _restraints(held: Restraints) -> dict[str, object]:
    """Return limit, circuit breaker and lost session, each with what ends it."""
    limit, opening, lost = held.limit, held.opening, held.lost_session
    return {
        "resting_until": limit.until if limit else None,
        "resting_because": limit.why if limit else None,
        "resting_ends": limit_ends(limit) if limit else None,
        "breaker_open_until": opening.at + opening.seconds if opening else None,
        "breaker_open_because": opening.why if opening else None,
        "breaker_closes": opening_ends() if opening else None,
        "session_lost_at": lost.at if lost else None,
        "session_lost_how": lost.how if lost else None,
    }
