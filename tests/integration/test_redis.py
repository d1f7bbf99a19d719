"""The backend in Redis keeps the contract on a real server, and what is particular to it there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import anyio
import pytest

from context7_fabric.errors import CorruptEntry
from context7_fabric.fabric.backend import EntryPosition, WriteRequest
from context7_fabric.fabric.backends.redis.backend import LIFETIME_MS, RedisBackend
from contracts.backend_contract import BackendContract, Spoil
from contracts.entries import LONG, everything, got, held, put, put_many
from support.redis_servers import RedisServer, redis_server

DAY_MS = 24 * 3600 * 1000
TIMEOUT = 30.0


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
    backend = RedisBackend(server.url, timeout=TIMEOUT)
    yield backend
    await backend.aclose()


class TestRedisBackend(BackendContract):
    @pytest.fixture
    async def backend(self, server: RedisServer) -> AsyncIterator[RedisBackend]:
        backend = RedisBackend(server.url, timeout=TIMEOUT)
        yield backend
        await backend.aclose()

    @pytest.fixture
    def spoil(self, server: RedisServer, backend: RedisBackend) -> Spoil:
        async def spoil(key: str) -> None:
            server.cli("SET", f"{{context7-fabric}}:entry:{key}", "no hash")

        return spoil


@pytest.mark.parametrize("fields", [("n", "1"), ("v", "value"), ("v", "value", "n", "many")])
async def test_a_hash_that_lacks_what_an_entry_has_counts_as_spoilt(
    server: RedisServer, backend: RedisBackend, fields: tuple[str, ...]
) -> None:
    await put(backend, "key", b"before")
    server.cli("DEL", "{context7-fabric}:entry:key")
    server.cli("HSET", "{context7-fabric}:entry:key", *fields)
    with pytest.raises(CorruptEntry, match="'key'"):
        await backend.get("key")
    assert await backend.get_many(["key"]) == []
    assert await everything(backend, "") == []
    await put(backend, "key", b"after")
    assert await got(backend, "key") == b"after"


async def test_nothing_is_left_when_everything_is_deleted(
    server: RedisServer, backend: RedisBackend
) -> None:
    await put_many(backend, {f"{number}": b"" for number in range(1500)})
    await backend.newest("1", None, 3)
    await backend.add("lease", b"", expires_in=LONG)
    for key in await backend.keys(""):
        await backend.delete(key)
    assert server.cli("KEYS", "*") == ""


async def test_only_what_is_authored_and_has_no_end_stays_for_ever(
    server: RedisServer, backend: RedisBackend
) -> None:
    await backend.write(
        [
            WriteRequest("authored", b"", disposable=False),
            WriteRequest("disposable", b""),
            WriteRequest("ends", b"", expires_in=LONG),
            WriteRequest("endless", b"", expires_in=float("inf")),
        ]
    )
    left = {name: _milliseconds_left(server, name) for name in await backend.keys("")}
    assert left["authored"] == -1
    assert LIFETIME_MS - DAY_MS < left["disposable"] <= LIFETIME_MS
    assert 0 < left["ends"] <= LONG * 1000
    assert left["endless"] > LIFETIME_MS


async def test_what_becomes_authored_loses_its_end(
    server: RedisServer, backend: RedisBackend
) -> None:
    await put(backend, "key", b"", expires_in=LONG)
    await backend.write([WriteRequest("key", b"", disposable=False)])
    assert _milliseconds_left(server, "key") == -1
    assert await backend.keys("") == ["key"]


async def test_what_ends_leaves_every_list_and_begins_anew(backend: RedisBackend) -> None:
    await put_many(backend, {"stays": b""})
    await put(backend, "ends", b"", expires_in=0.05)
    with anyio.fail_after(30):
        while await backend.get("ends"):
            pass
    assert backend.dbsize() == 1
    assert await backend.keys("") == ["stays"]
    assert held(await everything(backend, "")) == {"stays": b""}
    assert [place.key for place in await backend.newest("", None, 10)] == ["stays"]
    await put(backend, "ends", b"again")
    entry = await backend.get("ends")
    assert entry
    assert entry.version == 1


async def test_what_redis_dropped_by_itself_is_not_listed(
    server: RedisServer, backend: RedisBackend
) -> None:
    await put_many(backend, {f"{number:04}": b"" for number in range(1000)})
    dropped = [f"{number:04}" for number in range(0, 1000, 2)]
    server.cli("DEL", *(f"{{context7-fabric}}:entry:{name}" for name in dropped))
    newest = await backend.newest("", None, 300)
    assert [place.key for place in newest] == [f"{number:04}" for number in range(999, 400, -2)]
    kept = {f"{number:04}": b"" for number in range(1, 1000, 2)}
    assert held(await everything(backend, "", page=100)) == kept
    assert backend.dbsize() == 500


async def test_writing_clears_up_after_what_redis_dropped(
    server: RedisServer, backend: RedisBackend
) -> None:
    await put_many(backend, {f"old/{number}": b"" for number in range(1000)})
    names = await backend.keys("old/")
    server.cli("DEL", *(f"{{context7-fabric}}:entry:{name}" for name in names))
    for number in range(10):
        await put(backend, f"new/{number}", b"")
    assert backend.dbsize("old/") < 100


async def test_a_page_of_large_values_ends_early_and_goes_on(backend: RedisBackend) -> None:
    values = {f"{number}": b"x" * 3 * 2**20 for number in range(8)}
    for key, value in values.items():
        await put(backend, key, value)
    first, after = await backend.items("", None, 8)
    assert [entry.key for entry in first] == ["0", "1", "2"]
    assert after == "2"
    assert held(await everything(backend, "", page=8)) == values


async def test_many_names_are_listed_in_parts(
    backend: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("context7_fabric.fabric.backends.redis.backend.NAMES_AT_ONCE", 10)
    names = {f"{number}" for number in range(40)}
    await put_many(backend, dict.fromkeys(names, b""))
    assert sorted(await backend.keys("")) == sorted(names)


async def test_the_newest_of_a_prefix_that_is_all_old_are_found(backend: RedisBackend) -> None:
    await backend.write([WriteRequest(f"old/{number:04}", b"", at=number) for number in range(600)])
    await backend.write(
        [WriteRequest(f"new/{number:04}", b"", at=1e9 + number) for number in range(3000)]
    )
    newest = await backend.newest("old/", None, 2)
    assert [place.key for place in newest] == ["old/0599", "old/0598"]
    behind = await backend.newest("old/", newest[1], 1)
    assert [place.key for place in behind] == ["old/0597"]


@pytest.mark.parametrize("count", [50, 2000], ids=["few", "many"])
async def test_a_place_need_not_be_taken_to_start_behind_it(
    backend: RedisBackend, count: int
) -> None:
    await backend.write(
        [WriteRequest(f"{number:04}", b"", at=number // 10) for number in range(count)]
    )
    for key, at, expected in (
        ("", 3, "0029"),
        ("0035!", 3, "0035"),
        ("0011", 3, "0029"),
        ("0045", 3, "0039"),
        ("0035", 3, "0034"),
    ):
        place = EntryPosition(at, key)
        assert [each.key for each in await backend.newest("", place, 1)] == [expected]
    assert len(await backend.keys("")) == count


async def test_two_namespaces_do_not_see_each_other(server: RedisServer) -> None:
    one = RedisBackend(server.url, namespace="one", timeout=TIMEOUT)
    two = RedisBackend(server.url, namespace="two", timeout=TIMEOUT)
    await put(one, "key", b"1")
    await put(two, "key", b"2")
    await put(two, "other", b"2")
    assert [await got(one, "key"), await got(two, "key")] == [b"1", b"2"]
    assert [await one.keys(""), one.dbsize(), two.dbsize()] == [["key"], 1, 2]
    await two.delete("key")
    assert await got(one, "key") == b"1"
    await one.aclose()
    await two.aclose()


async def test_two_databases_do_not_see_each_other(server: RedisServer) -> None:
    one = RedisBackend(server.url, db=1, timeout=TIMEOUT)
    two = RedisBackend(f"{server.url}/2", timeout=TIMEOUT)
    await put(one, "key", b"1")
    assert await got(two, "key") is None
    assert [one.dbsize(), two.dbsize()] == [1, 0]
    assert server.cli("-n", "1", "EXISTS", "{context7-fabric}:entry:key") == "1"
    await one.aclose()
    await two.aclose()


async def test_a_socket_on_this_machine_will_do(server: RedisServer) -> None:
    backend = RedisBackend(server.socket_url, timeout=TIMEOUT)
    await put(backend, "key", b"value")
    assert await got(backend, "key") == b"value"
    assert backend.dbsize() == 1
    await backend.aclose()


async def test_two_processes_see_each_others_writes(
    server: RedisServer, backend: RedisBackend
) -> None:
    await put_many(backend, {"ours": b"from here", "dead": b"old"})
    program = f"""
import asyncio
from context7_fabric.errors import CorruptEntry
from context7_fabric.fabric.backend import WriteRequest
from context7_fabric.fabric.backends.redis.backend import RedisBackend

async def main():
    backend = RedisBackend({server.url!r}, timeout={TIMEOUT})
    print((await backend.get("ours")).value.decode())
    await backend.write([WriteRequest("theirs", b"from there")])
    print(await backend.add("lease", b"", expires_in=60))
    print(await backend.swap("dead", b"old", b"theirs", expires_in=60))
    await backend.aclose()

asyncio.run(main())
"""
    done = await anyio.run_process([sys.executable, "-W", "error", "-c", program])
    assert done.stdout.decode().splitlines() == ["from here", "True", "True"]
    assert done.stderr == b""
    assert await got(backend, "theirs") == b"from there"
    assert not await backend.add("lease", b"", expires_in=60)
    assert not await backend.swap("dead", b"old", b"ours", expires_in=60)


async def test_it_tells_what_redis_tells(server: RedisServer, backend: RedisBackend) -> None:
    info = backend.info()
    assert info["backend"] == "redis"
    assert (
        info["redis_version"] == server.cli("INFO", "server").split("redis_version:")[1].split()[0]
    )


def test_making_one_imports_nothing_of_redis_and_connects_to_nothing() -> None:
    program = """
import sys
from context7_fabric.fabric.backends.redis.backend import RedisBackend
RedisBackend("redis://host.invalid:1")
print("redis" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("namespace", ["", "a{b", "}"])
def test_a_namespace_that_a_cluster_would_scatter_is_refused(namespace: str) -> None:
    with pytest.raises(ValueError, match="namespace"):
        RedisBackend("redis://localhost", namespace=namespace)


def _milliseconds_left(server: RedisServer, name: str) -> int:
    return int(server.cli("PTTL", f"{{context7-fabric}}:entry:{name}"))
