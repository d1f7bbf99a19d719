"""Cached calls over HTTP beside node: calls a second and p99 with 1, 32 and 256 clients.

"node" is the real @upstash/context7-mcp 4.1.1 with `--transport http`, in front of a stand-in of
Context7's API that answers at once. "Ours" is the command with `--transport http`; its upstream is
that server, and its answers of 5 to 7 kB were stored by asking for them. "Floor" sends 6 kB at any
request: no client is faster. The client is a raw one in a process of its own, with a connection for
each of its clients, kept alive; its next call goes out when the one before it is answered. It
checks that each reply is an answer and has the form that is measured: an event stream for a client
of 2025-06-18, JSON for one of 2026-07-28. Each of our answers has to be a hit, and each of node's
calls has to reach the API.

All take turns, round by round, in one run. A rate is the median of the rounds, p99 is of all calls,
and a ratio is the median of the rounds' own, with the least and the greatest.

Needs node and npm. Takes about three minutes, with --quick one.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from bench.harness import QUICK, Ratio, Report, Times, race, ratio, run
from bench.http_load import JSON, SSE, VERSIONS, Load
from bench.upstream import ApiServer, address_of, api_server, context7_server, program
from bench.workload import ASKED
from support.processes import Process
from support.product import product_at_port, product_environment

OURS, NODE, FLOOR = "ours", "node", "floor"
OURS_ALONE = {"action": "store_true", "help": "measure this product alone"}
FORMS = (SSE, JSON)
CLIENTS = (1, 32, 256)
CLAIMED = 32
ROUNDS = 11
ALONE, TOGETHER = 200, 1024  # calls in a lap of one client and of several
LEAST_TIMES_NODES = 1.5
SECONDS = 150.0


@dataclass(frozen=True)
class Servers:
    """Addresses of the servers, the API behind node, and the client, a process of its own."""

    urls: Mapping[str, str]
    api: ApiServer
    client: Process
    _laps: Iterator[int] = field(default_factory=count)

    def load(self, name: str, form: str, clients: int, calls: int) -> Load:
        self.client.send(json.dumps([self.urls[name], form, clients, calls]))
        line = self.client.out.wait_for(".+", SECONDS, after=next(self._laps))[0]
        return Load(**json.loads(line))

    def checked_load(self, name: str, form: str, clients: int, calls: int) -> Load:
        """Let so many clients make the calls; ours have to be hits, node's to reach the API."""
        before = self.api.calls
        seen = self.load(name, form, clients, calls)
        reached = self.api.calls - before
        if name == OURS and (seen.hits, reached) != (calls, 0):
            raise RuntimeError(f"{name}: {seen.hits} hits in {calls} calls")
        if name == NODE and reached != calls + clients:
            raise RuntimeError(f"{name}: {reached - clients} of {calls} calls reached the API")
        return seen


def measure(options: argparse.Namespace) -> Report:
    """Let all servers take turns with every form of reply and number of clients."""
    rounds, names = (
        3 if options.quick else ROUNDS,
        (OURS, NODE, FLOOR)[: 1 if options.ours else None],
    )
    report = Report("Cached calls over HTTP")
    table = report.table(
        "", "form", "server", "clients", "calls a second", "p50 ms", "p99 ms", "calls",
        "times node's rate", left=2,
    )  # fmt: skip
    with TemporaryDirectory(prefix="http-") as folder, _servers(Path(folder)) as servers:
        for form in FORMS:
            for clients in CLIENTS:
                laps = _race(servers, names, form, clients, rounds)
                what = f"{VERSIONS[form]}, {form}"
                for name, loads in laps.items():
                    pace, beside = _pace(loads), "" if name == NODE else str(_faster(name, laps))
                    waits, rate = Times([each.times for each in loads]), f"{1000 / pace.p50:,.0f}"
                    table.add_row(what, name, str(clients), rate, *waits.cells(), beside)
                report.figures[f"{what}, {clients} clients, ms a call"] = _pace(laps[OURS]).p50
                if clients == CLAIMED and (found := _faster(OURS, laps)):
                    text = f"{what}, {clients} clients: calls a second, times node's"
                    report.at_least(text, found, LEAST_TIMES_NODES)
    return report


def _race(
    servers: Servers, names: Sequence[str], form: str, clients: int, rounds: int
) -> dict[str, list[Load]]:
    calls = (ALONE if clients == 1 else TOGETHER) // (1 if rounds == ROUNDS else 2)

    async def lap(name: str, _arguments: Sequence[None]) -> Load:
        return servers.checked_load(name, form, clients, calls)

    return anyio.run(race, {name: partial(lap, name) for name in names}, list, rounds)


def _pace(loads: Sequence[Load]) -> Times:
    """Return the ms a call of each lap: the time of all calls by their number."""
    return Times([[each.seconds * 1000 / len(each.times)] for each in loads])


def _faster(name: str, laps: Mapping[str, Sequence[Load]]) -> Ratio | None:
    return ratio(_pace(laps[NODE]), _pace(laps[name])) if NODE in laps else None


@contextmanager
def _servers(folder: Path) -> Iterator[Servers]:
    """Run the servers and the client for the length of the block, with all answers stored."""
    with ExitStack() as stack:
        api = stack.enter_context(api_server())
        _process, node = stack.enter_context(context7_server(api))
        environment = product_environment(folder / "home", {"CONTEXT7_FABRIC_UPSTREAM": node})
        ours = stack.enter_context(product_at_port("http", environment)).url("/mcp")
        floor = stack.enter_context(program("floor_servers.py", "http", "1200"))
        client = stack.enter_context(program("http_load.py"))
        urls = {OURS: ours, NODE: node, FLOOR: address_of(floor)}
        servers = Servers(urls, api, client)
        servers.load(OURS, SSE, 1, len(ASKED))
        yield servers


if __name__ == "__main__":
    sys.exit(run(__doc__, measure, quick=QUICK, ours=OURS_ALONE))
