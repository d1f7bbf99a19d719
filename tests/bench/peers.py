"""Side by side with the peers: start, calls, many calls in flight, memory.

    PYTHONPATH=tests .venv/bin/python tests/bench/peers.py [--quick] [--only PART] [--mode MODE]

"node" is the real @upstash/context7-mcp 4.1.1 on stdio, in front of a stand-in of Context7's API
that answers at once, from a process of its own. "FastMCP" is its proxy with its caching middleware
in front of the same. "SDK" is a tool of a few lines on the Python SDK, "stdlib loop" a loop that
knows one answer. "Ours" is the command as users start it: with the daemon running (warm), with none
(cold), or without one (in process). Its upstream is the real server on HTTP; its answers were
stored by asking for them. The client is a raw one over pipes; it checks that each hit is one.

All take turns, round by round, in one run. A ratio is the median of the rounds' own, with the least
and the most; p99 is of all calls, and of fewer than 100 calls the longest. Memory is summed over
all processes, children and daemon included: RSS is what is claimed of, PSS counts what processes
share once. The upstream is no part of it: it stands for a service elsewhere.

Needs node, npm and .venv-peers (`make bench` makes it). Takes about five minutes, with --quick one.

Exit code: 0 all claims hold, 1 one does not, 2 wrong usage or a peer is missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bench.contestants import (
    COLD,
    FASTMCP,
    INSIDE,
    LOOP,
    MODES,
    NODE,
    PEERS_PYTHON,
    SDK,
    SDK_LONG,
    WARM,
    Field,
    gathered,
)
from bench.errands import ASKED
from bench.exchanges import at_once, exchanges, one_by_one
from bench.importtimes import import_times
from bench.machine import machine
from bench.memory import after_mixed_calls, growth, windows, with_worker
from bench.needs import lacking, refuse
from bench.sheets import sheets
from bench.starts import starts, to_answer, to_initialize
from bench.verdicts import ANSWER, CALL, FLIGHT, INITIALIZE, Results, claims, goals
from support.model import model_path
from support.upstreams import context7_command


@dataclass(frozen=True)
class Plan:
    """How much is measured: rounds, calls in a lap of each kind, hits, profiles."""

    starts: int
    rounds: int
    calls: int
    flying: int
    windows: int
    hits: int
    profiles: int


FULL = Plan(starts=11, rounds=15, calls=100, flying=320, windows=3, hits=10_000, profiles=5)
QUICK = Plan(starts=2, rounds=3, calls=30, flying=96, windows=1, hits=1_000, profiles=1)


def main() -> int:
    """Measure, print, and return the exit code."""
    options = _options()
    if why := lacking(context7_command):
        return refuse(why)
    if not PEERS_PYTHON.exists():
        return refuse("there is no .venv-peers: `make bench` makes it")
    told = machine()
    results = _measured(QUICK if options.quick else FULL, options.only, options.mode)
    verdicts = [*claims(results)]
    print("# Beside the peers", "", told, *sheets(results), "", sep="\n")
    for line in (*results.left_out, *goals(results), *verdicts):
        print(f"- {line}")
    return 0 if all(each.holds for each in verdicts) else 1


def _options() -> argparse.Namespace:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="see whether it works")
    parser.add_argument("--only", choices=PARTS, action="append", help="all parts without")
    parser.add_argument("--mode", choices=MODES, action="append", help="all of ours without")
    return parser.parse_args()


def _measured(plan: Plan, only: list[str] | None, chosen: list[str] | None) -> Results:
    results = Results()
    modes = [MODES[each] for each in chosen or MODES]
    with (
        TemporaryDirectory(prefix="peers-") as name,
        gathered(Path(name), modes, _model(results)) as field,
    ):
        for part, measure in PARTS.items():
            if not only or part in only:
                measure(field, plan, results)
    return results


def _model(results: Results) -> Path | None:
    try:
        return model_path()
    except pytest.skip.Exception as reason:
        results.left_out.append(f"memory with the worker: not measured, {reason}")
        return None


def _starts(field: Field, plan: Plan, results: Results) -> None:
    asked = ASKED[:1]
    everybody = (WARM, COLD, INSIDE, NODE, FASTMCP, SDK, LOOP)
    results.races[INITIALIZE] = starts(field, everybody, to_initialize, asked, plan.starts)
    results.races[ANSWER] = starts(field, everybody[:5], to_answer, asked, plan.starts)


def _calls(field: Field, plan: Plan, results: Results) -> None:
    everybody = (WARM, INSIDE, NODE, FASTMCP, SDK, SDK_LONG, LOOP)
    laps = [(one_by_one, plan.calls), (at_once, plan.flying)]
    results.races[CALL], results.races[FLIGHT] = exchanges(field, everybody, laps, plan.rounds)


def _imports(field: Field, plan: Plan, results: Results) -> None:
    for contestant in field.those([INSIDE]):
        results.imports = import_times(contestant, plan.profiles)


def _memory(field: Field, plan: Plan, results: Results) -> None:
    """Weigh everybody, then ours with a worker, which needs an upstream that is gone."""
    everybody = field.those((WARM, INSIDE, NODE, FASTMCP))
    ours = [each for each in everybody if each.ours]
    for each in everybody * plan.windows:
        with windows(each) as opened:
            results.windows.setdefault(each.name, []).append(after_mixed_calls(opened))
    results.hits = plan.hits
    for each in ours:
        results.growth[each.name] = growth(each, plan.hits)
    field.upstream.stop()
    for each in ours if field.model else ():
        with windows(each) as opened:
            after_mixed_calls(opened)
            results.worker[each.name] = [with_worker(opened)]


PARTS: Mapping[str, Callable[[Field, Plan, Results], None]] = {
    "starts": _starts,
    "calls": _calls,
    "imports": _imports,
    "memory": _memory,
}
"""What can be measured, by the words of the command line; memory last, for it ends upstream."""


if __name__ == "__main__":
    sys.exit(main())
