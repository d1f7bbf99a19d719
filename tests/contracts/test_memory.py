"""The backend in memory keeps the contract, and its bound."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

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
