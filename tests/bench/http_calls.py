"""Cached calls over HTTP beside node: calls a second and p99 with 1, 32 and 256 clients.

    PYTHONPATH=tests .venv/bin/python tests/bench/http_calls.py [--quick]

"node" is the real @upstash/context7-mcp 4.1.1 with `--transport http`, in front of a stand-in of
Context7's API that answers at once. "Ours" is the command with `--transport http`; its upstream is
that server, and its answers of 5 to 7 kB were stored by asking for them. "Floor" sends 6 kB at any
request: no client is faster. The client is a raw one in a process of its own, with a connection for
each of its clients, kept alive; its next call goes out when the one before it is answered. It
checks that each reply is an answer and has the form that is measured: an event stream for a client
of 2025-06-18, JSON for one of 2026-07-28. Each of our answers has to be a hit, and each of node's
calls has to reach the API.

All take turns, round by round, in one run. A rate is the median of the rounds, p99 is of all calls,
and a ratio is the median of the rounds' own, with the least and the most.

Needs node and npm. Takes about three minutes, with --quick one.

Exit code: 0 all claims hold, 1 one does not, 2 wrong usage or node is missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.http_field import FLOOR, NODE, OURS, Field, Lap, gathered
from bench.http_load import JSON, SSE, VERSIONS
from bench.machine import machine
from bench.needs import lacking, refuse
from bench.rounds import Ratio, Times, ratio
from bench.scores import Claim
from bench.verdicts import told
from support.upstreams import context7_command

FORMS = (SSE, JSON)
CLIENTS = (1, 32, 256)
CLAIMED = 32
LEAST_TIMES_NODES = 1.5

Race = Mapping[str, list[Lap]]
"""The laps of all servers, by their names."""


@dataclass(frozen=True)
class Plan:
    """How many rounds there are, and calls in a lap of one client and of several."""

    rounds: int
    alone: int
    together: int


FULL = Plan(rounds=11, alone=200, together=1024)
QUICK = Plan(rounds=3, alone=100, together=512)


def main() -> int:
    """Measure, print, and return the exit code."""
    plan = QUICK if _options().quick else FULL
    if why := lacking(context7_command):
        return refuse(why)
    heading = machine()
    with TemporaryDirectory(prefix="http-") as folder, gathered(Path(folder)) as everybody:
        races = {
            (form, clients): _race(everybody, form, clients, plan)
            for form in FORMS
            for clients in CLIENTS
        }
    print("# Cached calls over HTTP", "", heading, "", *_table(races), "", sep="\n")
    claims = [_claim(form, races[form, CLAIMED]) for form in FORMS]
    for claim in claims:
        print(f"- {claim}")
    return 0 if all(each.holds for each in claims) else 1


def _options() -> argparse.Namespace:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="see whether it works")
    return parser.parse_args()


def _race(everybody: Field, form: str, clients: int, plan: Plan) -> Race:
    """Let all take turns; who began a round ends the next, and the first does not count."""
    laps: dict[str, list[Lap]] = {name: [] for name in (OURS, NODE, FLOOR)}
    calls = plan.alone if clients == 1 else plan.together
    for number in range(plan.rounds + 1):
        for name in [*laps][:: 1 if number % 2 else -1]:
            lap = everybody.lap(name, form, clients, calls)
            if number:
                laps[name].append(lap)
    return laps


def _table(races: Mapping[tuple[str, int], Race]) -> Iterator[str]:
    yield "| | clients | | calls a second | p50 ms | p99 ms | calls | times node's rate |"
    yield "| --- | --: | --- | --: | --: | --: | --: | --: |"
    for (form, clients), race in races.items():
        for name, laps in race.items():
            waits = Times(name, tuple(each.times for each in laps))
            rate = f"{1000 / _pace(name, race).p50:,.0f}"
            figures = f"{rate} | {waits.p50:.2f} | {waits.p99:.2f} | {waits.calls:,}"
            beside = "" if name == NODE else told(_faster(name, race))
            yield f"| {_told(form)} | {clients} | {name} | {figures} | {beside} |"


def _told(form: str) -> str:
    return f"{VERSIONS[form]}, {form}"


def _pace(name: str, race: Race) -> Times:
    """Return the ms a call of each lap: the time of all calls by their number."""
    return Times(name, tuple((each.seconds * 1000 / len(each.times),) for each in race[name]))


def _faster(name: str, race: Race) -> Ratio:
    return ratio(_pace(NODE, race), _pace(name, race))


def _claim(form: str, race: Race) -> Claim:
    found = _faster(OURS, race)
    who = f"{_told(form)}, {CLAIMED} clients"
    text = f"{who}: at least {LEAST_TIMES_NODES} times node's calls a second"
    return Claim(text, told(found), found.median >= LEAST_TIMES_NODES)


if __name__ == "__main__":
    sys.exit(main())
