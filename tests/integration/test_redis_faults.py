"""The backend in Redis where Redis is held, gone, full, or comes back."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from time import monotonic

import anyio
import pytest

from context7_fabric.errors import StoreClosed, StoreUnavailable
from context7_fabric.fabric.backend import WriteRequest
from context7_fabric.fabric.backends.redis.backend import RedisBackend
from context7_fabric.fabric.fabric import Fabric
from contracts.entries import everything, got, held, put, put_many
from support.processes import one_soon
from support.redis_calls import CALLS
from support.redis_servers import RedisServer, redis_server

SECRET = "s3cr3t %/@: word"
TIMEOUT = 0.5
PATIENCE = 30.0
"""The time-out where a call is to work, also on a busy machine."""


@pytest.fixture(scope="module")
def running() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    running.cli("FLUSHALL")
    return running


@pytest.fixture
async def backend(server: RedisServer) -> AsyncIterator[RedisBackend]:
    backend = RedisBackend(server.url, timeout=PATIENCE)
    yield backend
    await backend.aclose()


@pytest.mark.parametrize("call", CALLS)
async def test_a_server_that_is_held_costs_no_more_than_the_time_out(
    server: RedisServer, backend: RedisBackend, call: str
) -> None:
    hasty = RedisBackend(server.url, timeout=TIMEOUT)

    async def took() -> float:
        begun = monotonic()
        with pytest.raises(StoreUnavailable):
            await CALLS[call](hasty)
        assert monotonic() - begun > TIMEOUT / 2
        return monotonic() - begun

    await put(backend, "key", b"value")
    await connected(hasty)
    with server.held():
        await one_soon(2 * TIMEOUT, took)
    assert await got(backend, "key") in (b"value", None)
    await hasty.aclose()


async def connected(hasty: RedisBackend) -> None:
    """Call until there is a reply in time."""
    while True:  # the test's own limit ends this
        with suppress(StoreUnavailable):
            await hasty.get("key")
            return


async def test_many_callers_of_a_held_server_wait_no_longer_than_one(server: RedisServer) -> None:
    backend, refused = RedisBackend(server.url, timeout=2), 0
    callers = 300

    async def ask() -> None:
        nonlocal refused
        try:
            await backend.get("key")
        except StoreUnavailable:
            refused += 1

    async def took() -> float:
        nonlocal refused
        refused, begun = 0, monotonic()
        async with anyio.create_task_group() as tasks:
            for _ in range(callers):
                tasks.start_soon(ask)
        assert refused == callers
        return monotonic() - begun

    with server.held():
        await one_soon(4 * 2, took)  # one connection after the other: six times
    await backend.aclose()


@pytest.mark.parametrize("call", CALLS)
async def test_a_server_that_is_gone_is_an_error_at_once(call: str) -> None:
    with redis_server() as gone:
        gone.kill()
        backend = RedisBackend(gone.url, timeout=30)
        begun = monotonic()
        with pytest.raises(StoreUnavailable):
            await CALLS[call](backend)
        assert monotonic() - begun < 20
        await backend.aclose()


@pytest.mark.parametrize("call", [name for name in CALLS if name != "add"])
async def test_after_a_restart_the_first_call_works_already(call: str) -> None:
    with redis_server() as server:
        backend = RedisBackend(server.url, timeout=PATIENCE)
        await put(backend, "key", b"before")
        server.kill()
        server.start()
        await CALLS[call](backend)
        await put(backend, "key", b"after")
        assert await got(backend, "key") == b"after"
        await backend.aclose()


@pytest.mark.parametrize(
    "take",
    [CALLS["add"], lambda backend: backend.swap("key", b"before", b"ours", expires_in=60)],
    ids=["add", "swap"],
)
async def test_what_would_not_know_its_own_work_again_is_not_done_twice(
    take: Callable[[RedisBackend], Awaitable[object]],
) -> None:
    with redis_server() as server:
        backend = RedisBackend(server.url, timeout=PATIENCE)
        await put(backend, "key", b"before")
        server.kill()
        server.start()
        with pytest.raises(StoreUnavailable):
            await take(backend)
        await take(backend)
        await backend.aclose()


async def test_while_a_server_is_away_calls_fail_and_then_work_again() -> None:
    with redis_server() as server:
        backend = RedisBackend(server.url, timeout=PATIENCE)
        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(put, backend, f"{number}", b"")
        server.kill()
        for call in CALLS.values():
            with pytest.raises(StoreUnavailable):
                await call(backend)
        server.start()
        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(put, backend, f"{number}", b"")
        assert backend.dbsize() == 30
        await backend.aclose()


async def test_the_reply_of_a_caller_that_gave_up_reaches_no_other_caller(
    server: RedisServer,
) -> None:
    backend = RedisBackend(server.url, timeout=PATIENCE)
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
    for _ in range(5):
        with server.held():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask_all)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
        found.clear()
        await ask_all()
        assert found == values
        assert held(await backend.get_many(list(values))) == values
    await backend.aclose()


async def test_closing_ends_what_is_under_way(server: RedisServer) -> None:
    backend = RedisBackend(server.url, timeout=30)
    await put(backend, "key", b"value")
    refused: list[StoreClosed] = []

    async def ask() -> None:
        try:
            await backend.get("key")
        except StoreClosed as error:
            refused.append(error)

    with server.held(), anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            await backend.aclose()
    assert len(refused) == 1


async def test_a_fabric_lives_on_while_redis_is_held_or_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with redis_server(password=SECRET) as server:
        fabric = Fabric(RedisBackend(server.url, timeout=3))
        assert await fabric.set_context("key", "value")
        with server.held():
            assert await fabric.get_context("key") is None
            assert not await fabric.set_context("key", "other")
        assert fabric.faults.count == 2
        server.kill()
        assert await fabric.get_context("key") is None
        assert not await fabric.set_context("key", "other")
        assert await fabric.query() == []
        assert await fabric.count_contexts() == 0
        assert fabric.faults.count == 9
        server.start()
        assert await fabric.set_context("key", "again")
        context = await fabric.get_context("key")
        assert context
        assert (context.value, context.version) == ("again", 1)
        await fabric.aclose()
    assert SECRET not in caplog.text
    assert "held" not in caplog.text


async def test_a_server_that_makes_room_drops_disposable_entries_only() -> None:
    with redis_server("--maxmemory", "8mb", "--maxmemory-policy", "volatile-lru") as server:
        backend = RedisBackend(server.url, timeout=30)
        authored = {f"authored/{number}": b"x" * 1000 for number in range(200)}
        await backend.write(
            [WriteRequest(key, each, disposable=False) for key, each in authored.items()]
        )
        for batch in range(40):
            await put_many(backend, {f"d/{batch}/{number}": b"x" * 1000 for number in range(500)})
        assert held(await everything(backend, "authored/", page=100)) == authored
        listed = {entry.key for entry in await everything(backend, "d/", page=500)}
        assert 500 < len(listed) < 10_000
        there = {key for key in await backend.keys("d/") if await backend.get(key)}
        assert listed == there
        assert backend.dbsize("d/") == len(there)
        await backend.aclose()


async def test_a_full_server_refuses_writes_whole_and_goes_on_answering() -> None:
    with redis_server("--maxmemory-policy", "noeviction") as server:
        backend = RedisBackend(server.url, timeout=30)
        entries = {f"{number}": b"x" for number in range(1000)}
        await put_many(backend, entries)
        server.cli("CONFIG", "SET", "maxmemory", "1mb")
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            await put_many(backend, {"0": b"other", "new": b""})
        assert held(await everything(backend, "", page=500)) == entries
        assert len(await backend.newest("", None, 2000)) == len(await backend.keys("")) == 1000
        assert len(await backend.newest("99", None, 2000)) == 11
        assert await backend.delete("0")
        await backend.aclose()


@pytest.mark.parametrize("ending", ["asyncio.run(fabric.aclose())", "pass"])
async def test_one_fabric_serves_one_event_loop_after_another(
    server: RedisServer, ending: str
) -> None:
    program = f"""
import asyncio
from context7_fabric.fabric.backends.redis.backend import RedisBackend
from context7_fabric.fabric.fabric import Fabric

fabric = Fabric(RedisBackend({server.url!r}, timeout={PATIENCE}))

async def store(key):
    assert await fabric.set_context(key, 1)

async def store_many():
    await asyncio.gather(*(store(str(number)) for number in range(100)))

async def count():
    print(await fabric.count_contexts(), fabric.backend.dbsize(), len(await fabric.query()))

asyncio.run(store("first"))
asyncio.run(store_many())
asyncio.run(count())
{ending}
"""
    done = await anyio.run_process([sys.executable, "-W", "error", "-c", program])
    assert done.stdout.decode() == "101 101 101\n"
    assert done.stderr.decode() == ""
    assert "connected_clients:1" in server.cli("INFO", "clients").splitlines()  # it asks itself


async def test_two_event_loops_at_once_use_one_backend(
    server: RedisServer, backend: RedisBackend
) -> None:
    async def write(start: int) -> None:
        for number in range(start, start + 100):
            await put(backend, f"{number}", b"")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, 0)
        tasks.start_soon(anyio.to_thread.run_sync, anyio.run, write, 100)
    assert backend.dbsize() == 200
