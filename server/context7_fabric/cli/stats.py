"""`stats`: calls this month, calls saved, and what upstream last said of the quota."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from context7_fabric.app import App
from context7_fabric.cli.output import print_json, with_app


def run(words: list[str]) -> int:
    """Print the counts of every process on this home."""
    parser = argparse.ArgumentParser(
        "context7-fabric stats",
        description="Calls made and saved this month, and the quota.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="the figures as a JSON object")
    options = parser.parse_args(words)

    async def work(app: App) -> int:
        figures = await _figures(app)
        if options.json:
            print_json(figures)
        else:
            _show(figures)
        return 0

    return with_app(work)


async def _figures(app: App) -> dict[str, object]:
    usage = await app.desk.meter.month()
    rest = await app.desk.turnstile.rest()
    said = await app.desk.turnstile.last_said()
    return {
        "calls_this_month": usage.calls,
        "calls_saved": usage.saved,
        "monthly_calls": app.desk.meter.monthly_calls,
        "quota_said": said.why if said else None,
        "quota_said_at": said.at if said else None,
        "resting_until": rest.until if rest else None,
        **await app.desk.shelf.counts(),
    }


def _show(figures: dict[str, object]) -> None:
    table = Table(box=None, show_header=False)
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), "-" if value is None else str(value))
    Console(highlight=False).print(table)
