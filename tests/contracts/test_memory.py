"""The backend in memory keeps the contract, and its bound."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from context7_fabric.errors import TooMuchAuthored
from context7_fabric.fabric.backend import WriteRequest
from context7_fabric.fabric.backends.memory import MemoryBackend
from contracts.backend_contract import BackendContract
from contracts.entries import put


class TestMemoryBackend(BackendContract):
    @pytest.fixture
    async def backend(self) -> AsyncIterator[MemoryBackend]:
        backend = MemoryBackend()
        yield backend
        await backend.aclose()

    async def test_what_was_written_longest_ago_makes_room(self) -> None:
        backend = MemoryBackend(max_bytes=10)
        for key in ("one", "two", "one", "three"):
            await put(backend, key, b"1234")
        assert await backend.keys("") == ["one", "three"]

    async def test_what_is_too_large_for_the_bound_is_held_alone(self) -> None:
        backend = MemoryBackend(max_bytes=10)
        await put(backend, "small", b"1")
        await put(backend, "large", b"x" * 11)
        assert await backend.keys("") == ["large"]

    @pytest.mark.parametrize(("before", "after"), [(60, 41), (100, 1), (0, 101)])
    async def test_authored_values_take_half_of_the_bound_at_most(
        self, before: int, after: int
    ) -> None:
        backend = MemoryBackend(max_bytes=200)
        await backend.write([WriteRequest("old", b"x" * before, disposable=False)])
        with pytest.raises(TooMuchAuthored, match="would take 101 bytes, and 100 are allowed"):
            await backend.write([WriteRequest("new", b"x" * after, disposable=False)])
        assert await backend.keys("") == ["old"]
        await backend.write([WriteRequest("old", b"x" * 100, disposable=False)])
        await put(backend, "answer", b"x" * 100)
        assert await backend.keys("") == ["old", "answer"]
        await backend.delete("old")
        await backend.write([WriteRequest("new", b"x" * 100, disposable=False)])
