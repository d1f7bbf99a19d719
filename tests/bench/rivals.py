"""diskcache and redis-py as a program would use them that has no fabric: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import diskcache
from anyio import to_thread
from redis import Redis as PlainRedis
from redis.asyncio import Redis

from bench.items import Item
from bench.rounds import Entrant, plain, waiting


@dataclass(frozen=True)
class Rival:
    """A raw store and a way to call it."""

    name: str
    get: Entrant[Item]
    set: Entrant[Item]
    pipeline: Entrant[Sequence[Item]]


@asynccontextmanager
async def diskcache_rivals(folder: Path) -> AsyncIterator[list[Rival]]:
    """A `diskcache.Cache` as it is by default: called plainly, and not to block the event loop."""
    with closing(diskcache.Cache(str(folder))) as store:

        def get(item: Item) -> object:
            return store.get(item.key)

        def put(item: Item) -> object:
            return store.set(item.key, item.data)

        def pipeline(items: Sequence[Item]) -> object:
            with store.transact():
                return all(map(put, items))

        name, threads = "diskcache.Cache", "diskcache.Cache by anyio.to_thread"
        yield [
            Rival(name, plain(name, get), plain(name, put), plain(name, pipeline)),
            Rival(
                threads,
                waiting(threads, lambda item: to_thread.run_sync(get, item)),
                waiting(threads, lambda item: to_thread.run_sync(put, item)),
                waiting(threads, lambda items: to_thread.run_sync(pipeline, items)),
            ),
        ]


@asynccontextmanager
async def redis_rivals(url: str) -> AsyncIterator[list[Rival]]:
    """redis-py's two clients as they are by default."""
    with PlainRedis.from_url(url) as blocking:
        async with Redis.from_url(url) as client:
            yield [_awaited("redis.asyncio.Redis", client), _blocking("redis.Redis", blocking)]


def _awaited(name: str, client: Redis) -> Rival:
    async def pipeline(items: Sequence[Item]) -> object:
        async with client.pipeline() as pipe:
            for item in items:
                _ = pipe.set(item.key, item.data)  # collected, not sent: nothing to await
            return await pipe.execute()

    return Rival(
        name,
        waiting(name, lambda item: client.get(item.key)),
        waiting(name, lambda item: client.set(item.key, item.data)),
        waiting(name, pipeline),
    )


def _blocking(name: str, client: PlainRedis) -> Rival:
    def pipeline(items: Sequence[Item]) -> object:
        with client.pipeline() as pipe:
            for item in items:
                pipe.set(item.key, item.data)
            return pipe.execute()

    return Rival(
        name,
        plain(name, lambda item: client.get(item.key)),
        plain(name, lambda item: client.set(item.key, item.data)),
        plain(name, pipeline),
    )
