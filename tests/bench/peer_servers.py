"""Servers that `peers.py` compares: this product in its modes, its peers, and two floors."""

import json
import shutil
import sys
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.mcp_client import Client, started
from bench.upstream import ApiServer, api_server, context7_server
from bench.workload import DOCS, LIBRARIES, LOOK_UP, QUESTIONS, docs, is_hit, look_up
from support.processes import Process
from support.product import PROGRAM, product_environment, run_product
from support.upstreams import clean_environment, context7_command

WARM, COLD, INSIDE = "ours, daemon warm", "ours, daemon cold", "ours, in process"
NODE, FASTMCP = "node", "FastMCP, cached"
SDK, SDK_LONG, LOOP = "SDK, a few words", "SDK, 6 kB", "stdlib loop, 6 kB"
MODES: Mapping[str, str] = {"warm": WARM, "cold": COLD, "in-process": INSIDE}
"""Modes of the product by the words of the command line."""

HERE = Path(__file__).parent
PEERS_PYTHON = HERE.parents[1] / ".venv-peers" / "bin" / "python"
QUIET = {
    "FASTMCP_LOG_ENABLED": "false",
    "FASTMCP_TELEMETRY_MODE": "off",
    "FASTMCP_CHECK_FOR_UPDATES": "off",
}
IDLE = "1m"  # idle time of a daemon: it lasts until the next round, and not much longer


@dataclass(frozen=True)
class Server:
    """A server on stdio.

    `asks` says that each of its calls reaches the API, `ours` that it is this product, `daemon`
    that a daemon does its work, and `cold` that it is timed with none running.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    asks: bool = False
    ours: bool = False
    daemon: bool = False
    cold: bool = False

    def started(self) -> AbstractContextManager[Client]:
        return started(self.command, self.environment)

    def check(self, answers: Sequence[bytes], sizes: Container[int] | None = None) -> None:
        """Refuse to measure errors, answers of other sizes, and calls of ours that are no hits."""
        for answer in answers:
            good = b'"result":' in answer and b'"isError":true' not in answer
            fits = sizes is None or len(answer) in sizes
            if not (good and fits and (is_hit(answer) or not self.ours)):
                raise RuntimeError(f"{self.name}: {answer[:300]!r}")

    def daemon_pids(self) -> list[int]:
        return [each["pid"] for each in json.loads(self._daemon("status", "--json"))]

    def stop_daemon(self) -> None:
        self._daemon("stop")

    def _daemon(self, *words: str) -> str:
        done = run_product("daemon", *words, env=self.environment)
        if done.returncode:
            raise RuntimeError(f"daemon {words[0]}: {done.stderr}")
        return done.stdout


@dataclass(frozen=True)
class Servers:
    """All servers, the API behind them, and what the product uses: upstream and model.

    Its upstream is a real server on HTTP, as it is without settings.
    """

    all: Mapping[str, Server]
    api: ApiServer
    upstream: Process
    model: Path | None

    def named(self, names: Collection[str]) -> list[Server]:
        """Return those of the servers with these names that take part."""
        return [each for name, each in self.all.items() if name in names]


@contextmanager
def prepared(
    folder: Path, modes: Collection[str], model: Path | None, *, peers: bool
) -> Iterator[Servers]:
    """Prepare all servers for the length of the block; homes are filled, no daemon runs yet."""
    with api_server() as api, context7_server(api) as (upstream, url):
        variables = {"CONTEXT7_FABRIC_UPSTREAM": url, "CONTEXT7_FABRIC_DAEMON": "off"}
        _fill(_bare(product_environment(folder / "filled", variables)))
        ours = [_ours(name, folder, url, model) for name in MODES.values() if name in modes]
        servers = [*ours, *(_peers(api) if peers else ())]
        try:
            yield Servers({each.name: each for each in servers}, api, upstream, model)
        finally:
            for each in ours:
                if each.daemon:
                    each.stop_daemon()


def _ours(name: str, folder: Path, url: str, model: Path | None) -> Server:
    home = shutil.copytree(folder / "filled", folder / name.replace(" ", "-"))
    variables = {
        "CONTEXT7_FABRIC_UPSTREAM": url,
        "CONTEXT7_FABRIC_DAEMON": "off" if name == INSIDE else "auto",
        "CONTEXT7_FABRIC_DAEMON_IDLE": IDLE,
    }
    environment = _bare(product_environment(home, variables))
    if model is not None:
        del environment["CONTEXT7_FABRIC_MODEL"]
        environment["CONTEXT7_FABRIC_MODEL_PATH"] = str(model)
    daemon, cold = name != INSIDE, name == COLD
    return Server(name, [PROGRAM], environment, ours=True, daemon=daemon, cold=cold)


def _peers(api: ApiServer) -> Iterator[Server]:
    node = context7_command()
    environment = _bare(clean_environment({"CONTEXT7_API_URL": api.url}))
    yield Server(NODE, node, environment, asks=True)
    proxy = [str(PEERS_PYTHON), str(HERE / "fastmcp_proxy.py"), *node]
    yield Server(FASTMCP, proxy, {**environment, **QUIET})
    floor = [sys.executable, str(HERE / "floor_servers.py")]
    yield Server(SDK, [*floor, "sdk", "4"], environment)
    yield Server(SDK_LONG, [*floor, "sdk", "1200"], environment)
    yield Server(LOOP, [*floor, "loop", "1200"], environment)


def _bare(environment: Mapping[str, str]) -> dict[str, str]:
    """Take out Python's variables: without bytecode, which one of them forbids, starts are slow."""
    return {name: text for name, text in environment.items() if not name.startswith("PYTHON")}


def _fill(environment: Mapping[str, str]) -> None:
    """Store answers and lists as users do: ask for each of them once."""
    with started([PROGRAM], environment) as client:
        client.initialize()
        client.ask("tools/list")
        for library, name in LIBRARIES.items():
            client.call(LOOK_UP, look_up(name))
            for question in QUESTIONS:
                client.call(DOCS, docs(library, question))
