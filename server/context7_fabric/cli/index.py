"""`index`: resolve the seed libraries through Context7 ahead of time."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console

from context7_fabric.answers.prefetch import (
    LOOK_UPS_A_DAY,
    Prefetcher,
    PrefetchPlan,
    PrefetchResult,
    PrefetchStatus,
    UnknownNames,
)
from context7_fabric.cli.output import can_ask, is_agreed, plain_console, print_json, with_app
from context7_fabric.cli.progress import interrupted, progress
from context7_fabric.cli.text import CommandParser
from context7_fabric.durations import format_duration
from context7_fabric.errors import SettingError
from context7_fabric.models import Caller
from context7_fabric.registry.rows import Row
from context7_fabric.registry.seeds import Seeds, load_seeds
from context7_fabric.relay.usage import suggestion
from context7_fabric.runtime.app import App

ASK_ABOVE = 50
"""Number of calls above which `--yes` is needed without a terminal."""

DEFAULT_DELAY = 0.5


def run(words: list[str]) -> int:
    """Resolve the seeds that are due; exit code 1 after a failure or at the quota."""
    options = _parser().parse_args(words)
    delay = _delay(os.environ.get("CONTEXT7_RESOLVE_DELAY", ""))
    console = plain_console(stderr=True)

    steps: list[PrefetchResult] = []

    async def work(app: App) -> int:
        seeds = load_seeds(options.seed or app.settings.seed_file)
        for error in seeds.left_out:
            console.print(str(error), soft_wrap=True)
        rows = list(seeds.rows)
        indexer = _indexer(app, _ttl(app, seeds))
        plan = await indexer.plan(_chosen(rows, options.category), refresh=options.refresh)
        await _announce(console, app, plan)
        if options.dry_run:
            _list(plan, seeds, as_json=options.json)
            return 0
        if not options.yes and not _agreed(console, len(plan.due)):
            return 1
        await _walk(indexer, plan, delay, steps, refresh=options.refresh)
        summary = _summary(plan, steps, seeds)
        if options.json:
            print_json(summary)
        else:
            _print(summary, _ttl(app, seeds))
        return 1 if summary["failed"] or summary["stopped_at_quota"] else 0

    try:
        return with_app(work)
    except KeyboardInterrupt:
        asked = "1 library is" if len(steps) == 1 else f"{len(steps):,} libraries are"
        return interrupted(f"{asked} done and stored; run `index` again to go on")


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "context7-fabric index",
        description="Resolve the seed libraries through Context7 and store the answers.",
    )
    parser.add_argument(
        "--refresh", action="store_true", help="also those that are fresh or were unknown"
    )
    parser.add_argument("--category", metavar="C", help="only the seeds of this category")
    parser.add_argument(
        "--dry-run", action="store_true", help="only print the libraries to ask for"
    )
    parser.add_argument("--seed", metavar="FILE", type=Path, help="another seed file")
    parser.add_argument("--yes", action="store_true", help="make the calls without asking")
    parser.add_argument("--json", action="store_true", help="the result as a JSON object")
    return parser


def _indexer(app: App, ttl: float) -> Prefetcher:
    origin = app.settings.upstream.origin
    unknown = UnknownNames(app.fabric, origin, app.principal, ttl)
    return Prefetcher(app.services.resolver, app.services.call_gate, Caller(app.principal), unknown)


def _ttl(app: App, seeds: Seeds) -> float:
    """Return the seconds until an unknown name is asked for again, those of a look-up."""
    ttl = app.settings.freshness.library_ttl
    return seeds.ttl_days * 86400.0 if ttl is None else ttl


def _delay(text: str) -> float:
    """Return the seconds between two calls."""
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
        known = sorted({row.category for row in rows})
        hint = suggestion(category, known)
        raise SettingError("--category", category, f"one of {', '.join(known)}{hint}")
    return chosen


async def _announce(console: Console, app: App, plan: PrefetchPlan) -> None:
    usage, limit = await app.services.quota.month(), app.services.quota.monthly_calls
    of_limit = f" of {limit}" if limit is not None else ""
    unknown = f", {len(plan.unknown)} are unknown to it" if plan.unknown else ""
    console.print(
        f"{len(plan.due)} libraries to ask Context7 for, one call each; {len(plan.fresh)} are"
        f" stored already{unknown}.\nCalls made this month: {usage.calls}{of_limit}.",
        soft_wrap=True,
    )


def _list(plan: PrefetchPlan, seeds: Seeds, *, as_json: bool) -> None:
    if as_json:
        left_out = list(map(str, seeds.left_out))
        unknown = _names(plan.unknown)
        fresh = len(plan.fresh)
        print_json(
            {"due": _names(plan.due), "stored": fresh, "unknown": unknown, "left_out": left_out}
        )
        return
    for row in plan.due:
        print(f"{row.category}  {row.name}  ({row.ecosystem})")


def _agreed(console: Console, calls: int) -> bool:
    if calls and can_ask():
        return is_agreed(f"Make {calls} calls to Context7? [y/N] ", "No call was made.")
    if calls > ASK_ABOVE:
        console.print(f"More than {ASK_ABOVE} calls: --yes makes them.")
    return calls <= ASK_ABOVE


async def _walk(
    indexer: Prefetcher,
    plan: PrefetchPlan,
    delay: float,
    steps: list[PrefetchResult],
    *,
    refresh: bool,
) -> None:
    """Ask for the libraries that are due; `steps` gets the result of each at once."""
    total = len(plan.due)
    with progress("Asking Context7") as shown:
        async for step in indexer.run(plan, partial(anyio.sleep, delay), refresh=refresh):
            steps.append(step)
            shown.done(len(steps), total, f"{len(steps):,} of {total:,} libraries")
            if step.result in (PrefetchStatus.FAILED, PrefetchStatus.QUOTA):
                shown.note(f"{step.row.name}: {step.reason}")


def _summary(plan: PrefetchPlan, steps: Sequence[PrefetchResult], seeds: Seeds) -> dict[str, Any]:
    """Return the result of this run; the next run continues after it."""
    counted = Counter(step.result for step in steps)
    unknown = [step.row for step in steps if step.result is PrefetchStatus.UNKNOWN]
    failed = [step for step in steps if step.result is PrefetchStatus.FAILED]
    return {
        "total": len(plan.due) + len(plan.fresh) + len(plan.unknown),
        "indexed": counted[PrefetchStatus.INDEXED],
        "skipped": len(plan.fresh),
        "unknown": _names([*plan.unknown, *unknown]),
        "failed": [{"name": _name(step.row), "reason": step.reason} for step in failed],
        "left_out": list(map(str, seeds.left_out)),
        "tokens_saved_a_day": LOOK_UPS_A_DAY * sum(step.saves for step in steps),
        "stopped_at_quota": counted[PrefetchStatus.QUOTA] > 0,
        "to_go": len(plan.due) - len(steps) + counted[PrefetchStatus.QUOTA],
    }


def _print(summary: Mapping[str, Any], ttl: float) -> None:
    print(f"total    {summary['total']}")
    print(f"indexed  {summary['indexed']}")
    print(f"skipped  {summary['skipped']}")
    print(f"unknown  {len(summary['unknown'])}")
    print(f"failed   {len(summary['failed'])}")
    print(f"tokens saved a day, at {LOOK_UPS_A_DAY} look-ups each: {summary['tokens_saved_a_day']}")
    if summary["unknown"]:
        print(
            f"Context7 does not know these; they are asked for again after {format_duration(ttl)},"
            " or with --refresh:"
        )
        print(*(f"  {name}" for name in summary["unknown"]), sep="\n")
    if summary["stopped_at_quota"]:
        left = summary["to_go"]
        print(f"Stopped at the quota with {left} to go: run `index` again later to continue.")


def _names(rows: Sequence[Row]) -> list[str]:
    return [_name(row) for row in rows]


def _name(row: Row) -> str:
    return f"{row.name} ({row.ecosystem})"
