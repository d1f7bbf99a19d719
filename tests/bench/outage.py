"""What clients get while Context7 is in trouble, how soon, and whether the store stays clean.

    PYTHONPATH=tests .venv/bin/python tests/bench/outage.py [--upstream command|http] [--json] …

The product runs as users start it, over stdio, in front of the real @upstash/context7-mcp 4.1.1,
which asks a stand-in of its HTTP API on this machine. Each trouble (429, hanging, killed, …) meets
each state of the store (fresh, stale, expired, nothing) with both tools: outcome, words, time, and
how many calls reached the API. Afterwards every entry of every store is compared with the truth.
Then upstream goes away in many ways and returns, and it is timed when the first right answer comes.

Needs node and npm. Takes about five minutes. Exit code: 0 all claims hold, 1 one does not, 2 wrong
usage or no node.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bench.askers import Recovery
from bench.machine import machine
from bench.recoveries import recoveries
from bench.stage import Cell, Ending, Plan, measure
from bench.stock import catalogue, find_truths
from bench.tables import outcomes, show, show_recoveries
from bench.troubles import SLOW_SECONDS, troubles
from support.context7_api import running_api
from support.product import DAEMON
from support.upstreams import NEWEST, context7_command

KINDS = ("command", "http")
RECOVERIES = "recoveries"
SOON = 0.05
MOST_TIMES = 4
"""With a fifth failure in a row the product would stop asking."""

TIMEOUT, PATIENCE = 1.2, 0.3


def main() -> int:
    """Measure, print, and return the exit code."""
    options = _options()
    plan = Plan(options.upstream, options.times, TIMEOUT, PATIENCE)
    try:
        context7_command()
    except pytest.skip.Exception as reason:
        print(reason, file=sys.stderr)
        return 2
    head = _head(plan)
    endings = _measured(plan, options.only)
    found = _recovered(options.daemon) if RECOVERIES in options.only else []
    cells = [cell for ending in endings for cell in ending.cells]
    broken = _broken_claims(endings) + [_late(each) for each in found if not each.kept]
    if options.json:
        told = {"cells": _plain(cells), "recoveries": [asdict(each) for each in found]}
        print(json.dumps({"measured": head, **told, "broken": broken}, indent=1))
    else:
        print("\n".join(head))
        if cells:
            show(cells)
            print(_stored(endings))
        if found:
            show_recoveries(found)
        print("\n".join(broken) or "All claims hold.")
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--upstream", choices=KINDS, default="command", help="how it is reached")
    parser.add_argument(
        "--times",
        type=int,
        choices=range(1, MOST_TIMES + 1),
        default=MOST_TIMES,
        metavar="N",
        help="calls a cell, 1 to 4 (default 4)",
    )
    parser.add_argument(
        "--daemon", choices=("off", "auto"), default=DAEMON, help="whether a daemon serves"
    )
    names = [*(each.name for each in troubles(TIMEOUT)), RECOVERIES]
    parser.add_argument(
        "--only",
        choices=names,
        nargs="+",
        default=names,
        metavar="TROUBLE",
        help=f"of {', '.join(names)}",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    return parser.parse_args()


def _head(plan: Plan) -> list[str]:
    asked = (
        f"In front of @upstash/context7-mcp {NEWEST} ({plan.kind}); each cell asks {plan.times}"
        " different questions or names, one after the other."
    )
    waits = (
        f"Set short for this run: upstream time-out {TIMEOUT:g} s (55 s by default), patience with"
        f" an expired copy at hand {PATIENCE:g} s (4 s by default). Slow means {SLOW_SECONDS:g} s."
    )
    return [machine(), asked, waits]


def _measured(plan: Plan, only: Sequence[str]) -> list[Ending]:
    with TemporaryDirectory(prefix="outage-") as name:
        folder = Path(name)
        with running_api(catalogue(plan.times)) as api:
            truths = find_truths(api, folder / "truths", plan.times)
        chosen = [each for each in troubles(plan.timeout) if each.name in only]
        return [
            ending
            for number, trouble in enumerate(chosen)
            for ending in measure(trouble, plan, truths, folder / str(number))
        ]


def _recovered(daemon: str) -> list[Recovery]:
    with TemporaryDirectory(prefix="outage-") as name:
        return recoveries(Path(name), daemon)


def _late(each: Recovery) -> str:
    after = "NEVER" if each.back_after is None else f"AFTER {each.back_after:.2f} s"
    return f"RIGHT AGAIN {after}, ALLOWED ARE {each.allowed:g} s: {each.name}"


def _broken_claims(endings: Sequence[Ending]) -> list[str]:
    """Hold the cells to what is promised; one line for each breach."""
    cells = [cell for ending in endings for cell in ending.cells]
    broken = [line for cell in cells for line in _breaches(cell)]
    for ending in endings:
        trouble, states = ending.cells[0].trouble, {cell.step.stored for cell in ending.cells}
        where = f"{trouble}, {' and '.join(sorted(states))}"
        broken += [f"WRONG IN THE STORE: {where}: {wrong}" for wrong in ending.shelf.wrong]
    return broken


def _breaches(cell: Cell) -> list[str]:
    where = f"{cell.trouble}, {cell.step.stored}, {cell.step.tool}"
    told = {each.outcome for each in cell.seen}
    breaches = []
    if cell.step.stored == "fresh" and (cell.calls or told != {"hit"}):
        breaches.append(
            f"FRESH, YET UPSTREAM WAS ASKED: {where}: {outcomes(cell)}, {cell.calls} calls"
        )
    if cell.step.stored == "stale" and (cell.median >= SOON or told != {"stale"}):
        breaches.append(
            f"STALE, YET NOT AT ONCE: {where}: {outcomes(cell)}, {cell.median * 1000:.0f} ms"
        )
    if any(each.outcome in ("hit", "stale") and not each.true for each in cell.seen):
        breaches.append(f"SERVED FROM THE STORE, AND NOT TRUE: {where}")
    return breaches


def _stored(endings: Sequence[Ending]) -> str:
    answers = sum(ending.shelf.answers for ending in endings)
    wrong = sum(len(ending.shelf.wrong) for ending in endings)
    others: Counter[str] = Counter()
    for ending in endings:
        others.update(ending.shelf.others)
    rest = ", ".join(f"{count} {kind}" for kind, count in sorted(others.items()))
    return (
        f"In {len(endings)} stores afterwards: {answers} answers, {wrong} of them wrong."
        f" Other entries: {rest}."
    )


def _plain(cells: Sequence[Cell]) -> list[dict[str, object]]:
    """Return the cells as JSON has them, texts shortened: a true answer is one of thousands."""
    plain = [asdict(cell) for cell in cells]
    for cell, each in zip(cells, plain, strict=True):
        each |= {"median_ms": cell.median * 1000, "longest_ms": cell.longest * 1000}
        for seen in each["seen"]:
            seen["text"] = seen["text"][:200]
    return plain


if __name__ == "__main__":
    sys.exit(main())
