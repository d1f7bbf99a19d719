"""A Redis that fills up, and servers of the product on it: what each stage holds and takes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import anyio

from bench.answered import answers, library_of, longest_text, question, stored
from bench.asking import hit, shares_of, wait_until_known
from bench.pipes import SECONDS, Pipes
from bench.recorded import keep
from bench.recorded import made_up as made_up_records
from bench.registry_scale import made_up as made_up_rows
from bench.registry_scale import memory
from bench.rounds import Times
from context7_fabric.fabric.backends.redis.backend import RedisBackend
from context7_fabric.fabric.context import Json
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.registry.row_store import RowStore
from support.product import PROGRAM, product_environment
from support.redis_servers import RedisServer, redis_server

AT_ONCE = 1_000
"""Entries that are stored together."""


@dataclass(frozen=True)
class Stored:
    """What so many entries of a kind take in Redis."""

    kind: str
    count: int
    bytes: int
    fill_seconds: float

    @property
    def each(self) -> float:
        """Bytes of one."""
        return self.bytes / self.count


@dataclass(frozen=True)
class Serving:
    """A server on so many rows: ms until it answers and until it knows them all, MiB, CPU.

    The shares are of one core: its own with a hit a second, and that of another one meanwhile.
    """

    rows: int
    initialize_ms: float
    known_ms: float
    resident: float
    used_share: float
    others_share: float


@dataclass(frozen=True)
class Hits:
    """Hits with so many answers in Redis, none served before, and by turns those of another one."""

    answers: int
    used_memory: int
    times: Times
    beside: Times

    @property
    def times_as_long(self) -> float:
        """How many times as long as the other's they take, by the medians."""
        return self.times.p50 / self.beside.p50


class Growing:
    """A Redis and a folder for homes, for the length of a `with`."""

    def __init__(self, redis: RedisServer, folder: Path) -> None:
        """Fill `redis`; nothing is in it yet."""
        self._redis = redis
        self._folder = folder
        self._answers = 0

    @property
    def used_memory(self) -> int:
        """Bytes that Redis says it uses."""
        (line,) = (
            each
            for each in self._redis.cli("info", "memory").splitlines()
            if each.startswith("used_memory:")
        )
        return int(line.partition(":")[2])

    def forget(self) -> None:
        """Empty it."""
        self._redis.cli("flushall")
        self._answers = 0

    def store_rows(self, count: int) -> Stored:
        """Store rows of the registry: other libraries in the seeds' words."""
        rows = made_up_rows(count)

        async def fill(fabric: Fabric) -> None:
            store = RowStore(fabric, PUBLIC)
            while part := list(islice(rows, AT_ONCE)):
                await store.save(part)

        return self._filled("rows", count, fill)

    def store_records(self, count: int) -> Stored:
        """Store records of calls."""
        records = made_up_records(count, time.time())
        return self._filled("records of calls", count, lambda fabric: keep(fabric, records))

    def store_answers(self, count: int) -> Stored:
        """Store answers until there are `count`; what is told is of the new ones."""
        new, self._answers = range(self._answers, count), count
        contexts = answers(new)
        return self._filled("answers", len(new), lambda fabric: _store(fabric, contexts))

    def _filled(self, kind: str, count: int, fill: Callable[[Fabric], Awaitable[object]]) -> Stored:
        async def run() -> None:
            async with Fabric(RedisBackend(self._redis.url), time.time) as fabric:
                await fill(fabric)

        before, begun = self.used_memory, time.perf_counter()
        anyio.run(run)
        seconds = time.perf_counter() - begun
        return Stored(kind, count, self.used_memory - before, seconds)

    def serving(self, rows: int) -> Serving:
        """Start two servers on the rows that are stored, and use the first."""
        most_used = max(made_up_rows(rows), key=lambda row: row.usage_count)
        library = LibraryId(*most_used.id.strip("/").split("/"))
        answer = iter([stored(library, question(0), longest_text())])
        self._filled("answers", 1, lambda fabric: _store(fabric, answer))
        begun = time.perf_counter()
        with self._server("one") as (server, pid):
            initialized = time.perf_counter() - begun
            wait_until_known(server, most_used)
            known = time.perf_counter() - begun
            with self._server("other") as (other, others_pid):
                wait_until_known(other, most_used)
                shares = shares_of([pid, others_pid], lambda: hit(server, library, 0))
            resident = memory(pid, "VmRSS")
        return Serving(rows, initialized * 1000, known * 1000, resident, *shares)

    def hits(self, calls: int, small: Growing) -> Hits:
        """Ask for answers at random, none twice, by turns here and at another one."""
        numbers = self._drawn(calls), small._drawn(calls)
        ours, others = list[float](), list[float]()
        with self._server("one") as (server, _), small._server("one") as (other, _other):
            for number, others_number in zip(*numbers, strict=True):
                ours.append(hit(server, library_of(number), number))
                others.append(hit(other, library_of(others_number), others_number))
        # The first of each opens the connections.
        times = Times("hits", (tuple(ours[1:]),)), Times("beside", (tuple(others[1:]),))
        return Hits(self._answers, self.used_memory, *times)

    def _drawn(self, calls: int) -> list[int]:
        chance = Random(calls)  # noqa: S311  # the same every time
        return chance.sample(range(self._answers), calls)

    @contextmanager
    def _server(self, home: str) -> Iterator[tuple[Pipes, int]]:
        """Run the product on stdio, past the hand-shake; yield it and its process id."""
        own = {"CONTEXT7_FABRIC_BACKEND": self._redis.url, "CONTEXT7_FABRIC_UPSTREAM": "off"}
        environment, pipe = product_environment(self._folder / home, own), subprocess.PIPE
        with subprocess.Popen([PROGRAM], env=environment, stdin=pipe, stdout=pipe) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            try:
                server = Pipes(child.stdin, child.stdout)
                server.introduce()
                yield server, child.pid
                child.stdin.close()
                child.wait(SECONDS)
            finally:
                child.kill()


@contextmanager
def growing() -> Iterator[Growing]:
    """Yield a Redis that keeps nothing on disk."""
    with TemporaryDirectory(prefix="growth-") as folder, redis_server() as redis:
        yield Growing(redis, Path(folder))


async def _store(fabric: Fabric, contexts: Iterator[tuple[str, Json]]) -> None:
    while part := dict(islice(contexts, AT_ONCE)):
        assert await fabric.set_many(part)
