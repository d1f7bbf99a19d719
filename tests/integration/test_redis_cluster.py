"""The backend on a real cluster of three masters, which it finds out by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from time import monotonic

import anyio
import pytest

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backends.redis.backend import RedisBackend
from contracts.backend_contract import BackendContract, Spoil
from contracts.entries import got, held, put, put_many
from support.processes import one_soon
from support.redis_servers import RedisServer, redis_cluster, wait_until_serving

TIMEOUT = 10.0


@pytest.fixture(scope="module")
def running() -> Iterator[list[RedisServer]]:
    with redis_cluster() as nodes:
        yield nodes


@pytest.fixture
def nodes(running: list[RedisServer]) -> list[RedisServer]:
    for node in running:
        node.cli("FLUSHALL")
    return running


@pytest.fixture
async def backend(nodes: list[RedisServer]) -> AsyncIterator[RedisBackend]:
    backend = RedisBackend(nodes[0].url, timeout=TIMEOUT)
    yield backend
    await backend.aclose()


class TestRedisBackendOnACluster(BackendContract):
    @pytest.fixture
    async def backend(self, nodes: list[RedisServer]) -> AsyncIterator[RedisBackend]:
        backend = RedisBackend(nodes[0].url, timeout=TIMEOUT)
        yield backend
        await backend.aclose()

    @pytest.fixture
    def spoil(self, nodes: list[RedisServer]) -> Spoil:
        async def spoil(key: str) -> None:
            nodes[0].cli("-c", "SET", f"{{context7-fabric}}:entry:{key}", "no hash")

        return spoil


async def test_any_node_is_a_way_in_and_a_namespace_lies_on_one(nodes: list[RedisServer]) -> None:
    backends = [RedisBackend(node.url, timeout=TIMEOUT) for node in nodes]
    for number, backend in enumerate(backends):
        await put(backend, f"{number}", b"")
    assert [backend.dbsize() for backend in backends] == [3, 3, 3]
    sizes = sorted(int(node.cli("DBSIZE")) for node in nodes)
    assert sizes == [0, 0, 6]  # three entries, and the indexes of time, name and end
    for backend in backends:
        await backend.aclose()


async def test_several_namespaces_are_spread(nodes: list[RedisServer]) -> None:
    for number in range(12):
        backend = RedisBackend(nodes[0].url, namespace=f"fabric-{number}", timeout=TIMEOUT)
        await put(backend, "key", b"")
        await backend.aclose()
    assert all(int(node.cli("DBSIZE")) for node in nodes)


async def test_its_memory_is_that_of_all_masters(
    nodes: list[RedisServer], backend: RedisBackend
) -> None:
    memory = backend.info()["memory"]
    each = [int(node.cli("INFO", "memory").split("used_memory:")[1].split()[0]) for node in nodes]
    assert isinstance(memory, int)
    assert memory > sum(each) - min(each)


async def test_the_reply_of_a_caller_that_gave_up_reaches_no_other_caller(
    nodes: list[RedisServer], backend: RedisBackend
) -> None:
    values = {f"{number}": b"%d" % number * 100 for number in range(40)}
    await put_many(backend, values)
    found: dict[str, bytes | None] = {}

    async def ask(key: str) -> None:
        found[key] = await got(backend, key)

    async def ask_all() -> None:
        async with anyio.create_task_group() as tasks:
            for key in values:
                tasks.start_soon(ask, key)

    await ask_all()
    (owner,) = (node for node in nodes if int(node.cli("DBSIZE")))
    for _ in range(5):
        with owner.held():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask_all)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
        found.clear()
        await ask_all()
        assert found == values
        assert held(await backend.get_many(list(values))) == values


async def test_a_node_that_is_held_costs_no_more_than_the_time_out_and_works_again(
    nodes: list[RedisServer],
) -> None:
    backend = RedisBackend(nodes[0].url, timeout=3)
    await put(backend, "key", b"value")
    (owner,) = (node for node in nodes if int(node.cli("DBSIZE")))

    async def took() -> float:
        begun = monotonic()
        with pytest.raises(StoreUnavailable):
            await backend.get("key")
        return monotonic() - begun

    with owner.held():
        await one_soon(5.9, took)
    assert await got(backend, "key") == b"value"
    await backend.aclose()


async def test_a_node_that_was_restarted_is_used_again(nodes: list[RedisServer]) -> None:
    backend = RedisBackend(nodes[0].url, timeout=TIMEOUT)
    await put(backend, "key", b"value")
    (owner,) = (node for node in nodes if int(node.cli("DBSIZE")))
    owner.kill()
    with pytest.raises(StoreUnavailable):
        await backend.get("key")
    owner.start()
    with anyio.fail_after(40):
        while await got_if_possible(backend) != b"again":
            with suppress(StoreUnavailable):
                await put(backend, "key", b"again")
    await backend.aclose()


async def test_closing_after_a_node_was_lost_leaves_no_connection(
    nodes: list[RedisServer],
) -> None:
    backend = RedisBackend(nodes[0].url, timeout=TIMEOUT)
    await put(backend, "key", b"value")
    (owner,) = (node for node in nodes if int(node.cli("DBSIZE")))
    owner.kill()
    with pytest.raises(StoreUnavailable):
        await backend.get("key")
    await backend.aclose()
    for node in set(nodes) - {owner}:
        while "connected_clients:1" not in node.cli("INFO", "clients").splitlines():
            pass  # until it has seen the end of the others
    owner.start()
    for node in nodes:
        wait_until_serving(node)


async def test_a_database_of_its_own_is_not_to_be_had(nodes: list[RedisServer]) -> None:
    backend = RedisBackend(nodes[0].url, db=1, timeout=TIMEOUT)
    with pytest.raises(StoreUnavailable):
        await backend.get("key")
    await backend.aclose()


async def got_if_possible(backend: RedisBackend) -> bytes | None:
    with suppress(StoreUnavailable):
        return await got(backend, "key")
    return None
