"""Replicas on one Redis: calls a second and p99 of a mix, round trips to Redis, what traces cost.

    PYTHONPATH=tests .venv/bin/python tests/bench/replicas.py [--quick]

1, 2 and 4 servers of the product, each on a home of its own, share a real Redis and the real
@upstash/context7-mcp 4.1.1, which stands in front of a stand-in of Context7's API that answers at
once. 16 clients on connections that are kept alive spread their calls over them; of ten calls nine
are hits, and one asks what nobody asked before. Each reply has to be an answer. All of them, Redis,
node and the clients share this machine's cores: what more servers bring shows as far as these go.

Round trips are what Redis's MONITOR tells of, leaving out what scripts do inside. Hits are asked of
another server than the one that stored them, one after the other. What is recorded and counted
behind the calls is told apart by its script. Traces go to a receiver on this machine; a server with
and one without take turns, round by round, and the ratio is the median of the rounds' own.

Needs node, npm and redis-server. Takes about two minutes, with --quick half of one.

Exit code: 0 all claims hold, 1 one does not, 2 wrong usage or node is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bench.backend import backend
from bench.errands import ASKED
from bench.machine import machine
from bench.replica_calls import Caller, ask_all, new_question, one_by_one
from bench.rounds import Ratio, Times, ratio
from bench.rpc import Arguments
from bench.scores import Claim
from bench.verdicts import told
from context7_fabric.fabric.backends.redis.connection import SCRIPTS
from support.listener import serving
from support.processes import spawn
from support.product import Variables
from support.redis_servers import RedisServer, redis_server
from support.replicas import Replica, replicas
from support.upstreams import READY, clean_environment, context7_command, free_port

SERVERS = (1, 2, 4)
CLIENTS = 16
NEW_EVERY = 10
MOST_TRIPS = 2
MOST_TRACED = 1.1
SECONDS = 60.0
MARK = "the end of what is counted"


@dataclass(frozen=True)
class Plan:
    """How many calls a mix has, how many are counted in Redis, and the rounds of the traces."""

    mixed: int
    counted: int
    rounds: int
    lap: int


FULL = Plan(mixed=4000, counted=200, rounds=15, lap=300)
QUICK = Plan(mixed=800, counted=50, rounds=5, lap=100)


@dataclass(frozen=True)
class Mix:
    """What so many servers did with the mix."""

    servers: int
    rate: float
    times: Times
    hits: int


@dataclass(frozen=True)
class Trips:
    """Round trips to Redis a call: all, and those that write, which a hit does not wait for."""

    all: float
    writing: float

    @property
    def reading(self) -> float:
        """Those that a hit waits for."""
        return self.all - self.writing


@dataclass
class Received:
    """A receiver of traces: an ASGI application that counts what it is sent."""

    requests: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request."""
        while (await receive()).get("more_body"):
            pass
        self.requests += 1
        await Response()(scope, receive, send)


def main() -> int:
    """Measure, print, and return the exit code."""
    plan = QUICK if _options().quick else FULL
    try:
        context7_command()
    except pytest.skip.Exception as reason:
        print(reason, file=sys.stderr)
        return 2
    heading = machine()
    with _upstream() as upstream, TemporaryDirectory(prefix="replicas-") as name:
        folder = Path(name)
        mixes = [_mix(folder / f"{number}", number, upstream, plan) for number in SERVERS]
        hit, miss = _trips(folder / "trips", upstream, plan)
        traced, traces = _traced(folder / "traced", upstream, plan)
    print("# Replicas on one Redis", "", heading, "", *_table(mixes), "", sep="\n")
    print(f"- round trips to Redis a miss: {miss.all:.2f}")
    claims = [_few_trips(hit), _cheap_traces(traced, traces)]
    for claim in claims:
        print(f"- {claim}")
    return 0 if all(each.holds for each in claims) else 1


def _few_trips(hit: Trips) -> Claim:
    text = f"a hit waits for at most {MOST_TRIPS} round trips to Redis"
    seen = f"{hit.reading:.2f}, and {hit.writing:.2f} that write behind it"
    return Claim(text, seen, hit.reading <= MOST_TRIPS)


def _cheap_traces(traced: Ratio, received: int) -> Claim:
    text = f"a hit takes at most {MOST_TRACED} times as long with traces on"
    seen = f"{told(traced)}; {received} requests with traces were received"
    return Claim(text, seen, traced.median <= MOST_TRACED and received > 0)


def _options() -> argparse.Namespace:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="see whether it works")
    return parser.parse_args()


@contextmanager
def _upstream() -> Iterator[Variables]:
    """What makes the product ask the real server, for the length of the block."""
    with backend() as api:
        command = [*context7_command(), "--transport", "http", "--port", str(free_port())]
        with spawn(command, clean_environment({"CONTEXT7_API_URL": api.url})) as server:
            port = server.err.wait_for(READY, SECONDS)[1]
            yield {"CONTEXT7_FABRIC_UPSTREAM": f"http://127.0.0.1:{port}/mcp"}


@contextmanager
def _running(
    folder: Path, upstream: Variables, *more: Variables
) -> Iterator[tuple[RedisServer, list[Replica]]]:
    """A Redis and a replica for each of the settings, which come on top of the upstream."""
    with redis_server() as redis:
        store = {"CONTEXT7_FABRIC_BACKEND": redis.url}
        with replicas(folder, *({**upstream, **store, **each} for each in more)) as these:
            yield redis, these


def _mix(folder: Path, servers: int, upstream: Variables, plan: Plan) -> Mix:
    with _running(folder, upstream, *[{}] * servers) as (_redis, these):
        return asyncio.run(_mixed(these, plan))


async def _mixed(these: Sequence[Replica], plan: Plan) -> Mix:
    """Have all that is asked stored and every connection open; then take the time of the mix."""
    callers = [Caller(these[number % len(these)]) for number in range(CLIENTS)]
    await one_by_one(callers[0], ASKED)
    await asyncio.gather(*(each.call(ASKED[0]) for each in callers))
    waiting = iter(range(plan.mixed))
    seen: list[tuple[float, bool]] = []

    async def work(caller: Caller) -> None:
        for number in waiting:
            asked = new_question() if number % NEW_EVERY == 0 else ASKED[number % len(ASKED)]
            seen.append(await caller.call(asked))

    begun = time.perf_counter()
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(work(each) for each in callers))
    seconds = time.perf_counter() - begun
    for each in callers:
        each.close()
    times = Times(f"{len(these)}", (tuple(ms for ms, _hit in seen),))
    return Mix(len(these), len(seen) / seconds, times, sum(hit for _ms, hit in seen))


def _trips(folder: Path, upstream: Variables, plan: Plan) -> tuple[Trips, Trips]:
    """Return the round trips of a hit, and of a miss."""
    with _running(folder, upstream, {}, {}) as (redis, (first, second)):
        stored, new = ([new_question() for _number in range(plan.counted)] for _kind in range(2))
        asyncio.run(ask_all(first, stored))
        asyncio.run(ask_all(second, ASKED))
        return _counted(redis, second, stored), _counted(redis, second, new)


def _counted(redis: RedisServer, replica: Replica, asked: Sequence[Arguments]) -> Trips:
    """Return the round trips of a call among those that ask all this.

    Raises:
        RuntimeError: Some were hits, and some were not.
    """
    with spawn(["redis-cli", "-p", str(redis.port), "monitor"]) as monitor:
        monitor.out.wait_for("^OK$", SECONDS)
        hits = asyncio.run(ask_all(replica, asked))
        redis.cli("ECHO", MARK)
        monitor.out.wait_for(MARK, SECONDS)
        lines = monitor.out.text.splitlines()
    if hits not in (0, len(asked)):
        raise RuntimeError(f"{hits} hits of {len(asked)}")
    commands = [each for each in lines if '"' in each and " lua]" not in each][:-1]
    writes = sum(SCRIPTS["put"].digest in each for each in commands)
    return Trips(len(commands) / len(asked), writes / len(asked))


def _traced(folder: Path, upstream: Variables, plan: Plan) -> tuple[Ratio, int]:
    """Return how many times as long a hit takes with traces on, and how often these were sent."""
    received = Received()
    with ExitStack() as stack:
        port = stack.enter_context(serving(received))
        on = {"LANGSMITH_API_KEY": "bench", "LANGSMITH_ENDPOINT": f"http://127.0.0.1:{port}"}
        off = {"OTEL_SDK_DISABLED": "true"}
        _redis, (plain, traced) = stack.enter_context(_running(folder, upstream, off, on))
        times = asyncio.run(_in_turns(plain, traced, plan))
        traced.stop()  # what was not sent yet is sent now
        return ratio(*times), received.requests


async def _in_turns(plain: Replica, traced: Replica, plan: Plan) -> tuple[Times, Times]:
    """Return the times of hits without and with traces; a first round does not count."""
    entrants = {"off": Caller(plain), "on": Caller(traced)}
    laps: dict[str, list[tuple[float, ...]]] = {name: [] for name in entrants}
    for number in range(plan.rounds + 1):
        for name in [*entrants][:: 1 if number % 2 else -1]:
            asked = [ASKED[at % len(ASKED)] for at in range(plan.lap)]
            seen = await one_by_one(entrants[name], asked)
            if number:
                laps[name].append(tuple(ms for ms, _hit in seen))
    for each in entrants.values():
        each.close()
    return Times("off", tuple(laps["off"])), Times("on", tuple(laps["on"]))


def _table(mixes: Sequence[Mix]) -> Iterator[str]:
    yield "| servers | calls a second | p50 ms | p99 ms | calls | hits | times one server's rate |"
    yield "| --: | --: | --: | --: | --: | --: | --: |"
    for each in mixes:
        waits = (
            f"{each.times.p50:.2f} | {each.times.p99:.2f} | {each.times.calls:,} | {each.hits:,}"
        )
        yield f"| {each.servers} | {each.rate:,.0f} | {waits} | {each.rate / mixes[0].rate:.2f} |"


if __name__ == "__main__":
    sys.exit(main())
