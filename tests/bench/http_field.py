"""Who takes part in `http_calls.py`: this product, node, a floor, and the client of all."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from bench.backend import Backend, backend
from bench.errands import ASKED
from bench.http_load import SSE
from support.processes import Process, spawn
from support.product import product_at_port, product_environment
from support.upstreams import READY, clean_environment, context7_command, free_port

OURS, NODE, FLOOR = "ours", "node", "floor"

HERE = Path(__file__).parent
SECONDS = 120.0


@dataclass(frozen=True)
class Lap:
    """How many seconds all its calls took together, and how many ms each of them."""

    seconds: float
    times: tuple[float, ...]


@dataclass(frozen=True)
class Field:
    """The addresses of all, the API behind node, and the client, a process of its own."""

    urls: Mapping[str, str]
    api: Backend
    client: Process
    _laps: Iterator[int] = field(default_factory=count)

    def lap(self, name: str, form: str, clients: int, calls: int) -> Lap:
        """Let so many clients make the calls, and one more each before the clock starts.

        Raises:
            RuntimeError: One is not answered in that form, one of ours is no hit, one of node's is.
        """
        before = self.api.calls
        seen = self._loaded(name, form, clients, calls)
        reached = self.api.calls - before - clients
        if name != FLOOR and seen["answers"] != calls:
            raise RuntimeError(f"{name}: {seen['answers']} answers to {calls} calls: {seen['bad']}")
        if name == OURS and (seen["hits"], reached) != (calls, -clients):
            raise RuntimeError(f"{name}: {seen['hits']} hits in {calls} calls")
        if name == NODE and reached != calls:
            raise RuntimeError(f"{name}: {reached} of {calls} calls reached the API")
        return Lap(seen["seconds"], tuple(seen["times"]))

    def store(self) -> None:
        """Let ours answer all that will be asked."""
        self._loaded(OURS, SSE, 1, len(ASKED))

    def _loaded(self, name: str, form: str, clients: int, calls: int) -> dict[str, Any]:
        job = {"url": self.urls[name], "form": form, "clients": clients, "calls": calls}
        self.client.send(json.dumps(job))
        seen: dict[str, Any] = json.loads(
            self.client.out.wait_for(".+", SECONDS, after=next(self._laps))[0]
        )
        return seen


@contextmanager
def gathered(folder: Path) -> Iterator[Field]:
    """Have everybody run for the length of the block, with all that is asked stored in ours."""
    with ExitStack() as stack:
        api = stack.enter_context(backend())
        upstream = stack.enter_context(node(api))
        environment = product_environment(folder / "home", {"CONTEXT7_FABRIC_UPSTREAM": upstream})
        ours = stack.enter_context(product_at_port("http", environment)).url("/mcp")
        floor = stack.enter_context(_program("http_floor.py"))
        client = stack.enter_context(_program("http_load.py"))
        urls = {OURS: ours, NODE: upstream, FLOOR: floor.out.wait_for(r"http://\S+", SECONDS)[0]}
        everybody = Field(urls, api, client)
        everybody.store()
        yield everybody


@contextmanager
def node(api: Backend) -> Iterator[str]:
    """Run upstream's own server on HTTP in front of `api`; yield its address."""
    command = [*context7_command(), "--transport", "http", "--port", str(free_port())]
    with spawn(command, clean_environment({"CONTEXT7_API_URL": api.url})) as server:
        yield f"http://127.0.0.1:{server.err.wait_for(READY, SECONDS)[1]}/mcp"


@contextmanager
def _program(name: str) -> Iterator[Process]:
    environment = clean_environment({"PYTHONPATH": str(HERE.parent)})
    with spawn([sys.executable, str(HERE / name)], environment) as process:
        yield process
