"""A pipeline makes its changes together, or none of them."""

from __future__ import annotations

import pytest

from context7_fabric.errors import KeyTooLong, TooManyAuthored
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from unit.fabric.fakes import NOON, Broken, FakeClock


async def test_nothing_is_stored_before_it_is_executed(fabric: Fabric) -> None:
    async with fabric.pipeline() as pipe:
        await pipe.set_context("key", 1, "USER", {"by": "me"}, ttl=60)
        assert await fabric.count_contexts() == 0
        assert await pipe.execute()
    context = await fabric.get_context("key", "USER")
    assert context
    assert (context.value, context.metadata, context.expires_at) == (1, {"by": "me"}, NOON + 60)


async def test_changes_that_were_not_executed_are_dropped(fabric: Fabric) -> None:
    async with fabric.pipeline() as pipe:
        await pipe.set_context("key", 1)
    await pipe.execute()
    assert await fabric.count_contexts() == 0


async def test_the_last_change_of_a_key_counts(fabric: Fabric) -> None:
    await fabric.set_context("gone", 0)
    async with fabric.pipeline() as pipe:
        for value in (1, 2):
            await pipe.set_context("kept", value)
        await pipe.set_context("gone", 1)
        await pipe.delete_context("gone")
        await pipe.delete_context("back")
        await pipe.set_context("back", 3)
        await pipe.execute()
    found = await fabric.get_many(["kept", "gone", "back"])
    assert {context.key: context.value for context in found} == {"kept": 2, "back": 3}


async def test_a_pipeline_can_be_filled_again(fabric: Fabric) -> None:
    pipe = fabric.pipeline()
    for key in ("one", "two"):
        await pipe.set_context(key, key)
        await pipe.execute()
    versions = {context.version for context in await fabric.get_many(["one", "two"])}
    assert versions == {1}
    assert await pipe.execute()


async def test_scopes_stand_side_by_side(fabric: Fabric) -> None:
    async with fabric.pipeline() as pipe:
        for scope in Scope:
            await pipe.set_context("key", scope.value, scope)
        await pipe.execute()
    assert [await fabric.count_contexts(scope) for scope in Scope] == [1, 1, 1, 1]


async def test_what_is_refused_leaves_the_others_in_the_pipeline(fabric: Fabric) -> None:
    async with fabric.pipeline() as pipe:
        await pipe.set_context("key", 1)
        with pytest.raises(KeyTooLong):
            await pipe.set_context("k" * 513, 1)
        with pytest.raises(TypeError):
            await pipe.set_context("other", object())  # type: ignore[arg-type]
        await pipe.execute()
    assert await fabric.keys(Scope.GLOBAL) == ["key"]


async def test_of_too_many_none_is_stored(clock: FakeClock) -> None:
    async with Fabric(MemoryBackend(authored_limit=2), clock) as fabric, fabric.pipeline() as pipe:
        await fabric.set_context("old", 1)
        for key in ("new", "newer"):
            await pipe.set_context(key, 1)
        await pipe.delete_context("old")
        with pytest.raises(TooManyAuthored):
            await pipe.execute()
        assert await fabric.keys(Scope.GLOBAL) == ["old"]


async def test_a_failing_store_returns_not_stored(clock: FakeClock) -> None:
    fabric = Fabric(Broken(), clock)
    async with fabric.pipeline() as pipe:
        await pipe.set_context("key", 1)
        assert not await pipe.execute()
    assert fabric.faults.count == 1
