"""Contract of every backend for replacing or removing only the expected value."""

from __future__ import annotations

import anyio
import pytest

from context7_fabric.fabric.backend import Backend
from contracts.entries import LONG, PAST, got, put


class SwapContract:
    """Part of `BackendContract`, which supplies the `backend` fixture."""

    @pytest.mark.parametrize(
        "old", [b"", bytes(range(256)), b"1" * 2**17], ids=["none", "all", "large"]
    )
    @pytest.mark.parametrize("new", [b"", b"new", b"2" * 2**17], ids=["none", "small", "large"])
    async def test_the_value_that_is_expected_is_replaced(
        self, backend: Backend, old: bytes, new: bytes
    ) -> None:
        await put(backend, "key", old)
        await put(backend, "other", old)
        assert await backend.swap("key", old, new, expires_in=LONG)
        assert [await got(backend, "key"), await got(backend, "other")] == [new, old]

    @pytest.mark.parametrize("new", [b"new", None], ids=["replaced", "removed"])
    @pytest.mark.parametrize("expected", [b"", b"ol", b"OLD", b"old ", b"old\x00", b"\xff"])
    async def test_another_value_stays(
        self, backend: Backend, expected: bytes, new: bytes | None
    ) -> None:
        await put(backend, "key", b"old")
        assert not await backend.swap("key", expected, new, expires_in=LONG)
        entry = await backend.get("key")
        assert entry
        assert (entry.value, entry.version) == (b"old", 1)

    @pytest.mark.parametrize("expected", [b"", b"old"])
    async def test_where_nothing_is_nothing_is_swapped(
        self, backend: Backend, expected: bytes
    ) -> None:
        await put(backend, "past", b"old", expires_in=PAST)
        for key in ("never", "past"):
            assert not await backend.swap(key, expected, b"new", expires_in=LONG)
            assert not await backend.swap(key, expected, None)
        assert await backend.keys("") == []

    async def test_the_value_that_is_expected_is_removed_once(self, backend: Backend) -> None:
        await put(backend, "key", b"old")
        await put(backend, "other", b"old")
        assert [await backend.swap("key", b"old", None) for _ in range(2)] == [True, False]
        assert await backend.keys("") == ["other"]
        assert await backend.add("key", b"again", expires_in=LONG)

    async def test_what_is_swapped_in_has_an_end_of_its_own(self, backend: Backend) -> None:
        for key in ("later", "past", "endless"):
            await put(backend, key, b"old", expires_in=LONG)
        assert await backend.swap("later", b"old", b"old", expires_in=LONG)
        assert await backend.swap("past", b"old", b"new", expires_in=PAST)
        assert await backend.swap("endless", b"old", b"new")
        assert sorted(await backend.keys("")) == ["endless", "later"]
        assert [await got(backend, "later"), await got(backend, "past")] == [b"old", None]

    async def test_swapping_in_counts_as_a_write(self, backend: Backend) -> None:
        await put(backend, "key", b"one")
        for expected in (2, 3):
            assert await backend.swap("key", b"one", b"one", expires_in=LONG)
            entry = await backend.get("key")
            assert entry
            assert entry.version == expected

    async def test_one_of_many_who_swap_at_once_succeeds(self, backend: Backend) -> None:
        await put(backend, "key", b"old")
        taken: list[bytes] = []

        async def take(mine: bytes) -> None:
            if await backend.swap("key", b"old", mine, expires_in=LONG):
                taken.append(mine)

        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(take, b"%d" % number)
        assert taken == [await got(backend, "key")]
