"""The fabric on each backend, beside raw diskcache and redis-py: get, set, query, search, pipeline.

Each backend holds 1,000 and then 100,000 contexts: JSON objects of about 350 bytes; raw stores hold
the same bytes under the same keys. All calls follow one another, at random keys. Fabric and raw
stores take turns in short rounds, in one process; a ratio is the median of the rounds' own, with
the least and the greatest. Redis is a real server on this machine. Vectors come from the real
model: where filling would take more than two minutes, that size is left out, which the output says.

Only public names of the package are used, so that an older release can be measured as well. Takes
about five minutes, with --quick (1,000 contexts, fewer rounds) about one.
"""

import argparse
import json
import random
import re
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from functools import cache as cached
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import diskcache
import pytest
from anyio import to_thread
from redis import Redis as PlainRedis
from redis.asyncio import Redis

from bench.harness import QUICK, Lap, Report, Times, ratio, run, timed, timed_race
from context7_fabric import DiskFabric, Fabric, InMemoryFabric, RedisFabric, Scope, VectorFabric
from support.model import model_path
from support.redis_servers import redis_server

SIZES = (1_000, 100_000)
MOST_FILL_SECONDS = 120.0
MANY = 1_000  # changes of a pipeline
NEWEST = 10
SEARCHED = 10_000  # contexts that the searches of a round read; one search at least
QUERY = "asynchronous web client"
ONE_BY_ONE = f"{MANY:,} sets one by one"
MOST_TIMES_RAW = 2.0
LEAST_TIMES_FASTER = 10.0
MOST_MS = 5.0
NOTES = (
    "Of fewer than 100 calls, p99 is the longest. Sets overwrite at random keys.",
    "diskcache and redis-py return bytes; a fabric checks and reads them, and returns a context.",
    "Nothing is claimed of pipelines in memory and of vectors: no round trips are saved there.",
)

Draw = Callable[[int], Sequence[Any]]  # returns the arguments of so many calls


SEEDS = Path(__file__).parents[2] / "seeds" / "library-seed.yaml"
CHARACTERS = 260  # text of a value; its other parts and JSON's signs take 90 bytes more


@dataclass(frozen=True)
class Item:
    """A value under a key: as a fabric takes it, and the bytes that a raw store takes."""

    key: str
    value: dict[str, Any]
    data: bytes


def item(number: int) -> Item:
    """Return the item of that number, the same every time."""
    chance = random.Random(number)  # noqa: S311  # no secret
    value = {
        "library": f"/measured/library-{number % 500}",
        "topic": " ".join(chance.sample(_words(), 2)),
        "text": " ".join(chance.choices(_words(), k=60))[:CHARACTERS],
        "tokens": chance.randint(100, 9_999),
    }
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Item(f"docs/{number:06}", value, data)


class Draws:
    """Random items out of the first `count`, and searches among them, the same every time."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._next = count
        self._chance = random.Random(7)  # noqa: S311  # no secret

    def items(self, count: int) -> list[Item]:
        return [item(number) for number in self._chance.sample(range(self._count), count)]

    def many(self, pipelines: int) -> list[list[Item]]:
        """Return the items of so many pipelines, which lie anywhere among all."""
        return [self.items(MANY) for _ in range(pipelines)]

    def new(self, pipelines: int) -> list[list[Item]]:
        """Return the items of so many pipelines, not stored yet, in the order of their keys."""
        first, self._next = self._next, self._next + pipelines * MANY
        return [
            [item(number) for number in range(start, start + MANY)]
            for start in range(first, self._next, MANY)
        ]

    def queries(self, count: int) -> list[str]:
        """Return so many times three words, each of which occurs in many items."""
        return [" ".join(self._chance.sample(_words(), 3)) for _ in range(count)]


@cached
def _words() -> tuple[str, ...]:
    text = SEEDS.read_text(encoding="utf-8")
    described = re.findall(r'^ +description: "(.*)"$', text, re.MULTILINE)
    words = {word.strip(".,()").lower() for each in described for word in each.split()}
    return tuple(sorted(words - {""}))


@dataclass(frozen=True)
class Store:
    """Laps of operations on a store."""

    get: Lap[Any, list[float]]
    set: Lap[Any, list[float]]
    pipeline: Lap[Any, list[float]]


def store(*calls: Callable[[Any], Any], blocks: bool = False) -> Store:
    """Return a store by its ways to get, to set, and to set many."""
    return Store(*(timed(each, blocks=blocks) for each in calls))


@asynccontextmanager
async def diskcache_stores(folder: Path) -> AsyncIterator[Mapping[str, Store]]:
    """Open a `diskcache.Cache` with its defaults: called plainly, and in a thread."""
    with closing(diskcache.Cache(str(folder))) as cache:

        def get(item: Item) -> object:
            return cache.get(item.key)

        def put(item: Item) -> object:
            return cache.set(item.key, item.data)

        def pipeline(items: Sequence[Item]) -> object:
            with cache.transact():
                return all(map(put, items))

        yield {
            "diskcache.Cache": store(get, put, pipeline, blocks=True),
            "diskcache.Cache by anyio.to_thread": store(
                lambda item: to_thread.run_sync(get, item),
                lambda item: to_thread.run_sync(put, item),
                lambda items: to_thread.run_sync(pipeline, items),
            ),
        }


@asynccontextmanager
async def redis_stores(url: str) -> AsyncIterator[Mapping[str, Store]]:
    """Open redis-py's two clients with their defaults."""
    with PlainRedis.from_url(url) as plain:
        async with Redis.from_url(url) as client:

            async def pipeline(items: Sequence[Item]) -> object:
                async with client.pipeline() as pipe:
                    for item in items:
                        _ = pipe.set(item.key, item.data)  # collected, not sent: nothing to await
                    return await pipe.execute()

            def plain_pipeline(items: Sequence[Item]) -> object:
                with plain.pipeline() as pipe:
                    for item in items:
                        pipe.set(item.key, item.data)
                    return pipe.execute()

            yield {
                "redis.asyncio.Redis": store(
                    lambda item: client.get(item.key),
                    lambda item: client.set(item.key, item.data),
                    pipeline,
                ),
                "redis.Redis": store(
                    lambda item: plain.get(item.key),
                    lambda item: plain.set(item.key, item.data),
                    plain_pipeline,
                    blocks=True,
                ),
            }


@dataclass(frozen=True)
class Contest:
    """A fabric with its name, and the raw stores that it is compared with.

    `embeds` says that a search makes the vectors of what is new.
    """

    name: str
    fabric: Fabric
    raw: Mapping[str, Store] = field(default_factory=dict)
    embeds: bool = False


@asynccontextmanager
async def _memory(_folder: Path) -> AsyncIterator[Contest]:
    async with InMemoryFabric() as fabric:
        yield Contest("InMemoryFabric", fabric)


@asynccontextmanager
async def _disk(folder: Path) -> AsyncIterator[Contest]:
    async with diskcache_stores(folder / "raw") as raw, DiskFabric(folder / "fabric") as fabric:
        yield Contest("DiskFabric", fabric, raw)


@asynccontextmanager
async def _redis(_folder: Path) -> AsyncIterator[Contest]:
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server")
    with redis_server() as server:
        async with redis_stores(server.url) as raw, RedisFabric(server.url) as fabric:
            yield Contest("RedisFabric", fabric, raw)


@asynccontextmanager
async def _vector(folder: Path) -> AsyncIterator[Contest]:
    async with VectorFabric(path=folder, embedding_model=model_path()) as fabric:
        await fabric.search(QUERY)  # loads the model
        yield Contest("VectorFabric in a folder", fabric, embeds=True)


BACKENDS: Mapping[str, Callable[[Path], AbstractAsyncContextManager[Contest]]] = {
    "memory": _memory,
    "disk": _disk,
    "redis": _redis,
    "vector": _vector,
}


def measure(options: argparse.Namespace) -> Report:
    """Measure each backend at each size that it can be filled to in time."""
    raw = f"Raw stores: diskcache {version('diskcache')}, redis-py {version('redis')}."
    report = Report("The fabric beside raw stores", ["", raw, *NOTES])
    for backend in options.backend or BACKENDS:
        try:
            _add_backend(report, backend, quick=options.quick)
        except pytest.skip.Exception as reason:
            report.missing.append(f"{backend}: not measured, {reason}")
    return report


def _add_backend(report: Report, backend: str, *, quick: bool) -> None:
    pace = 0.0
    for size in SIZES[:1] if quick else SIZES:
        if pace * size > MOST_FILL_SECONDS:
            report.remarks.append(
                f"{backend}, {size:,} contexts: not measured, filling would take"
                f" {pace * size / 60:.0f} minutes at the pace of the size before"
            )
        else:
            pace = anyio.run(_add_size, report, backend, size, quick) / size


async def _add_size(report: Report, backend: str, size: int, quick: bool) -> float:
    """Measure a backend with `size` contexts; return the seconds that filling it took."""
    with TemporaryDirectory(prefix="fabric-") as folder:
        async with BACKENDS[backend](Path(folder)) as contest:
            seconds = await _fill(contest, size)
            found = await contest.fabric.search(QUERY, limit=NEWEST)
            (ranked_by,) = {each.ranked_by for each in found}
            times = await _races(contest, size, quick=quick)
    where = f"{backend}, {size:,} contexts"
    _add_table(report, where, ranked_by, times)
    vectors = ", vectors included" if ranked_by == "vectors" else ""
    report.remarks.append(
        f"{where}: filled in {seconds:.2f} s by pipelines of {MANY:,}{vectors}:"
        f" {size / seconds:,.0f} a second"
    )
    _add_claims(report, backend, size, times)
    return seconds


async def _fill(contest: Contest, size: int) -> float:
    """Store the first `size` items; return the seconds of the fabric, vectors included."""
    steps = [_store_of(contest.fabric).pipeline]
    if contest.embeds:
        steps.append(timed(lambda _items: contest.fabric.search(QUERY)))
    seconds = 0.0
    for first in range(0, size, MANY):
        items = [item(number) for number in range(first, min(first + MANY, size))]
        for step in steps:
            seconds += sum(await step([items])) / 1000
        for raw in [*contest.raw.values()][:1]:
            await raw.pipeline([items])
    held = await contest.fabric.count_contexts(Scope.GLOBAL)
    if held != size:
        raise RuntimeError(f"{contest.name} holds {held} contexts of {size}")
    return seconds


async def _races(contest: Contest, size: int, *, quick: bool) -> dict[str, dict[str, Times]]:
    """Let the fabric and the raw stores take turns with every operation."""
    fabric, draws, name = contest.fabric, Draws(size), contest.name
    stores = {name: _store_of(fabric), **contest.raw}
    first, others = stores[name].pipeline, {name: raw.pipeline for name, raw in contest.raw.items()}
    one_by_one: Lap[Any, list[float]] = timed(partial(_one_by_one, fabric))
    searches = max(1, SEARCHED // size)
    query: Lap[Any, list[float]] = timed(lambda limit: fabric.query(limit=limit))
    operations: Mapping[str, tuple[Mapping[str, Lap[Any, list[float]]], Draw, int, int]] = {
        "get": ({name: each.get for name, each in stores.items()}, draws.items, 15, 200),
        "query": ({name: query}, lambda calls: [NEWEST] * calls, 10, 10),
        "search": ({name: timed(fabric.search)}, draws.queries, 3, searches),
        "set": ({name: each.set for name, each in stores.items()}, draws.items, 15, 100),
        "pipeline": ({name: first, f"{name}, {ONE_BY_ONE}": one_by_one, **others}, draws.new, 7, 1),
        "overwrite": ({name: first, **others}, draws.many, 5, 1),
    }
    times = {}
    for operation, (laps, draw, most_rounds, calls) in operations.items():
        rounds = min(most_rounds, 3) if quick else most_rounds
        times[operation] = await timed_race(laps, partial(draw, calls), rounds)
    return times


def _store_of(fabric: Fabric) -> Store:
    async def pipeline(items: Sequence[Item]) -> bool:
        async with fabric.pipeline() as pipe:
            for each in items:
                await pipe.set_context(each.key, each.value, disposable=True)
            return await pipe.execute()

    return store(lambda item: fabric.get_context(item.key), partial(_set, fabric), pipeline)


def _set(fabric: Fabric, item: Item) -> Awaitable[bool]:
    return fabric.set_context(item.key, item.value, disposable=True)


async def _one_by_one(fabric: Fabric, items: Sequence[Item]) -> bool:
    own = [replace(each, key=f"one/{each.key}") for each in items]
    return all([await _set(fabric, each) for each in own])


def _add_table(
    report: Report, where: str, ranked_by: str, times: Mapping[str, Mapping[str, Times]]
) -> None:
    labels = {
        "query": f"query, newest {NEWEST}",
        "search": f"search by {ranked_by}",
        "pipeline": f"pipeline of {MANY:,} new ones",
        "overwrite": f"pipeline of {MANY:,} overwritten at random",
    }
    table = report.table(where, "", "", "p50 ms", "p99 ms", "calls", "the fabric takes", left=2)
    for operation, entrants in times.items():
        label, (first, *_others) = labels.get(operation, operation), entrants.values()
        report.figures[f"{where}: {label}, ms"] = first.p50
        for name, each in entrants.items():
            beside = "" if each is first else f"{ratio(first, each)} times that"
            table.add_row(label, name, *each.cells(digits=3), beside)


def _add_claims(
    report: Report, backend: str, size: int, times: Mapping[str, Mapping[str, Times]]
) -> None:
    where = f"{backend}, {size:,} contexts"
    if backend in ("disk", "redis"):
        (_ours, get), (raw, raw_get) = [*times["get"].items()][:2]
        text = f"{where}: a get, times as long as that of {raw}"
        report.at_most(text, ratio(get, raw_get), MOST_TIMES_RAW)
        pipeline, one_by_one = [*times["pipeline"].values()][:2]
        text = f"{where}: a pipeline of {MANY:,} new contexts, times faster than {MANY:,} sets"
        report.at_least(text, ratio(one_by_one, pipeline), LEAST_TIMES_FASTER)
    if backend in ("memory", "disk", "redis") and size == SIZES[-1]:
        (query,) = times["query"].values()
        report.at_most(f"{where}: p50 of a query of the newest {NEWEST}", query.p50, MOST_MS, " ms")


if __name__ == "__main__":
    sys.exit(run(__doc__, measure, quick=QUICK, backend={"choices": BACKENDS, "action": "append"}))
