"""The backend on the master that a real Sentinel names, also when that becomes another server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import anyio
import pytest
from anyio import to_thread

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backends.redis.backend import RedisBackend
from contracts.backend_contract import BackendContract, Spoil
from contracts.entries import got, put
from support.redis_servers import Watched, watched_servers

TIMEOUT = 30.0
SECONDS_FOR_A_NEW_MASTER = 100.0
"""A Sentinel that was stalled names no new master for half a minute."""


@pytest.fixture(scope="module")
def running() -> Iterator[Watched]:
    with watched_servers() as servers:
        yield servers


class TestRedisBackendBehindASentinel(BackendContract):
    @pytest.fixture
    async def backend(self, running: Watched) -> AsyncIterator[RedisBackend]:
        running.first.cli("FLUSHALL")
        backend = RedisBackend(running.url, timeout=TIMEOUT)
        yield backend
        await backend.aclose()

    @pytest.fixture
    def spoil(self, running: Watched) -> Spoil:
        async def spoil(key: str) -> None:
            running.first.cli("SET", f"{{context7-fabric}}:entry:{key}", "no hash")

        return spoil


async def test_when_the_master_dies_its_replica_is_used() -> None:
    with watched_servers() as servers:
        backend = RedisBackend(servers.url, timeout=10)
        await put(backend, "key", b"before")
        with anyio.fail_after(SECONDS_FOR_A_NEW_MASTER):
            while await to_thread.run_sync(servers.second.cli, "DBSIZE") == "0":
                pass
            servers.first.kill()
            await to_thread.run_sync(servers.be_impatient)
            while str(servers.second.port) not in await to_thread.run_sync(servers.master):
                pass
            while not await is_written(backend, "new", b"after"):
                pass
        assert await got(backend, "key") == b"before"
        assert await got(backend, "new") == b"after"
        await backend.aclose()


async def is_written(backend: RedisBackend, key: str, value: bytes) -> bool:
    try:
        await put(backend, key, value)
    except StoreUnavailable:
        return False
    return True


async def test_a_service_that_the_sentinel_does_not_know_is_an_error_of_one_line(
    running: Watched,
) -> None:
    backend = RedisBackend(f"{running.url}-other", timeout=TIMEOUT)
    with pytest.raises(StoreUnavailable, match="fabric-other") as caught:
        await backend.get("key")
    assert "\n" not in str(caught.value)
    await backend.aclose()
