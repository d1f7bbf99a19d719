"""Contract of every index of vectors. A test file supplies the `fabric` and `index` fixtures."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

import pytest

from context7_fabric.errors import StoreClosed
from context7_fabric.fabric.backend import WriteRequest
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.search import (
    ContextWrite,
    EmbeddedContext,
    Vector,
    VectorHit,
    VectorIndex,
)

MODEL = "model"
EAST, NORTH, BETWEEN = [1.0, 0.0], [0.0, 1.0], [math.sqrt(0.5), math.sqrt(0.5)]
HERE = Scope.GLOBAL


async def lacking(index: VectorIndex, scope: Scope = HERE, limit: int = 10) -> list[str]:
    """The keys of what lacks a vector."""
    return [write.key for write in await index.lacking(scope, MODEL, limit)]


async def embed(
    fabric: Fabric, index: VectorIndex, scope: Scope = HERE, **vectors: Vector
) -> list[ContextWrite]:
    """Give each context that lacks one its vector, by its key."""
    shown = await index.lacking(scope, MODEL, 10)
    contexts = await fabric.get_many([write.key for write in shown], scope)
    embedded = [EmbeddedContext(each, vectors[each.key]) for each in contexts]
    await index.take(scope, MODEL, shown, embedded)
    return shown


async def found(fabric: Fabric, index: VectorIndex, vector: Vector, limit: int = 10) -> list[str]:
    """The keys of what is nearest and still what was embedded, in their order."""
    hits = await index.nearest(HERE, MODEL, vector, limit)
    contexts = {each.key: each for each in await fabric.get_many([hit.key for hit in hits])}
    return [hit.key for hit in hits if hit.is_of(contexts.get(hit.key))]


class VectorIndexContract(ABC):
    """Inherit as `TestXVectors` and override the fixtures."""

    @pytest.fixture
    @abstractmethod
    def fabric(self) -> AsyncIterator[Fabric]:
        """Give an empty fabric, and close it."""

    @pytest.fixture
    @abstractmethod
    def index(self, fabric: Fabric) -> AsyncIterator[VectorIndex]:
        """Give an index of the fabric."""

    async def test_of_nothing_nothing_is_near(self, index: VectorIndex) -> None:
        assert await lacking(index) == []
        assert await index.nearest(HERE, MODEL, EAST, 10) == []

    async def test_what_is_new_lacks_a_vector_until_it_is_given_one(
        self, fabric: Fabric, index: VectorIndex
    ) -> None:
        for key in ("old", "new", "newest"):
            await fabric.set_context(key, "text")
        assert await lacking(index) == ["newest", "new", "old"]
        assert await lacking(index, limit=2) == ["newest", "new"]
        await embed(fabric, index, old=EAST, new=EAST, newest=EAST)
        assert await lacking(index) == []

    async def test_the_nearest_come_first_with_their_cosines(
        self, fabric: Fabric, index: VectorIndex
    ) -> None:
        await fabric.set_many({"north": "text", "east": "text", "between": "text"})
        await embed(fabric, index, north=NORTH, east=EAST, between=BETWEEN)
        hits = await index.nearest(HERE, MODEL, EAST, 10)
        assert [hit.key for hit in hits] == ["east", "between", "north"]
        assert [hit.cosine for hit in hits] == pytest.approx([1, 0.7071, 0], abs=1e-4)
        assert await index.nearest(HERE, MODEL, EAST, 1) == hits[:1]

    async def test_a_hit_is_of_the_context_that_was_embedded(
        self, fabric: Fabric, index: VectorIndex
    ) -> None:
        await fabric.set_context("key", "text")
        await fabric.set_context("key", "another")
        await embed(fabric, index, key=EAST)
        context = await fabric.get_context("key")
        assert context
        (hit,) = await index.nearest(HERE, MODEL, EAST, 10)
        assert hit == VectorHit("key", 2, context.created_at, hit.cosine)
        assert hit.is_of(context)
        await fabric.set_context("key", "third")
        assert not hit.is_of(await fabric.get_context("key"))
        assert not hit.is_of(None)

    async def test_what_is_overwritten_lacks_a_vector_and_is_not_found_by_the_old_one(
        self, fabric: Fabric, index: VectorIndex
    ) -> None:
        await fabric.set_many({"key": "text", "other": "text"})
        await embed(fabric, index, key=EAST, other=NORTH)
        await fabric.set_context("key", "another")
        assert await lacking(index) == ["key"]
        assert await found(fabric, index, EAST) == ["other"]
        await embed(fabric, index, key=NORTH)
        assert sorted(await found(fabric, index, EAST)) == ["key", "other"]

    async def test_what_is_overwritten_while_it_is_embedded_is_not_found_by_the_old_text(
        self, fabric: Fabric, index: VectorIndex
    ) -> None:
        await fabric.set_context("key", "text")
        shown = await index.lacking(HERE, MODEL, 10)
        contexts = await fabric.get_many(["key"])
        await fabric.set_context("key", "another")
        await index.take(HERE, MODEL, shown, [EmbeddedContext(contexts[0], EAST)])
        assert await found(fabric, index, EAST) == []
        assert await lacking(index) == ["key"]

    async def test_what_is_deleted_or_over_is_not_found(
        self, fabric: Fabric, index: VectorIndex
    ) -> None:
        await fabric.set_many({"key": "text", "gone": "text", "over": "text"})
        await embed(fabric, index, key=EAST, gone=EAST, over=EAST)
        await fabric.delete_context("gone")
        await fabric.set_context("over", "text", ttl=-1)
        assert await lacking(index) == []
        assert await found(fabric, index, EAST) == ["key"]

    async def test_a_deleted_key_that_is_set_again_lacks_a_vector(
        self, fabric: Fabric, index: VectorIndex
    ) -> None:
        await fabric.set_context("key", "text")
        await embed(fabric, index, key=EAST)
        await fabric.delete_context("key")
        await fabric.set_context("key", "another")
        assert await found(fabric, index, EAST) == []
        assert await lacking(index) == ["key"]

    async def test_scopes_are_apart(self, fabric: Fabric, index: VectorIndex) -> None:
        await fabric.set_context("key", "text")
        await fabric.set_context("key", "text", Scope.USER)
        await embed(fabric, index, Scope.USER, key=EAST)
        assert await lacking(index) == ["key"]
        assert await index.nearest(HERE, MODEL, EAST, 10) == []
        assert len(await index.nearest(Scope.USER, MODEL, EAST, 10)) == 1

    async def test_what_cannot_be_read_is_shown_once(
        self, fabric: Fabric, index: VectorIndex
    ) -> None:
        await fabric.set_context("whole", "text")
        await fabric.backend.write([WriteRequest("GLOBAL/broken", b"no context", at=1.0)])
        assert sorted(await lacking(index)) == ["broken", "whole"]
        await embed(fabric, index, whole=EAST)
        assert await lacking(index) == []
        assert await found(fabric, index, EAST) == ["whole"]

    async def test_a_closed_store_raises_store_closed(
        self, fabric: Fabric, index: VectorIndex
    ) -> None:
        await index.aclose()
        await fabric.aclose()
        with pytest.raises(StoreClosed):
            await lacking(index)
        with pytest.raises(StoreClosed):
            await index.nearest(HERE, MODEL, EAST, 10)
