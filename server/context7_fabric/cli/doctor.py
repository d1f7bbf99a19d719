"""`doctor`: check the home, upstream and the store, and say what is wrong."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from context7_fabric import __version__
from context7_fabric.app import App
from context7_fabric.cli.output import print_json, with_app
from context7_fabric.errors import UpstreamError, UpstreamOff


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: `ok` None means that there is nothing to be right or wrong."""

    name: str
    ok: bool | None
    told: str


def run(words: list[str]) -> int:
    """Print the checks; exit code 1 when one fails."""
    parser = argparse.ArgumentParser(
        "context7-fabric doctor",
        description="Check home, upstream and store.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="the checks as a JSON object")
    options = parser.parse_args(words)

    async def work(app: App) -> int:
        checks = [_version(), _home(app), await _upstream(app), await _stored(app)]
        _show(checks, as_json=options.json)
        return 1 if any(check.ok is False for check in checks) else 0

    return with_app(work)


def _version() -> Check:
    return Check("version", None, __version__)


def _home(app: App) -> Check:
    if app.settings.in_memory:
        return Check("home", None, "in memory (CONTEXT7_FABRIC_BACKEND=memory): nothing is kept")
    if app.in_memory:
        told = f"{app.settings.home} cannot be used; set CONTEXT7_FABRIC_HOME to a folder of yours"
        return Check("home", ok=False, told=told)
    return Check("home", ok=True, told=str(app.settings.home))


async def _upstream(app: App) -> Check:
    label = app.settings.upstream.target.label
    key = "with a key" if app.settings.upstream.credential else "without a key"
    started = time.monotonic()
    try:
        tools = await app.desk.tools.refresh()
    except UpstreamOff:
        return Check("upstream", None, "off: answers come from the store alone")
    except UpstreamError as error:
        return Check("upstream", ok=False, told=str(error))
    took = (time.monotonic() - started) * 1000
    names = ", ".join(str(tool.get("name")) for tool in tools.tools)
    return Check("upstream", ok=True, told=f"{label} ({key}) answers in {took:.0f} ms: {names}")


async def _stored(app: App) -> Check:
    counts = await app.desk.shelf.counts()
    told = f"{counts['answers']} answers, {counts['lists']} look-ups"
    faults = app.fabric.faults
    if faults.count:
        return Check("store", ok=False, told=f"{told}; {faults.count} faults, last: {faults.last}")
    return Check("store", ok=True, told=told)


def _show(checks: list[Check], *, as_json: bool) -> None:
    if as_json:
        print_json({check.name: {"ok": check.ok, "told": check.told} for check in checks})
        return
    table = Table(box=None, show_header=False)
    for check in checks:
        mark = {True: "[green]ok[/]", False: "[red]wrong[/]", None: ""}[check.ok]
        table.add_row(check.name, mark, check.told)
    Console(highlight=False).print(table)
