"""Servers of the product that share a Redis, as if each were on a machine of its own.

A replica has a port and a home of its own; with the others it shares Redis and upstream alone. A
test stops it, kills it and starts it again; it stays at its port. `Callers` ask several in turn.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio import to_thread

from support.client import FASTAPI, HEADERS, PLAIN, asked, call, outcome_of, result_of
from support.daemons import without_coverage
from support.processes import Process, wait_gone
from support.product import Served, Variables, product_at_port, product_environment
from support.programs import needed
from support.redis_servers import RedisServer
from support.upstreams import free_port

REPLICAS = 3
TO_END = 20.0
"""Seconds that a replica may take to end; an orchestrator would kill it after thirty."""

_MANY = httpx2.Limits(max_connections=None)


class Replica:
    """One server, at the same port and on the same home whenever it runs."""

    def __init__(self, home: Path, variables: Variables, before: Sequence[str] = ()) -> None:
        """Take `variables` for its settings; `before` is a command that runs it."""
        self.home = home
        self.environment = product_environment(home, variables)
        self._port = free_port()
        self._before = before
        self._lives: list[Process] = []
        self._now = ExitStack()
        self._served: Served | None = None

    @property
    def served(self) -> Served:
        assert self._served is not None
        return self._served

    @property
    def log(self) -> str:
        """The text on stderr of all its processes."""
        return "\n".join(each.err.text for each in self._lives)

    def start(self) -> None:
        """Start it, or start it again, and wait until it serves."""
        at_port = product_at_port("http", self.environment, self._port, before=self._before)
        self._served = self._now.enter_context(at_port)
        assert self._served.port == self._port, "another process took the port"
        self._lives.append(self._served.process)

    def stop(self) -> None:
        self.served.process.popen.terminate()
        self.served.process.wait(TO_END)
        self._now.close()

    def kill(self) -> None:
        pid = self.served.process.pid
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_gone([pid], TO_END)
        self._now.close()

    def forget(self) -> None:
        """Remove its home, as on a machine that is deleted with its disk."""
        shutil.rmtree(self.home, ignore_errors=True)

    def close(self) -> None:
        if self._before:  # such a command does not pass a signal on
            self._now.callback(self.kill)
        self._now.close()

    def ask(self, question: str, api_key: str | None = None) -> dict[str, Any]:
        """The result of a documentation question, asked with an API key or without."""
        return self.call("query-docs", api_key, libraryId=FASTAPI, query=question)

    def call(self, tool: str, api_key: str | None = None, **arguments: object) -> dict[str, Any]:
        headers = {"context7-api-key": api_key} if api_key else {}
        reply = asked(self.served, headers=headers, message=call(tool, **arguments))
        result: dict[str, Any] = result_of(reply)
        return result


@contextmanager
def replicas(
    folder: Path, *variables: Variables, before: Sequence[str] = ()
) -> Iterator[list[Replica]]:
    """A replica for each of the settings, all serving, for the length of the block."""
    with ExitStack() as stack:
        made = [Replica(folder / f"home{at}", each, before) for at, each in enumerate(variables)]
        for each in made:
            stack.callback(each.close)
        with ThreadPoolExecutor(len(made)) as threads:
            list(threads.map(Replica.start, made))
        yield made


@contextmanager
def replica_of(package: Path, home: Path, variables: Variables) -> Iterator[Replica]:
    """A replica that runs another copy of the package, from its source root, for the block."""
    replica = Replica(home, {**variables, "PYTHONPATH": str(package)})
    # Unmeasured: coverage is of the repository's files, not of the copy.
    replica.environment = without_coverage(replica.environment)
    try:
        replica.start()
        yield replica
    finally:
        replica.close()


def elsewhere() -> list[str]:
    """Return the command prefix for a process namespace of its own, as on another machine.

    It does not pass signals on, but its end is the command's. Skips the test where that may not be.
    """
    apart = ["unshare", "--map-root-user", "--pid", "--fork", "--kill-child"]
    needed("unshare")
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs leave for a process namespace")
    return apart


@contextmanager
def killed(redis: RedisServer) -> Iterator[None]:
    """Have no Redis for the block; then it is at its port again, with what it kept."""
    redis.kill()
    try:
        yield
    finally:
        redis.start()


def on_redis(upstream: Variables, url: str) -> dict[str, str]:
    """The settings of a replica: its upstream, its store, and the tools that write."""
    tools = {"CONTEXT7_FABRIC_TOOLS": "+feedback,+fabric"}
    return {**upstream, "CONTEXT7_FABRIC_BACKEND": url, **tools}


def text_of(result: Mapping[str, Any]) -> str:
    """The text of a result's first block."""
    return str(result["content"][0]["text"])


def answers(result: Mapping[str, Any], question: str) -> bool:
    """Return True if a result is upstream's answer to this very question, which it quotes."""
    return not result.get("isError") and f"Walk through: {question}\n" in text_of(result)


class Callers:
    """Callers at a steady pace, each asking one replica after the other.

    As a proxy does it, a call goes to the next replica if a connection is refused, or closed before
    the first byte of a reply. What else goes wrong is `lost`.
    """

    PACE = 0.2
    """Seconds between a caller's calls."""

    NEW_EVERY = 10
    """One call in so many asks a new question."""

    def __init__(self, these: Sequence[Replica], callers: int = 20) -> None:
        self._urls = [each.served.url("/mcp") for each in these]
        self._callers = callers
        self._numbers = count()
        self.outcomes: list[str] = []
        self.lost: list[str] = []
        self.passed_on = 0
        self._made = anyio.Event()

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """Have them call for the length of the block; the last calls are waited for."""
        self._ended = anyio.Event()
        async with (
            httpx2.AsyncClient(verify=PLAIN, trust_env=False, timeout=40, limits=_MANY) as http,
            anyio.create_task_group() as tasks,
        ):
            for number in range(self._callers):
                tasks.start_soon(self._call, http, number)
            try:
                yield
            finally:
                self._ended.set()

    async def made(self, calls: int) -> None:
        """Wait until so many more calls have ended."""
        wanted = len(self.outcomes) + len(self.lost) + calls
        while len(self.outcomes) + len(self.lost) < wanted:
            await self._made.wait()

    async def _call(self, http: httpx2.AsyncClient, caller: int) -> None:
        while not self._ended.is_set():
            number = next(self._numbers)
            question = f"How is part {number if number % self.NEW_EVERY == 0 else caller} done?"
            try:
                reply = await self._replied(http, number, question)
                result = result_of(reply)
                assert answers(result, question), result
                self.outcomes.append(outcome_of(result))
            except Exception as error:  # noqa: BLE001  # whatever it was, a call is lost
                self.lost.append(f"{question}: {error!r}")
            self._made.set()
            self._made = anyio.Event()
            with anyio.move_on_after(self.PACE):
                await self._ended.wait()

    async def _replied(
        self, http: httpx2.AsyncClient, number: int, question: str
    ) -> httpx2.Response:
        message = call("query-docs", libraryId=FASTAPI, query=question)
        start = number % len(self._urls)
        for url in [*self._urls[start:], *self._urls[:start]]:
            request = http.build_request("POST", url, headers=HEADERS, json=message)
            with suppress(httpx2.NetworkError, httpx2.RemoteProtocolError):
                reply = await http.send(request, stream=True)
                break
            self.passed_on += 1
        else:
            raise AssertionError("no replica took it")
        await reply.aread()
        return reply


async def restart_each(these: Sequence[Replica], callers: Callers) -> None:
    """Stop and start one after the other, with some calls in between."""
    for each in these:
        await to_thread.run_sync(each.stop)
        await callers.made(10)
        await to_thread.run_sync(each.start)
        await callers.made(10)
