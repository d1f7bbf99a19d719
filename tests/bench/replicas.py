"""Replicas on one Redis: calls a second and p99 of a mix, round trips to Redis, what traces cost.

1, 2 and 4 servers of the product, each on a home of its own, share a real Redis and the real
@upstash/context7-mcp 4.1.1, which stands in front of a stand-in of Context7's API that answers at
once. 16 clients on connections that are kept alive spread their calls over them; of ten calls nine
are hits, and one is a new question. Each reply has to be an answer. All of them, Redis, node and
the clients share this machine's cores, which limits what more servers can bring.

Round trips are the commands that Redis's MONITOR shows, without those inside scripts. Hits are
asked of another server than the one that stored them, one after the other. What is recorded and
counted behind the calls is known by its script. Traces go to a receiver on this machine; a server
with and one without take turns, and the ratio is the median of the rounds' own.

Needs node, npm and redis-server. Takes about two minutes, with --quick half of one.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bench.harness import QUICK, Ratio, Report, Times, ratio, run, timed_race
from bench.http_load import JSON, Load, load
from bench.upstream import api_server, context7_server
from bench.workload import ASKED, LONG, Arguments, docs
from context7_fabric.fabric.backends.redis.connection import SCRIPTS
from support.listener import serving
from support.processes import spawn
from support.product import Variables
from support.redis_servers import RedisServer, redis_server
from support.replicas import Replica, replicas

SERVERS = (1, 2, 4)
CLIENTS = 16
NEW_EVERY = 10
MOST_TRIPS = 2
MOST_TRACED = 1.1
SECONDS = 60.0
MARK = "the end of what is counted"


MIXED, COUNTED, LAP, ROUNDS = 4000, 200, 300, 15  # calls of each part, and rounds of laps


Trips = tuple[float, float]  # round trips a call: those it waits for, those that write behind it


@dataclass
class Receiver:
    """A receiver of traces: an ASGI application that counts its requests."""

    requests: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        self.requests += 1
        await Response()(scope, receive, send)


def measure(options: argparse.Namespace) -> Report:
    """Measure the mix on each number of servers, then round trips, then traces."""
    share, report = 0.25 if options.quick else 1.0, Report("Replicas on one Redis")
    with (
        api_server() as api,
        context7_server(api) as (_process, url),
        TemporaryDirectory(prefix="replicas-") as name,
    ):
        folder, upstream = Path(name), {"CONTEXT7_FABRIC_UPSTREAM": url}
        mixes = {
            each: _mix(folder / f"{each}", each, upstream, int(MIXED * share)) for each in SERVERS
        }
        (waits, writes), miss = _trips(folder / "trips", upstream, int(COUNTED * share))
        traced, traces = _traced(folder / "traced", upstream, int(ROUNDS * share))
    _add_mixes(report, mixes)
    report.remarks.append(f"round trips to Redis a miss: {sum(miss):.2f}")
    report.remarks.append(f"round trips to Redis that write behind a hit: {writes:.2f}")
    report.at_most("round trips to Redis that a hit waits for", waits, MOST_TRIPS)
    report.at_most("a hit with traces on, times as long", traced, MOST_TRACED)
    report.at_least("requests with traces that were received", traces, 1)
    return report


def _add_mixes(report: Report, mixes: dict[int, Load]) -> None:
    table = report.table(
        "", "servers", "calls a second", "p50 ms", "p99 ms", "calls", "hits",
        "times one server's rate", left=0,
    )  # fmt: skip
    rates = {servers: len(each.times) / each.seconds for servers, each in mixes.items()}
    for servers, each in mixes.items():
        rate, times = rates[servers], f"{rates[servers] / rates[1]:.2f}"
        cells = (f"{rate:,.0f}", *Times([each.times]).cells(), f"{each.hits:,}", times)
        table.add_row(str(servers), *cells)


@contextmanager
def _running(
    folder: Path, upstream: Variables, *more: Variables
) -> Iterator[tuple[RedisServer, list[Replica]]]:
    """Run Redis, and a replica for each of the settings, which come on top of the upstream."""
    with redis_server() as redis:
        store = {"CONTEXT7_FABRIC_BACKEND": redis.url}
        with replicas(folder, *({**upstream, **store, **each} for each in more)) as these:
            yield redis, these


async def _ask(these: Sequence[Replica], asked: Sequence[Arguments], clients: int = 1) -> Load:
    return await load([each.served.url("/mcp") for each in these], JSON, clients, asked)


def _mix(folder: Path, servers: int, upstream: Variables, calls: int) -> Load:
    """Store all that is asked again, then measure the mix."""
    new = _new_questions()
    asked = [
        next(new) if number % NEW_EVERY == 0 else ASKED[number % len(ASKED)]
        for number in range(calls)
    ]
    with _running(folder, upstream, *[{}] * servers) as (_redis, these):
        asyncio.run(_ask(these[:1], ASKED))
        return asyncio.run(_ask(these, asked, CLIENTS))


def _trips(folder: Path, upstream: Variables, calls: int) -> tuple[Trips, Trips]:
    new = _new_questions()
    with _running(folder, upstream, {}, {}) as (redis, (first, second)):
        stored, missing = ([*islice(new, calls)] for _kind in range(2))
        asyncio.run(_ask([first], stored))
        asyncio.run(_ask([second], ASKED))
        return _counted(redis, second, stored), _counted(redis, second, missing)


def _new_questions() -> Iterator[Arguments]:
    return (docs(LONG, f"What is new about response {number}?") for number in count())


def _counted(redis: RedisServer, replica: Replica, asked: Sequence[Arguments]) -> Trips:
    """Return the round trips of a call; all of them have to be hits, or none."""
    with spawn(["redis-cli", "-p", str(redis.port), "monitor"]) as monitor:
        monitor.out.wait_for("^OK$", SECONDS)
        hits = asyncio.run(_ask([replica], asked)).hits
        redis.cli("ECHO", MARK)
        monitor.out.wait_for(MARK, SECONDS)
        lines = monitor.out.text.splitlines()
    if hits not in (0, len(asked)):
        raise RuntimeError(f"{hits} hits of {len(asked)}")
    commands = [each for each in lines if '"' in each and " lua]" not in each][:-1]
    writes, calls = sum(SCRIPTS["put"].digest in each for each in commands), len(asked) + 1
    return (len(commands) - writes) / calls, writes / calls


def _traced(folder: Path, upstream: Variables, rounds: int) -> tuple[Ratio, int]:
    """Return how many times as long a hit takes with traces on, and the requests with traces."""
    receiver = Receiver()
    with ExitStack() as stack:
        port = stack.enter_context(serving(receiver))
        on = {"LANGSMITH_API_KEY": "bench", "LANGSMITH_ENDPOINT": f"http://127.0.0.1:{port}"}
        off = {"OTEL_SDK_DISABLED": "true"}
        _redis, (plain, traced) = stack.enter_context(_running(folder, upstream, off, on))
        laps = {"off": partial(_hits, plain), "on": partial(_hits, traced)}
        asked = [*islice(cycle(ASKED), LAP)]
        times = anyio.run(timed_race, laps, lambda: asked, rounds)
        traced.stop()  # it sends the rest of its traces
        return ratio(times["on"], times["off"]), receiver.requests


async def _hits(replica: Replica, asked: Sequence[Arguments]) -> list[float]:
    return [*(await _ask([replica], asked)).times]


if __name__ == "__main__":
    sys.exit(run(__doc__, measure, quick=QUICK))
