"""Side by side with the peers: start, calls, many calls in flight, memory.

"node" is the real @upstash/context7-mcp 4.1.1 on stdio, in front of a stand-in of Context7's API
that answers at once, from a process of its own. "FastMCP" is its proxy with its caching middleware
in front of the same. "SDK" is a tool of a few lines on the Python SDK, "stdlib loop" a loop that
knows one answer. "Ours" is the command as users start it: with the daemon running (warm), with none
(cold), or without one (in process). Its upstream is the real server on HTTP; its answers were
stored by asking for them. The client is a raw one over pipes; it checks that each hit is one.

All take turns, round by round, in one run. A ratio is the median of the rounds' own, with the least
and the greatest; p99 is of all calls, and of fewer than 100 calls the longest. Memory is summed
over all processes, children and daemon included: claims are about RSS; PSS counts once what
processes share. The upstream is no part of it: it stands for a service elsewhere.

Needs node, npm and .venv-peers (`make bench` makes it). Takes about five minutes, with --quick one.
"""

import argparse
import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import anyio
import pytest

from bench.harness import QUICK, Report, Times, memory, milliseconds_since, ratio, run, timed_race
from bench.mcp_client import Client, started
from bench.peer_servers import (
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
    Server,
    Servers,
    prepared,
)
from bench.workload import (
    ASKED,
    DOCS,
    LIBRARIES,
    LONG,
    LOOK_UP,
    QUESTIONS,
    SIZES,
    Arguments,
    docs,
    look_up,
)
from support.model import model_path
from support.processes import children_of

INITIALIZE = "From spawn to the reply to initialize"
ANSWER = "From spawn to the first answer (initialize, tools/list, query-docs)"
CALL = "A call with an answer of 5 to 7 kB, one at a time"
FLIGHT = "The same calls, 32 in flight"
IN_FLIGHT = 32

BESIDE = {
    INITIALIZE: (NODE,),
    ANSWER: (NODE,),
    CALL: (NODE, FASTMCP, SDK, SDK_LONG, LOOP),
    FLIGHT: (NODE, FASTMCP),
}
"""The servers that each race compares with."""

AT_MOST = (
    (INITIALIZE, WARM, NODE, 0.15),
    (INITIALIZE, COLD, NODE, 1.6),
    (INITIALIZE, INSIDE, NODE, 1.6),
    (ANSWER, WARM, NODE, 0.2),
    (CALL, WARM, FASTMCP, 0.5),
    (CALL, WARM, NODE, 0.3),
)
"""Claims: in a race, one's median is at most so many times another's."""

LEAST_TIMES_NODES = 2.0
GOAL = 1.5

IMPORT = re.compile(r"^import time: +(\d+) \| +\d+ \| +([\w.]+)$", re.MULTILINE)
STANDARD = "the standard library"
FEWEST_MS = 5.0  # imports that take less stand in one line


STARTS, ROUNDS, WINDOW_ROUNDS, HITS, PROFILES = 11, 15, 3, 10_000, 5
ONE_BY_ONE, TOGETHER = 100, 320  # calls in a lap of either kind


def measure(options: argparse.Namespace) -> Report:
    if not options.ours and not PEERS_PYTHON.exists():
        pytest.skip("there is no .venv-peers: `make bench` makes it")
    share, report = 0.2 if options.quick else 1.0, Report("Beside the peers")
    modes = [MODES[each] for each in options.mode or MODES]
    with (
        TemporaryDirectory(prefix="peers-") as name,
        prepared(Path(name), modes, _model(report), peers=not options.ours) as servers,
    ):
        for part, add in PARTS.items():
            if not options.only or part in options.only:
                add(report, servers, share)
    return report


def _model(report: Report) -> Path | None:
    try:
        return model_path()
    except pytest.skip.Exception as reason:
        report.remarks.append(f"memory with the worker: not measured, {reason}")
        return None


def _add_starts(report: Report, servers: Servers, share: float) -> None:
    names = (WARM, COLD, INSIDE, NODE, FASTMCP, SDK, LOOP)
    for title, those in ((INITIALIZE, names), (ANSWER, names[:5])):
        laps = {each.name: partial(_start_lap, each, title=title) for each in servers.named(those)}
        _add_race(
            report, title, anyio.run(timed_race, laps, lambda: ASKED[:1], int(STARTS * share))
        )


async def _start_lap(server: Server, asked: Sequence[Arguments], *, title: str) -> list[float]:
    """Return the ms from spawn to the reply to initialize, or to all answers."""
    if server.cold:
        server.stop_daemon()
    begun = time.perf_counter()
    with server.started() as client:
        client.initialize()
        if title == INITIALIZE:
            return [milliseconds_since(begun)]
        client.reply("tools/list")
        answers = [client.call(DOCS, each) for each in asked]
        took = milliseconds_since(begun)
    server.check(answers, SIZES)
    return [took]


def _add_calls(report: Report, servers: Servers, share: float) -> None:
    """Measure calls of servers that stay, after each has answered all that will be asked."""
    with ExitStack() as stack:
        running = []
        for server in servers.named((WARM, INSIDE, NODE, FASTMCP, SDK, SDK_LONG, LOOP)):
            client = stack.enter_context(server.started())
            client.initialize()
            server.check([client.call(DOCS, each) for each in ASKED])
            running.append((server, client))
        for title, lap, calls in ((CALL, _one_by_one, ONE_BY_ONE), (FLIGHT, _at_once, TOGETHER)):
            laps = {
                server.name: partial(_call_lap, servers, server, client, lap)
                for server, client in running
            }
            asked = [*islice(cycle(ASKED), calls)]
            rounds = int(ROUNDS * share)
            _add_race(report, title, anyio.run(timed_race, laps, partial(list, asked), rounds))


def _one_by_one(client: Client, asked: Sequence[Arguments]) -> tuple[list[float], list[bytes]]:
    """Make each call after the answer to the one before it."""
    times, answers = [], []
    for each in asked:
        begun = time.perf_counter()
        answers.append(client.call(DOCS, each))
        times.append(milliseconds_since(begun))
    return times, answers


def _at_once(client: Client, asked: Sequence[Arguments]) -> tuple[list[float], list[bytes]]:
    """Keep 32 calls in flight; the time is one, that of all by their number."""
    begun = time.perf_counter()
    answers = client.flood(asked, IN_FLIGHT)
    return [milliseconds_since(begun) / len(asked)], answers


async def _call_lap(
    servers: Servers,
    server: Server,
    client: Client,
    lap: Callable[[Client, Sequence[Arguments]], tuple[list[float], list[bytes]]],
    asked: Sequence[Arguments],
) -> list[float]:
    """Run a lap, and check that calls reach the API or the cache as they should."""
    before = servers.api.calls
    times, answers = lap(client, asked)
    server.check(answers)
    reached = servers.api.calls - before
    if reached != (len(asked) if server.asks else 0):
        raise RuntimeError(f"{server.name}: {reached} of {len(asked)} calls reached the API")
    return times


def _add_race(report: Report, title: str, times: Mapping[str, Times]) -> None:
    """Add a race; that of calls in flight is shown in calls a second."""
    flight, others = title == FLIGHT, [name for name in BESIDE[title] if name in times]
    heads = ("calls a second", "rounds") if flight else ("p50 ms", "p99 ms", "calls")
    table = report.table(title, "", *heads, *(f"times {name}" for name in others))
    for name, each in times.items():
        cells = (f"{1000 / each.p50:,.0f}", str(len(each.all))) if flight else each.cells()
        beside = [[times[other], each][:: 1 if flight else -1] for other in others]
        table.add_row(name, *cells, *("" if a is b else str(ratio(a, b)) for a, b in beside))
        if name in MODES.values():
            report.figures[f"{title}: {name}, ms"] = each.p50
    for race, one, other, most in AT_MOST:
        if race == title and {one, other} <= times.keys():
            text = f"{race}: {one}, times {other}"
            report.at_most(text, ratio(times[one], times[other]), most)
    if title == CALL and {WARM, SDK} <= times.keys():
        found = ratio(times[WARM], times[SDK])
        reached = "reached" if found.median <= GOAL else "not reached"
        text = f"{CALL}: {WARM}, at most {GOAL} times a trivial SDK tool"
        report.remarks.append(f"goal {reached}: {text}: {found}")
    if flight and {WARM, NODE} <= times.keys():
        text = f"{title}: {WARM}, calls a second, times {NODE}'s"
        report.at_least(text, ratio(times[NODE], times[WARM]), LEAST_TIMES_NODES)


def _add_imports(report: Report, servers: Servers, share: float) -> None:
    """Add the ms of each distribution's own modules, by Python's profile of starts in process."""
    for server in servers.named([INSIDE]):
        profiles = [_profile(server) for _ in range(max(1, int(PROFILES * share)))]
        names = set[str]().union(*profiles)
        spent = {name: statistics.median(each[name] for each in profiles) for name in names}
        large = {name: ms for name, ms in spent.items() if ms >= FEWEST_MS}
        title = "Imports of a start in process, as Python measures them"
        table = report.table(title, "", "ms of its own modules")
        for name, ms in sorted(large.items(), key=lambda pair: -pair[1]):
            table.add_row(name, f"{ms:.0f}")
        rest = sum(spent.values()) - sum(large.values())
        table.add_row(f"{len(spent) - len(large)} others", f"{rest:.0f}")
        table.add_row("together", f"{sum(spent.values()):.0f}")


def _profile(server: Server) -> defaultdict[str, float]:
    """Return the ms of each package's own modules in a start until the reply to initialize."""
    environment = {**server.environment, "PYTHONPROFILEIMPORTTIME": "1"}
    spent: defaultdict[str, float] = defaultdict(float)
    with TemporaryFile("w+") as profile:
        with started(server.command, environment, profile) as client:
            client.initialize()
        profile.seek(0)
        for microseconds, module in IMPORT.findall(profile.read()):
            name = module.partition(".")[0]
            spent[STANDARD if name in sys.stdlib_module_names else name] += int(microseconds) / 1000
    return spent


WINDOWS = 5
SETTLE_SECONDS = 1.0
FIRST_HITS = 500
WORKER = b"context7_fabric.suggestions.worker"
WORKER_SECONDS = 180.0
PHRASE = "turns tables of numbers into printable documents"  # no library is called so
MOST_MEMORY = 0.4
MOST_GROWTH = 5.0


Weight = tuple[int, float, float]  # processes, and their MiB as RSS and as PSS


def _weight(pids: Collection[int]) -> Weight:
    rss, pss = (sum(memory(pid, name) for pid in pids) for name in ("VmRSS", "Pss"))
    return len(pids), rss, pss


@dataclass(frozen=True)
class Windows:
    """Servers of one kind that are open together."""

    server: Server
    clients: Sequence[Client]

    def family(self) -> set[int]:
        """Return all their processes, children and daemon included."""
        roots = {client.pid for client in self.clients}
        if self.server.daemon:
            roots |= {*self.server.daemon_pids()}
        return roots.union(*map(children_of, roots))

    def workers(self) -> set[int]:
        """Return the processes with a model and an index."""
        return {pid for pid in self.family() if WORKER in Path(f"/proc/{pid}/cmdline").read_bytes()}


def _add_memory(report: Report, servers: Servers, share: float) -> None:
    """Weigh all servers, then ours with a worker, which needs an upstream that is gone."""
    measured = servers.named((WARM, INSIDE, NODE, FASTMCP))
    ours = [each for each in measured if each.ours]
    weights: dict[str, list[Weight]] = {each.name: [] for each in measured}
    for each in measured * max(1, int(WINDOW_ROUNDS * share)):
        with _windows(each) as opened:
            weights[each.name].append(_after_mixed_calls(opened))
    _add_weights(report, "Five windows after 100 mixed calls, no worker", weights, weights)
    if {WARM, NODE} <= weights.keys():
        times = _resident(weights[WARM]) / _resident(weights[NODE])
        report.at_most(f"Five windows: {WARM}, resident, times {NODE}'s", times, MOST_MEMORY)
    hits = int(HITS * share)
    title = f"Memory over {hits:,} hits, after the first {FIRST_HITS}"
    table = report.table(title, "", "RSS MiB before", "after", "grown by")
    for each in ours:
        before, after = _growth(each, hits)
        growth = 100 * (after / before - 1)
        table.add_row(each.name, f"{before:.1f}", f"{after:.1f}", f"{growth:.1f}%")
        if each.name == WARM:
            report.at_most(f"{title}: growth of the daemon", growth, MOST_GROWTH, " %")
    servers.upstream.stop()
    if servers.model is not None:
        with_worker = {each.name: [_with_worker(each)] for each in ours}
        if NODE in weights:
            with_worker[NODE] = weights[NODE]
        _add_weights(report, "The same windows with the worker", with_worker, weights)


def _add_weights(
    report: Report,
    title: str,
    weights: Mapping[str, Sequence[Weight]],
    beside: Mapping[str, Sequence[Weight]],
) -> None:
    table = report.table(title, "", "processes", "RSS MiB", "PSS MiB", f"RSS, times {NODE}")
    for name, each in weights.items():
        processes, rss, pss = zip(*each, strict=True)
        spread = f"{_resident(each):.0f} ({min(rss):.0f} to {max(rss):.0f})"
        times = f"{_resident(each) / _resident(beside[NODE]):.2f}" if NODE in beside else ""
        table.add_row(name, str(processes[0]), spread, f"{statistics.median(pss):.0f}", times)


def _resident(weights: Sequence[Weight]) -> float:
    return statistics.median(rss for _processes, rss, _pss in weights)


@contextmanager
def _windows(server: Server, count: int = WINDOWS) -> Iterator[Windows]:
    """Open windows for the length of the block, past the handshake, with a new daemon."""
    if server.daemon:
        server.stop_daemon()
    with ExitStack() as stack:
        clients = [stack.enter_context(server.started()) for _ in range(count)]
        for client in clients:
            client.initialize()
        yield Windows(server, clients)


def _after_mixed_calls(opened: Windows) -> Weight:
    """Make 20 calls in each window, the handshake and tools/list among them, and weigh."""
    for number, client in enumerate(opened.clients):
        client.ask("tools/list")
        for name in LIBRARIES.values():
            client.call(LOOK_UP, look_up(name))
        for library in LIBRARIES:
            for question in QUESTIONS[2 * number : 2 * number + 2]:
                client.call(DOCS, docs(library, question))
        for at in range(3):
            client.call(DOCS, docs(LONG, f"What is asked in window {number} alone, {at}?"))
    time.sleep(SETTLE_SECONDS)
    if opened.workers():
        raise RuntimeError(f"{opened.server.name}: a worker runs")
    return _weight(opened.family())


def _with_worker(server: Server) -> Weight:
    """Look a phrase up in each window, with upstream gone, until its worker is up; weigh."""
    with _windows(server) as opened:
        _after_mixed_calls(opened)
        expected = 1 if server.daemon else len(opened.clients)
        deadline = time.monotonic() + WORKER_SECONDS
        while not (_suggested(opened) and len(opened.workers()) == expected):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{server.name}: no worker")
            time.sleep(SETTLE_SECONDS)
        return _weight(opened.family())


def _suggested(opened: Windows) -> bool:
    """Return whether all windows suggest libraries by their meaning now, which takes the worker."""
    answers = [client.call(LOOK_UP, {"libraryName": PHRASE}) for client in opened.clients]
    return all(b"ranked by meaning" in answer for answer in answers)


def _growth(server: Server, hits: int) -> tuple[float, float]:
    """Return the resident MiB of a server after its first hits, and after so many more."""
    with _windows(server, 1) as opened:
        (client,) = opened.clients
        answering = opened.family() - ({client.pid} if server.daemon else set())
        sizes = []
        for count in (FIRST_HITS, hits):
            for asked in islice(cycle(ASKED), count):
                server.check([client.call(DOCS, asked)])
            sizes.append(_weight(answering)[1])
        return sizes[0], sizes[1]


PARTS: Mapping[str, Callable[[Report, Servers, float], None]] = {
    "starts": _add_starts,
    "calls": _add_calls,
    "imports": _add_imports,
    "memory": _add_memory,
}
"""Parts by the words of the command line; memory is the last one, for it ends upstream."""


ONLY = {"choices": PARTS, "action": "append", "help": "a part; default: all"}
MODE = {"choices": MODES, "action": "append", "help": "a mode; default: all"}
OURS = {"action": "store_true", "help": "measure this product alone"}

if __name__ == "__main__":
    sys.exit(run(__doc__, measure, quick=QUICK, only=ONLY, mode=MODE, ours=OURS))
