"""A long run: clients over HTTP and in windows ask for half an hour, and nothing goes wrong.

A server on HTTP with four clients (two of either protocol era), and a daemon with two windows, each
over a store of its own and in front of the real @upstash/context7-mcp, whose API is a stand-in
without delay. A client rests 50 ms after every answer. Of its requests 80 % ask for documentation
that is stored, 10 % look a library up, 5 % ask something new, 5 % read resources or list things.
Memory is what is resident, sampled every five seconds.

"Flat": after the first sixth of the time, in which caches fill, the medians of the sixths behind it
lie within 10 % of each other.

Needs node and npm.
"""

import argparse
import json
import random
import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit

from bench.harness import Report, memory, milliseconds_since, percentile, run
from bench.http_load import ENVELOPE, JSON, SSE, VERSIONS
from bench.peer_servers import IDLE, Server
from bench.upstream import api_server, context7_server
from bench.workload import DOCS, LIBRARIES, LONG, LOOK_UP, QUESTIONS, docs, look_up
from support.product import PROGRAM, product_at_port, product_environment

MINUTES = 30.0
PARTS = 6
FLAT = 10.0
WINDOWS, CLIENTS_OF_AN_ERA = 2, 2
REST_SECONDS = 0.05  # pause of a client after each answer
SAMPLE_SECONDS = 5.0
HTTP, DAEMON = "HTTP server", "daemon"
SERVERS = (HTTP, DAEMON)
ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
_MESSAGE = re.compile(r"^(?:data: *)?(\{.*)$", re.MULTILINE)

_T = TypeVar("_T")
Ask = Callable[[str, dict[str, object]], dict[str, Any]]
"""Sends a request by method and parameters, and returns the reply's JSON-RPC message."""


@dataclass(frozen=True)
class Log:
    """Times of calls, errors and memory of servers, each with the seconds since the beginning."""

    calls: list[tuple[float, float]] = field(default_factory=list)
    errors: list[tuple[float, str]] = field(default_factory=list)
    resident: defaultdict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    begun: float = field(default_factory=time.monotonic)

    @property
    def now(self) -> float:
        return time.monotonic() - self.begun


def measure(options: argparse.Namespace) -> Report:
    """Let all clients ask for the time that is set."""
    report, seconds = Report("A long run"), options.minutes * 60
    with TemporaryDirectory(prefix="soak-") as folder:
        log = _soak(Path(folder), seconds)
    print(file=sys.stderr)
    _add_parts(report, log, seconds)
    report.at_most(f"errors in {len(log.calls):,} requests", len(log.errors), 0)
    for name in SERVERS:
        parts = [_during(log.resident[name], part, seconds) for part in range(1, PARTS)]
        medians = [statistics.median(each) for each in parts]
        spread = 100 * (max(medians) / min(medians) - 1)
        report.at_most(f"spread of the {name}'s memory", spread, FLAT, " %")
    report.remarks = [f"at {at:.0f} s: {problem}" for at, problem in log.errors[:5]]
    return report


def _add_parts(report: Report, log: Log, seconds: float) -> None:
    weights = (f"{name} MiB" for name in SERVERS)
    table = report.table("", "minutes", "requests", "errors", "p50 ms", "p99 ms", *weights, left=0)
    for part in range(PARTS):
        times = _during(log.calls, part, seconds)
        start, end = (seconds * each / PARTS / 60 for each in (part, part + 1))
        resident = (_during(log.resident[name], part, seconds) for name in SERVERS)
        table.add_row(
            f"{start:g} to {end:g}",
            f"{len(times):,}",
            str(len(_during(log.errors, part, seconds))),
            f"{statistics.median(times):.2f}",
            f"{percentile(times, 0.99):.1f}",
            *(f"{statistics.median(each):.1f}" for each in resident),
        )


def _during(noted: Sequence[tuple[float, _T]], part: int, seconds: float) -> list[_T]:
    """Return what was noted in one of the parts."""
    return [what for at, what in noted if min(int(at * PARTS / seconds), PARTS - 1) == part]


def _requests(seed: int) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield methods and parameters without end: four of five are answered from what is stored."""
    chance, new = random.Random(seed), count()  # noqa: S311  # what is asked is no secret
    while True:
        draw = chance.random()
        if draw < 0.8:
            asked = docs(chance.choice([*LIBRARIES]), chance.choice(QUESTIONS))
            yield "tools/call", {"name": DOCS, "arguments": asked}
        elif draw < 0.9:
            asked = look_up(chance.choice([*LIBRARIES.values()]))
            yield "tools/call", {"name": LOOK_UP, "arguments": asked}
        elif draw < 0.95:
            asked = docs(LONG, f"What does client {seed} ask as number {next(new)}?")
            yield "tools/call", {"name": DOCS, "arguments": asked}
        elif draw < 0.98:
            yield "resources/read", {"uri": chance.choice(["fabric://EXECUTION", "fabric://stats"])}
        else:
            yield chance.choice(["tools/list", "prompts/list", "resources/list"]), {}


@contextmanager
def _over_http(url: str, form: str) -> Iterator[Ask]:
    address = urlsplit(url)
    with closing(HTTPConnection(address.netloc, timeout=60)) as connection:

        def ask(method: str, params: dict[str, object]) -> dict[str, Any]:
            meta = {} if form == SSE else {"_meta": ENVELOPE}
            message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | meta}
            headers = {**ACCEPT, "MCP-Protocol-Version": VERSIONS[form]}
            if form == JSON:
                headers["Mcp-Method"] = method
                if name := params.get("name") or params.get("uri"):
                    headers["Mcp-Name"] = str(name)
            connection.request("POST", address.path, json.dumps(message), headers)
            (line,) = _MESSAGE.findall(connection.getresponse().read().decode())
            reply: dict[str, Any] = json.loads(line)
            return reply

        yield ask


@contextmanager
def _in_a_window(window: Server) -> Iterator[Ask]:
    with window.started() as client:
        client.initialize()

        def ask(method: str, params: dict[str, object]) -> dict[str, Any]:
            reply: dict[str, Any] = json.loads(client.reply(method, **params))
            return reply

        yield ask


def _client(
    connect: Callable[[], AbstractContextManager[Ask]], seed: int, log: Log, over: Event
) -> None:
    with connect() as ask:
        for method, params in _requests(seed):
            begun = time.perf_counter()
            try:
                reply = ask(method, params)
                if "result" not in reply or reply["result"].get("isError"):
                    log.errors.append((log.now, json.dumps(reply)[:300]))
            except Exception as error:  # noqa: BLE001  # every error is one to report
                log.errors.append((log.now, repr(error)))
            log.calls.append((log.now, milliseconds_since(begun)))
            if over.wait(REST_SECONDS):
                return


def _soak(folder: Path, seconds: float) -> Log:
    """Let all clients ask for so long, and show the progress with every sample."""
    with ExitStack() as stack:
        api = stack.enter_context(api_server())
        _process, upstream = stack.enter_context(context7_server(api))
        variables = {
            "CONTEXT7_FABRIC_UPSTREAM": upstream,
            "CONTEXT7_FABRIC_DAEMON": "auto",
            "CONTEXT7_FABRIC_DAEMON_IDLE": IDLE,
        }
        shared = product_environment(folder / "shared", variables)
        served = stack.enter_context(product_at_port("http", shared))
        own = product_environment(folder / "own", variables)
        window = Server("window", [PROGRAM], own, ours=True, daemon=True)
        stack.callback(window.stop_daemon)
        log, over, url = Log(), Event(), served.url("/mcp")
        connections: list[Callable[[], AbstractContextManager[Ask]]] = [
            *[partial(_in_a_window, window)] * WINDOWS,
            *[partial(_over_http, url, form) for form in VERSIONS] * CLIENTS_OF_AN_ERA,
        ]
        clients = [
            Thread(target=_client, args=(connect, seed, log, over))
            for seed, connect in enumerate(connections)
        ]
        for each in clients:
            each.start()
        while not (log.calls and (daemon := window.daemon_pids())):
            time.sleep(REST_SECONDS)
        pids = {HTTP: served.process.pid, DAEMON: daemon[0]}
        while log.now < seconds and not over.wait(min(SAMPLE_SECONDS, seconds - log.now)):
            for name, pid in pids.items():
                log.resident[name].append((log.now, memory(pid)))
            progress = f"{log.now:5.0f} s, {len(log.calls):,} requests, {len(log.errors)} errors"
            print(f"\r{progress}", end="", file=sys.stderr, flush=True)
        over.set()
        for each in clients:
            each.join()
        return log


if __name__ == "__main__":
    sys.exit(run(__doc__, measure, minutes={"type": float, "default": MINUTES}))
