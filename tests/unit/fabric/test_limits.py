"""Keys, values and numbers beyond their limits are refused with a clear error."""

from __future__ import annotations

import pytest

from context7_fabric.errors import ContextError, KeyTooLong, TooManyAuthored, ValueTooLarge
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from unit.fabric.fakes import FakeClock


async def test_a_key_of_512_characters_is_kept_and_one_more_refused(fabric: Fabric) -> None:
    assert await fabric.set_context("鍵" * 512, 1)
    assert await fabric.get_context("鍵" * 512)
    with pytest.raises(KeyTooLong, match=r"at most 512 characters; '鍵+'… has 513"):
        await fabric.set_context("鍵" * 513, 1)
    assert await fabric.count_contexts() == 1


async def test_a_value_over_four_mebibytes_is_refused(fabric: Fabric) -> None:
    assert await fabric.set_context("key", "x" * (4 * 2**20 - 200))
    with pytest.raises(ValueTooLarge, match=r"'large' takes 4,194,\d+ bytes, and 4,194,304 are"):
        await fabric.set_context("large", "x" * 4 * 2**20)
    assert await fabric.keys(Scope.GLOBAL) == ["key"]


async def test_the_value_limit_is_a_setting(clock: FakeClock) -> None:
    async with Fabric(MemoryBackend(), clock, value_limit=1000) as fabric:
        await fabric.set_context("key", "before")
        with pytest.raises(ValueTooLarge, match="CONTEXT7_FABRIC_VALUE_LIMIT"):
            await fabric.set_context("key", "x" * 1000)
        with pytest.raises(ValueTooLarge):
            await fabric.set_context("key", 1, metadata={"note": "x" * 1000})
        context = await fabric.get_context("key")
        assert context
        assert context.value == "before"


async def test_authored_contexts_are_counted_and_capped(clock: FakeClock) -> None:
    async with Fabric(MemoryBackend(authored_limit=2), clock) as fabric:
        await fabric.set_context("prompt:1", "one")
        await fabric.set_context("user:1", {}, "USER")
        with pytest.raises(TooManyAuthored, match="holds 2 entries that are never evicted"):
            await fabric.set_context("prompt:2", "two")
        assert await fabric.set_context("prompt:1", "one again")
        assert await fabric.set_context("execution:1", {}, "EXECUTION")
        assert await fabric.set_context("temporary", {}, ttl=60)
        assert await fabric.set_context("answer", {}, disposable=True)
        await fabric.delete_context("user:1", "USER")
        assert await fabric.set_context("prompt:2", "two")


async def test_a_refusal_is_a_value_error(fabric: Fabric) -> None:
    assert issubclass(ContextError, ValueError)
    with pytest.raises(ValueError, match="at most 512"):
        await fabric.set_context("k" * 513, 1)


async def test_authored_contexts_are_never_evicted(clock: FakeClock) -> None:
    async with Fabric(MemoryBackend(max_bytes=3000), clock) as fabric:
        await fabric.set_context("prompt", "x" * 1000)
        for number in range(10):
            await fabric.set_context(f"execution:{number}", "x" * 1000, "EXECUTION")
        assert await fabric.get_context("prompt")
        assert await fabric.keys(Scope.EXECUTION) == ["execution:9"]
