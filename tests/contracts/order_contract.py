"""Contract of every backend for versions, the order of time, and facts about the medium."""

from __future__ import annotations

import re

import anyio

from context7_fabric.fabric.backend import Backend, EntryPosition, WriteRequest
from contracts.entries import PAST, everything, put, put_many


class OrderContract:
    """Part of `BackendContract`, which supplies the `backend` fixture."""

    async def test_a_version_counts_the_writes_of_a_key(self, backend: Backend) -> None:
        for expected in (1, 2, 3):
            await put(backend, "key", b"x" * expected * 20_000)
            entry = await backend.get("key")
            assert entry
            assert entry.version == expected
        await put_many(backend, {"key": b"", "other": b""})
        assert {entry.key: entry.version for entry in await everything(backend, "")} == {
            "key": 4,
            "other": 1,
        }
        assert [entry.version for entry in await backend.get_many(["key"])] == [4]

    async def test_what_was_gone_begins_at_version_one(self, backend: Backend) -> None:
        await put(backend, "deleted", b"")
        await backend.delete("deleted")
        await put(backend, "past", b"", expires_in=PAST)
        await put_many(backend, {"deleted": b"", "past": b""})
        assert [entry.version for entry in await everything(backend, "")] == [1, 1]

    async def test_no_write_of_many_at_once_goes_uncounted(self, backend: Backend) -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(put, backend, "key", b"%d" % number)
        entry = await backend.get("key")
        assert entry
        assert entry.version == 50

    async def test_the_newest_come_first(self, backend: Backend) -> None:
        for at, key in ((2, "s/b"), (3, "s/c"), (1, "s/a"), (9, "t/z"), (2, "s/bb")):
            await backend.write([WriteRequest(key, b"", at=at)])
        newest = await backend.newest("s/", None, 10)
        assert newest == [
            EntryPosition(3, "s/c"),
            EntryPosition(2, "s/bb"),
            EntryPosition(2, "s/b"),
            EntryPosition(1, "s/a"),
        ]
        assert await backend.newest("s/", None, 2) == newest[:2]
        assert await backend.newest("s/b", None, 10) == newest[1:3]
        assert await backend.newest("nothing", None, 10) == []

    async def test_what_is_written_again_is_new_again(self, backend: Backend) -> None:
        for at, key in ((1, "a"), (2, "b"), (3, "a")):
            await backend.write([WriteRequest(key, b"", at=at)])
        assert await backend.newest("", None, 10) == [EntryPosition(3, "a"), EntryPosition(2, "b")]

    async def test_the_newest_are_read_page_by_page(self, backend: Backend) -> None:
        puts = [WriteRequest(f"{number:03}", b"", at=number // 3) for number in range(100)]
        await backend.write(puts)
        found: list[EntryPosition] = []
        while page := await backend.newest("", found[-1] if found else None, 7):
            found += page
        assert found == [EntryPosition(put.at, put.key) for put in reversed(puts)]

    async def test_a_common_prefix_is_listed_like_a_rare_one(self, backend: Backend) -> None:
        puts = [WriteRequest(f"many/{number:04}", b"", at=number) for number in range(3000)]
        await backend.write([*puts, WriteRequest("few/1", b"", at=5000)])
        newest = await backend.newest("many/", None, 2)
        assert newest == [EntryPosition(2999, "many/2999"), EntryPosition(2998, "many/2998")]
        assert await backend.newest("many/", newest[0], 1) == newest[1:]

    async def test_what_is_past_its_end_or_deleted_is_not_among_the_newest(
        self, backend: Backend
    ) -> None:
        await backend.write(
            [WriteRequest("past", b"", at=3, expires_in=PAST), WriteRequest("gone", b"", at=2)]
        )
        await backend.write([WriteRequest("here", b"", at=1)])
        await backend.delete("gone")
        assert await backend.newest("", None, 10) == [EntryPosition(1, "here")]

    async def test_dbsize_counts_the_entries_of_a_prefix(self, backend: Backend) -> None:
        assert backend.dbsize() == 0
        await put_many(backend, {"a/1": b"", "a/2": b"", "b/1": b""})
        await put(backend, "a/3", b"", expires_in=PAST)
        assert (backend.dbsize(), backend.dbsize("a/"), backend.dbsize("c")) == (3, 2, 0)

    async def test_info_names_backend_and_memory(self, backend: Backend) -> None:
        await put(backend, "key", b"x" * 2**20)
        info = backend.info()
        assert isinstance(info["backend"], str)
        assert isinstance(info["memory"], int)
        assert info["memory"] >= 2**20
        assert re.fullmatch(r"\d+(\.\d\d)?[BKMG]", str(info["memory_human"]))
