"""Announcements of written keys over Redis: on one server, over TLS, on a cluster."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import ExitStack, aclosing, asynccontextmanager

import anyio
import pytest
from anyio import to_thread

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backend import WriteRequest, WrittenKeys
from context7_fabric.fabric.backends.redis.backend import PING_SECONDS, RedisBackend
from contracts.entries import put, put_many
from support.redis_servers import redis_cluster, redis_server, watched_servers

TIMEOUT = 30.0
PLACES = ("alone", "over TLS", "a cluster", "behind a Sentinel")


@pytest.fixture(scope="module", params=PLACES)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with ExitStack() as stack:
        match request.param:
            case "alone":
                found = stack.enter_context(redis_server()).url
            case "over TLS":
                found = stack.enter_context(redis_server(tls=True, password="s3cret")).url
            case "a cluster":
                found = stack.enter_context(redis_cluster())[1].url
            case _:
                found = stack.enter_context(watched_servers()).url
        yield found


@asynccontextmanager
async def at(
    url: str, namespace: str = "ours", ping_seconds: float = PING_SECONDS
) -> AsyncIterator[RedisBackend]:
    backend = RedisBackend(url, namespace=namespace, timeout=TIMEOUT, ping_seconds=ping_seconds)
    try:
        yield backend
    finally:
        await backend.aclose()


@asynccontextmanager
async def listening(backend: RedisBackend) -> AsyncIterator[AsyncGenerator[WrittenKeys]]:
    """Subscribe for the block and yield the announcements that follow."""
    with anyio.fail_after(30):
        async with aclosing(backend.announcements()) as announced:
            assert await anext(announced) is None
            yield announced


async def test_what_another_process_writes_and_removes_is_announced(url: str) -> None:
    async with at(url) as here, at(url) as there, listening(here) as announced:
        await put_many(there, {"one": b"", "two": b""})
        assert await anext(announced) == ("one", "two")
        await there.write([WriteRequest("three", b"")], ["one"])
        assert await anext(announced) == ("three",)
        assert await anext(announced) == ("one",)
        await there.delete("two")
        assert await anext(announced) == ("two",)


async def test_what_one_writes_oneself_is_announced_too(url: str) -> None:
    async with at(url) as here, listening(here) as announced:
        await put(here, "key", b"")
        assert await anext(announced) == ("key",)


async def test_of_other_namespaces_and_of_leases_that_are_kept_nothing_is_heard(url: str) -> None:
    async with at(url) as here, at(url, "theirs") as elsewhere, listening(here) as announced:
        await put(elsewhere, "key", b"")
        await here.add("lease", b"", expires_in=5)
        assert await here.swap("lease", b"", b"", expires_in=5)
        assert not await here.swap("lease", b"another's", None)
        await put(here, "last", b"")
        assert await anext(announced) == ("last",)


async def test_that_a_lease_is_given_back_is_announced(url: str) -> None:
    async with at(url) as here, at(url) as there, listening(here) as announced:
        await there.add("work", b"theirs", expires_in=5)
        assert await there.swap("work", b"theirs", None)
        assert await anext(announced) == ("work",)


@pytest.mark.parametrize(
    "message", ["", "no JSON", "[]", '{"format": 2}', '[1, "key"]', "[" * 100_000]
)
async def test_what_is_in_another_form_says_that_it_may_be_anything(message: str) -> None:
    with redis_server() as server:
        async with at(server.url) as here, listening(here) as announced:
            server.cli("publish", "{ours}:news", message)
            assert await anext(announced) is None


async def test_many_keys_are_announced_in_portions(url: str) -> None:
    async with at(url) as here, listening(here) as announced:
        await put_many(here, {f"key {number:03}": b"" for number in range(250)})
        portions = [await anext(announced) for _portion in range(3)]
        assert [len(each or ()) for each in portions] == [100, 100, 50]


class TestAServerThatIsGone:
    async def test_its_end_is_noticed(self) -> None:
        with redis_server() as server:
            async with at(server.url) as here, listening(here) as announced:
                server.kill()
                with pytest.raises(StoreUnavailable):
                    await anext(announced)

    async def test_its_silence_is_noticed(self) -> None:
        with redis_server() as server:
            backend = RedisBackend(server.url, timeout=3, ping_seconds=0.1)
            async with listening(backend) as announced:
                with server.held(), pytest.raises(StoreUnavailable, match="does not answer a ping"):
                    await anext(announced)
            await backend.aclose()

    async def test_one_that_is_only_silent_is_listened_to_on(self) -> None:
        with redis_server() as server:
            async with (
                at(server.url, ping_seconds=0.01) as here,
                listening(here) as announced,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(anext, announced)
                while "cmd=ping" not in await to_thread.run_sync(server.cli, "client", "list"):
                    pass
                await put(here, "key", b"")
