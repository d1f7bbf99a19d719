"""`stats`: calls this month, calls saved, what upstream last said of the quota, store faults."""

from __future__ import annotations

from datetime import datetime

from rich.table import Table

from context7_fabric.app import App
from context7_fabric.cli.output import (
    asks_for_json,
    harmless,
    plain_console,
    print_json,
    with_app,
)

_TIMES = ("quota_said_at", "resting_until", "last_store_fault_at")


def run(words: list[str]) -> int:
    """Print the counts of every process on this home."""
    as_json = asks_for_json("stats", "Calls made and saved this month, and the quota.", words)

    async def work(app: App) -> int:
        figures = await _figures(app)
        if as_json:
            print_json(figures)
        else:
            _show(figures)
        return 0

    return with_app(work)


async def _figures(app: App) -> dict[str, object]:
    counts = await app.desk.shelf.counts()
    rest = await app.desk.turnstile.rest()
    said = await app.desk.turnstile.last_said()
    # Last, so that it counts what the store failed to tell just now.
    usage, everybody = await app.desk.meter.month(), await app.desk.meter.everybody()
    fault = everybody.last_fault
    return {
        "calls_this_month": usage.calls,
        "calls_saved": usage.saved,
        "monthly_calls": app.desk.meter.monthly_calls,
        "quota_said": said.why if said else None,
        "quota_said_at": said.at if said else None,
        "resting_until": rest.until if rest else None,
        **counts,
        "store_faults": everybody.faults,
        "last_store_fault": fault.text if fault else None,
        "last_store_fault_at": fault.at if fault else None,
    }


def _show(figures: dict[str, object]) -> None:
    table = Table(box=None, show_header=False)
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), _worded(name, value))
    plain_console().print(table)


def _worded(name: str, value: object) -> str:
    if value is None:
        return "-"
    if name in _TIMES and isinstance(value, float):
        return datetime.fromtimestamp(value).astimezone().isoformat(" ", "seconds")
    return harmless(str(value))
