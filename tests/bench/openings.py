"""Opens each backend's fabric with the raw stores that it stands on."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from bench.contests import QUERY, Contest
from bench.rivals import diskcache_rivals, redis_rivals
from context7_fabric.fabric.factory import DiskFabric, InMemoryFabric, RedisFabric, VectorFabric
from support.model import model_path
from support.redis_servers import redis_server


@asynccontextmanager
async def _memory(_folder: Path) -> AsyncIterator[Contest]:
    async with InMemoryFabric() as fabric:
        yield Contest("InMemoryFabric", fabric)


@asynccontextmanager
async def _disk(folder: Path) -> AsyncIterator[Contest]:
    async with diskcache_rivals(folder / "raw") as rivals, DiskFabric(folder / "fabric") as fabric:
        yield Contest("DiskFabric", fabric, rivals)


@asynccontextmanager
async def _redis(_folder: Path) -> AsyncIterator[Contest]:
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server")
    with redis_server() as server:
        async with redis_rivals(server.url) as rivals, RedisFabric(server.url) as fabric:
            yield Contest("RedisFabric", fabric, rivals)


@asynccontextmanager
async def _vector(folder: Path) -> AsyncIterator[Contest]:
    async with VectorFabric(path=folder, embedding_model=model_path()) as fabric:
        await fabric.search(QUERY)  # loads the model
        yield Contest("VectorFabric in a folder", fabric, embeds=True)


OPENINGS: Mapping[str, Callable[[Path], AbstractAsyncContextManager[Contest]]] = {
    "memory": _memory,
    "disk": _disk,
    "redis": _redis,
    "vector": _vector,
}
"""How each backend is opened, by its name, with a folder of its own."""
