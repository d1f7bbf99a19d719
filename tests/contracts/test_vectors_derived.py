"""Vectors derived from a backend keep the contract, and are kept there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from context7_fabric.fabric.backend import Backend, WriteRequest
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.reader import FIRST_PAGE
from context7_fabric.fabric.search import EmbeddedContext, VectorIndex
from context7_fabric.fabric.vector_index_memory import COMPARE_SECONDS, MemoryVectorIndex
from contracts.vector_contract import (
    EAST,
    HERE,
    MODEL,
    NORTH,
    VectorIndexContract,
    embed,
    found,
    lacking,
)


class DerivedVectorsContract(VectorIndexContract):
    @pytest.fixture
    async def fabric(self, backend: Backend) -> AsyncIterator[Fabric]:
        async with Fabric(backend) as fabric:
            yield fabric

    @pytest.fixture
    async def index(self, backend: Backend) -> AsyncIterator[MemoryVectorIndex]:
        index = MemoryVectorIndex(backend, vector_size=2)
        yield index
        await index.aclose()

    async def test_another_index_of_the_backend_finds_the_vectors_there(
        self, fabric: Fabric, index: VectorIndex
    ) -> None:
        await fabric.set_many({"north": "text", "east": "text"})
        await embed(fabric, index, north=NORTH, east=EAST)
        other = MemoryVectorIndex(fabric.backend, vector_size=2)
        assert await lacking(other) == []
        assert await found(fabric, other, NORTH) == ["north", "east"]
        await other.aclose()

    async def test_kept_vectors_of_an_older_text_are_not_used(
        self, fabric: Fabric, index: VectorIndex
    ) -> None:
        await fabric.set_context("key", "text")
        await embed(fabric, index, key=EAST)
        await fabric.set_context("key", "another")
        other = MemoryVectorIndex(fabric.backend, vector_size=2)
        assert await lacking(other) == ["key"]
        await other.aclose()

    @pytest.mark.parametrize("kept", [b"no JSON", b"[]", b'{"format": 1}', b'{"format": 0}'])
    async def test_kept_vectors_that_cannot_be_read_are_made_again(
        self, fabric: Fabric, index: VectorIndex, kept: bytes
    ) -> None:
        await fabric.set_many({"key": "text", "other": "text"})
        await embed(fabric, index, key=EAST, other=EAST)
        await fabric.backend.write([WriteRequest("vector/model/GLOBAL/key", kept)])
        other = MemoryVectorIndex(fabric.backend, vector_size=2)
        assert await lacking(other) == ["key"]
        await other.aclose()
        larger = MemoryVectorIndex(fabric.backend, vector_size=3)
        assert sorted(await lacking(larger)) == ["key", "other"]
        await larger.aclose()

    async def test_vectors_go_with_their_contexts(self, fabric: Fabric, index: VectorIndex) -> None:
        await fabric.set_many({"gone": "text", "key": "text"})
        await embed(fabric, index, gone=EAST, key=EAST)
        await fabric.delete_context("gone")
        await lacking(index)
        assert await fabric.backend.keys("vector/") == ["vector/model/GLOBAL/key"]
        await fabric.delete_context("key")
        other = MemoryVectorIndex(fabric.backend, vector_size=2)
        await lacking(other)
        assert await fabric.backend.keys("vector/") == []
        await other.aclose()

    async def test_a_write_that_comes_late_is_not_missed(
        self, fabric: Fabric, index: VectorIndex
    ) -> None:
        await fabric.set_context("key", "text")
        await embed(fabric, index, key=EAST)
        earlier = Fabric(fabric.backend, clock=lambda: 1.0)
        await earlier.set_context("late", "text")
        assert await lacking(index) == ["late"]

    async def test_what_was_missed_is_found_by_looking_at_everything_now_and_then(
        self, backend: Backend, fabric: Fabric, index: MemoryVectorIndex
    ) -> None:
        await fabric.set_many({"key": "text", "other": "text"})
        older = {f"{number}": "text" for number in range(FIRST_PAGE)}
        await Fabric(backend, clock=lambda: 2.0).set_many(older)
        shown = await index.lacking(HERE, MODEL, 100)
        contexts = await fabric.get_many([write.key for write in shown])
        await index.take(HERE, MODEL, shown, [EmbeddedContext(each, EAST) for each in contexts])
        await Fabric(backend, clock=lambda: 1.0).set_context("key", "another")
        assert await lacking(index) == []
        index._scopes[HERE].compared -= COMPARE_SECONDS
        assert await lacking(index) == ["key"]

    async def test_two_writes_of_one_moment_are_distinct(
        self, backend: Backend, index: VectorIndex
    ) -> None:
        still = Fabric(backend, clock=lambda: 1.0)
        await still.set_context("key", "text")
        await embed(still, index, key=EAST)
        await still.set_context("key", "another")
        assert await lacking(index) == ["key"]


class TestDerivedFromMemory(DerivedVectorsContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend()


class TestDerivedFromDisk(DerivedVectorsContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return DiskBackend(tmp_path)

    async def test_a_store_that_takes_no_vectors_costs_no_result(
        self, fabric: Fabric, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        await fabric.set_context("key", "text")
        index = MemoryVectorIndex(DiskBackend(tmp_path), vector_size=2)
        shown = await index.lacking(HERE, MODEL, 10)
        contexts = await fabric.get_many(["key"])
        await index._backend.aclose()
        await index.take(HERE, MODEL, shown, [EmbeddedContext(contexts[0], EAST)])
        assert await found(fabric, index, EAST) == ["key"]
        assert "vectors cannot be stored" in caplog.text
        await index.aclose()
