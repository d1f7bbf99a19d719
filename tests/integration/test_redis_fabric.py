"""A fabric keeps its contract on a real Redis server, and on a cluster of three masters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from context7_fabric.fabric.backends.redis.backend import RedisBackend
from contracts.backend_contract import Spoil
from contracts.fabric_contract import FabricContract
from support.redis_servers import RedisServer, redis_cluster, redis_server

TIMEOUT = 30.0
"""Seconds for a call: a hundred writers at once take their time where others use the machine."""


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[RedisServer]]:
    with redis_cluster() as masters:
        yield masters


class TestRedisFabric(FabricContract):
    @pytest.fixture
    def backend(self, server: RedisServer) -> RedisBackend:
        server.cli("FLUSHALL")
        return RedisBackend(server.url, timeout=TIMEOUT)

    @pytest.fixture
    def spoil(self, server: RedisServer) -> Spoil:
        async def spoil(key: str) -> None:
            server.cli("SET", f"{{context7-fabric}}:entry:{key}", "no hash")

        return spoil


class TestClusterFabric(FabricContract):
    @pytest.fixture
    def backend(self, cluster: list[RedisServer]) -> RedisBackend:
        for master in cluster:
            master.cli("FLUSHALL")
        return RedisBackend(cluster[0].url, timeout=TIMEOUT)

    @pytest.fixture
    def spoil(self, cluster: list[RedisServer]) -> Spoil:
        async def spoil(key: str) -> None:
            cluster[0].cli("-c", "SET", f"{{context7-fabric}}:entry:{key}", "no hash")

        return spoil
