"""Who takes part in `peers.py`: this product in its ways of running, its peers, and two floors."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.backend import Backend, backend
from bench.errands import LIBRARIES, QUESTIONS, docs, look_up
from bench.rpc import DOCS, LOOK_UP, Caller, calling
from support.processes import Process, spawn
from support.product import PROGRAM, product_environment, run_product
from support.upstreams import READY, clean_environment, context7_command, free_port

WARM, COLD, INSIDE = "ours, daemon warm", "ours, daemon cold", "ours, in process"
NODE, FASTMCP = "node", "FastMCP, cached"
SDK, SDK_LONG, LOOP = "SDK, a few words", "SDK, 6 kB", "stdlib loop, 6 kB"
MODES: Mapping[str, str] = {"warm": WARM, "cold": COLD, "in-process": INSIDE}
"""The product's ways of running by the words of the command line."""

HERE = Path(__file__).parent
PEERS_PYTHON = HERE.parents[1] / ".venv-peers" / "bin" / "python"
SECONDS = 20.0
QUIET = {
    "FASTMCP_LOG_ENABLED": "false",
    "FASTMCP_TELEMETRY_MODE": "off",
    "FASTMCP_CHECK_FOR_UPDATES": "off",
}
IDLE = "1m"
"""How long a daemon outlives its last window: until the next round, and no longer than it must."""

HIT = b'"outcome":"hit"'


@dataclass(frozen=True)
class Contestant:
    """A server on stdio.

    `asks` says that each of its calls reaches the API, `ours` that it is this product, `shared`
    that a daemon does its work, and `cold` that it is timed with none running.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    asks: bool = False
    ours: bool = False
    shared: bool = False
    cold: bool = False

    def calling(self) -> AbstractContextManager[Caller]:
        """Start it for the length of a block."""
        return calling(self.command, self.environment)

    def check(self, answers: Sequence[bytes], sizes: Container[int] | None = None) -> None:
        """Refuse to measure errors, answers of other sizes, and calls of ours that are no hits.

        Raises:
            RuntimeError: There is one of these.
        """
        for answer in answers:
            good = b'"result":' in answer and b'"isError":true' not in answer
            hit = not self.ours or HIT in answer.replace(b" ", b"")
            fits = sizes is None or len(answer) in sizes
            if not (good and hit and fits):
                raise RuntimeError(f"{self.name}: {answer[:300]!r}")

    def daemon_pids(self) -> list[int]:
        """Return who does the work of those that are `shared`."""
        return [each["pid"] for each in json.loads(self._daemon("status", "--json"))]

    def stop_daemon(self) -> None:
        """End it; that none runs is no error."""
        self._daemon("stop")

    def _daemon(self, *words: str) -> str:
        done = run_product("daemon", *words, env=self.environment)
        if done.returncode:
            raise RuntimeError(f"daemon {words[0]}: {done.stderr}")
        return done.stdout


@dataclass(frozen=True)
class Field:
    """All who take part, the API behind them, and what the product uses: upstream and model.

    Its upstream is a real server on HTTP, as it is without settings.
    """

    contestants: Mapping[str, Contestant]
    backend: Backend
    upstream: Process
    model: Path | None

    def those(self, names: Collection[str]) -> list[Contestant]:
        """Return the ones that take part and are named."""
        return [each for name, each in self.contestants.items() if name in names]


@contextmanager
def gathered(folder: Path, modes: Collection[str], model: Path | None) -> Iterator[Field]:
    """Have everybody ready for the length of the block; homes are filled, no daemon runs yet."""
    with backend() as api, _upstream(api) as (upstream, url):
        told = {"CONTEXT7_FABRIC_UPSTREAM": url, "CONTEXT7_FABRIC_DAEMON": "off"}
        _fill(_bare(product_environment(folder / "filled", told)))
        ours = [_ours(name, folder, url, model) for name in MODES.values() if name in modes]
        everybody = {each.name: each for each in (*ours, *_peers(api))}
        try:
            yield Field(everybody, api, upstream, model)
        finally:
            for each in ours:
                if each.shared:
                    each.stop_daemon()


@contextmanager
def _upstream(api: Backend) -> Iterator[tuple[Process, str]]:
    command = [*context7_command(), "--transport", "http", "--port", str(free_port())]
    with spawn(command, _asking(api)) as server:
        port = server.err.wait_for(READY, SECONDS)[1]
        yield server, f"http://127.0.0.1:{port}/mcp"


def _ours(name: str, folder: Path, url: str, model: Path | None) -> Contestant:
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
    shared, cold = name != INSIDE, name == COLD
    return Contestant(name, [PROGRAM], environment, ours=True, shared=shared, cold=cold)


def _peers(api: Backend) -> Iterator[Contestant]:
    node, asking = context7_command(), _asking(api)
    yield Contestant(NODE, node, asking, asks=True)
    proxy = [str(PEERS_PYTHON), str(HERE / "fastmcp_proxy.py"), *node]
    yield Contestant(FASTMCP, proxy, {**asking, **QUIET})
    server = [sys.executable, str(HERE / "sdk_server.py")]
    yield Contestant(SDK, [*server, "4"], asking)
    yield Contestant(SDK_LONG, [*server, "1200"], asking)
    yield Contestant(LOOP, [sys.executable, str(HERE / "stdlib_loop.py")], asking)


def _asking(api: Backend) -> dict[str, str]:
    return _bare(clean_environment({"CONTEXT7_API_URL": api.url}))


def _bare(environment: Mapping[str, str]) -> dict[str, str]:
    """Take out Python's variables: whoever forbids it to write bytecode pays at every start."""
    return {name: told for name, told in environment.items() if not name.startswith("PYTHON")}


def _fill(environment: Mapping[str, str]) -> None:
    """Store answers and lists as users do: by asking for them, once each."""
    with calling([PROGRAM], environment) as caller:
        caller.introduce()
        caller.ask("tools/list")
        for library, name in LIBRARIES.items():
            caller.call(LOOK_UP, look_up(name))
            for question in QUESTIONS:
                caller.call(DOCS, docs(library, question))
