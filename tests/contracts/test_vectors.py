"""Vectors that lie with their entries on a Qdrant keep the contract, also over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from context7_fabric.fabric.backends.qdrant.backend import QdrantBackend, QdrantVectorIndex
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.search import VectorIndex
from contracts.vector_contract import EAST, HERE, VectorIndexContract, embed
from support.qdrant_rest import qdrant_rest


class TestServerVectors(VectorIndexContract):
    @pytest.fixture
    async def backend(self) -> AsyncIterator[QdrantBackend]:
        backend = QdrantBackend(":memory:", vector_size=2)
        yield backend
        await backend.aclose()

    @pytest.fixture
    def fabric(self, backend: QdrantBackend) -> Fabric:
        return Fabric(backend)

    @pytest.fixture
    def index(self, backend: QdrantBackend) -> VectorIndex:
        return QdrantVectorIndex(backend)

    async def test_vectors_of_another_model_are_none(
        self, fabric: Fabric, index: VectorIndex
    ) -> None:
        await fabric.set_context("key", "text")
        await embed(fabric, index, key=EAST)
        assert await index.nearest(HERE, "another", EAST, 10) == []
        assert [write.key for write in await index.lacking(HERE, "another", 10)] == ["key"]

    async def test_its_size_counts_its_vectors(self, fabric: Fabric, index: VectorIndex) -> None:
        await fabric.set_context("key", "text")
        before = await fabric.get_memory_usage()
        await embed(fabric, index, key=EAST)
        assert await fabric.get_memory_usage() == before + 8


class TestServerVectorsOverHttp(TestServerVectors):
    @pytest.fixture
    async def backend(self) -> AsyncIterator[QdrantBackend]:
        with qdrant_rest() as rest:
            backend = QdrantBackend(rest.url, vector_size=2)
            yield backend
            await backend.aclose()
