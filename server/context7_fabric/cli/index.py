"""`index`: resolve the seeds through Context7 now, so that look-ups are answered here later."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import anyio
from rich.console import Console
from rich.progress import Progress

from context7_fabric.app import App
from context7_fabric.cli.output import plain_console, with_app
from context7_fabric.cli.parser import CommandParser
from context7_fabric.cli.text import one_line
from context7_fabric.errors import SettingError
from context7_fabric.models import Caller
from context7_fabric.registry.rows import Row
from context7_fabric.registry.seeds import load_seeds
from context7_fabric.services.indexing import LOOK_UPS_A_DAY, Indexer, Plan, Result, Step

ASK_ABOVE = 50
"""More calls than this are not made without a yes."""

DEFAULT_DELAY = 0.5


def run(words: list[str]) -> int:
    """Resolve what is due; exit code 1 when something failed or the quota ended it."""
    options = _parser().parse_args(words)
    delay = _delay(os.environ.get("CONTEXT7_RESOLVE_DELAY", ""))
    console = plain_console(stderr=True)

    async def work(app: App) -> int:
        seeds = load_seeds(options.seed or app.settings.seed_file)
        rows = [seed.row for seed in seeds.libraries]
        chosen = _chosen(rows, options.category)
        indexer = Indexer(app.desk.resolver, app.desk.turnstile, Caller(app.principal))
        plan = await indexer.plan(chosen, refresh=options.refresh)
        await _announce(console, app, plan)
        if options.dry_run:
            _list(plan)
            return 0
        if len(plan.due) > ASK_ABOVE and not options.yes and not _agreed(console):
            return 1
        steps = await _walk(console, indexer, plan, delay, refresh=options.refresh)
        return _summary(plan, steps)

    return with_app(work)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "context7-fabric index",
        description="Resolve the seeds through Context7 and keep the answers.",
    )
    parser.add_argument("--refresh", action="store_true", help="also what is stored and fresh")
    parser.add_argument("--category", metavar="C", help="only the seeds of this category")
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be asked")
    parser.add_argument("--seed", metavar="FILE", type=Path, help="another seed file")
    parser.add_argument("--yes", action="store_true", help=f"do not ask above {ASK_ABOVE} calls")
    return parser


def _delay(text: str) -> float:
    """Read the ticket's pace, in seconds between two calls."""
    try:
        delay = float(text) if text.strip() else DEFAULT_DELAY
    except ValueError:
        delay = -1.0
    if not 0 <= delay < float("inf"):
        raise SettingError("CONTEXT7_RESOLVE_DELAY", text, "a number of seconds such as 0.5")
    return delay


def _chosen(rows: list[Row], category: str | None) -> list[Row]:
    if category is None:
        return rows
    chosen = [row for row in rows if row.category == category]
    if not chosen:
        known = ", ".join(sorted({row.category for row in rows}))
        raise SettingError("--category", category, f"one of {known}")
    return chosen


async def _announce(console: Console, app: App, plan: Plan) -> None:
    usage, limit = await app.desk.meter.month(), app.desk.meter.monthly_calls
    of_limit = f" of {limit}" if limit is not None else ""
    console.print(
        f"{len(plan.due)} libraries to ask Context7 for, one call each; {len(plan.fresh)} are"
        f" stored already. Calls made this month: {usage.calls}{of_limit}."
    )


def _list(plan: Plan) -> None:
    for row in plan.due:
        print(f"{row.category}  {row.name}  ({row.ecosystem})")


def _agreed(console: Console) -> bool:
    if not sys.stdin.isatty():
        console.print(f"More than {ASK_ABOVE} calls: say --yes to make them.")
        return False
    return console.input("Make these calls? [y/N] ").strip().lower() in ("y", "yes")


async def _walk(
    console: Console, indexer: Indexer, plan: Plan, delay: float, *, refresh: bool
) -> list[Step]:
    steps: list[Step] = []
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("Asking Context7", total=len(plan.due))
        async for step in indexer.run(plan, partial(anyio.sleep, delay), refresh=refresh):
            steps.append(step)
            bar.advance(task)
            if step.result in (Result.FAILED, Result.QUOTA):
                bar.console.print(one_line(f"{step.row.name}: {step.told}"))
    return steps


def _summary(plan: Plan, steps: list[Step]) -> int:
    """Print the ticket's summary; `index` again goes on where this ended."""
    counted = Counter(step.result for step in steps)
    saves = LOOK_UPS_A_DAY * sum(step.saves for step in steps)
    left = len(plan.due) - len(steps) + counted[Result.QUOTA]
    print(f"total    {len(plan.due) + len(plan.fresh)}")
    print(f"indexed  {counted[Result.INDEXED]}")
    print(f"skipped  {len(plan.fresh)}")
    print(f"unknown  {counted[Result.UNKNOWN]}")
    print(f"failed   {counted[Result.FAILED]}")
    print(f"tokens saved a day, at {LOOK_UPS_A_DAY} look-ups each: {saves}")
    if counted[Result.QUOTA]:
        print(f"Stopped at the quota with {left} to go: run `index` again later to go on.")
    return 1 if counted[Result.FAILED] or counted[Result.QUOTA] else 0
