"""Contract of a fabric on every backend. A test file supplies the fixtures `backend`, `spoil`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

import anyio
import pytest

from context7_fabric.fabric.backend import Backend
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.fabric import Fabric
from contracts.backend_contract import Spoil
from support.scripted import FakeClock

MEBIBYTE = 2**20


class FabricContract(ABC):
    """Inherit as `TestXFabric` and override `backend`, and `spoil` where that can be done."""

    @pytest.fixture
    @abstractmethod
    def backend(self) -> Backend:
        """Give an empty backend; the fabric closes it."""

    @pytest.fixture
    def spoil(self) -> Spoil:
        """Give a way to put, behind the backend's back, what is no entry in place of one."""
        pytest.skip("this medium holds nothing but what it was given")

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    async def fabric(self, backend: Backend, clock: FakeClock) -> AsyncIterator[Fabric]:
        async with Fabric(backend, clock) as fabric:
            yield fabric

    async def test_what_was_never_set_is_none(self, fabric: Fabric) -> None:
        assert await fabric.get_context("never") is None

    async def test_what_is_set_is_got_and_overwritten(
        self, fabric: Fabric, clock: FakeClock
    ) -> None:
        value: Json = {"text": "é鍵🗝", "list": [1, 2.5, None, True]}
        await fabric.set_context("key", "before")
        await fabric.set_context("key", value, metadata={"by": "me"}, ttl=60)
        assert await fabric.get_context("key") == Context(
            "key", value, Scope.GLOBAL, clock.now, clock.now + 60, {"by": "me"}, version=2
        )

    async def test_what_has_a_ttl_is_there_until_then_by_the_fabrics_clock(
        self, fabric: Fabric, clock: FakeClock
    ) -> None:
        await fabric.set_context("short", 1, ttl=60)
        await fabric.set_context("long", 2)
        clock.now += 59
        assert await fabric.get_context("short")
        clock.now += 1
        assert await fabric.get_context("short") is None
        assert [context.key for context in await fabric.query()] == ["long"]
        assert [context.key for context in await fabric.get_many(["short", "long"])] == ["long"]

    async def test_only_the_first_delete_finds_something(self, fabric: Fabric) -> None:
        await fabric.set_context("key", 1)
        deleted = [await fabric.delete_context("key"), await fabric.delete_context("key")]
        assert deleted == [True, False]

    @pytest.mark.parametrize("key", ["k" * 512, "鍵" * 512, "a b\n\x00/é*?[", "e\u0301", "🗝"])
    async def test_any_unicode_is_a_key(self, fabric: Fabric, key: str) -> None:
        assert await fabric.set_context(key, key)
        context = await fabric.get_context(key)
        assert context
        assert (context.key, context.value) == (key, key)

    async def test_a_value_of_a_megabyte_is_kept(self, fabric: Fabric) -> None:
        assert await fabric.set_context("key", "x" * MEBIBYTE)
        context = await fabric.get_context("key")
        assert context
        assert context.value == "x" * MEBIBYTE

    async def test_a_hundred_writers_at_once_lose_nothing(self, fabric: Fabric) -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(fabric.set_context, f"key:{number}", number)
        assert await fabric.count_contexts() == 100
        found = await fabric.query("key:*")
        assert sorted(context.key for context in found) == sorted(
            f"key:{number}" for number in range(100)
        )

    async def test_scopes_do_not_see_each_other(self, fabric: Fabric) -> None:
        await fabric.set_context("key", "mine", Scope.USER)
        others = [scope for scope in Scope if scope is not Scope.USER]
        for scope in others:
            assert await fabric.get_context("key", scope) is None
            assert await fabric.query("*", scope) == []
            assert not await fabric.delete_context("key", scope)
            assert await fabric.count_contexts(scope) == 0
        assert await fabric.get_context("key", "USER")

    async def test_the_newest_come_first_page_by_page(
        self, fabric: Fabric, clock: FakeClock
    ) -> None:
        for number in range(25):
            clock.now += 1
            await fabric.set_context(f"key:{number}", number)
        page = await fabric.query("key:*", limit=10)
        found = page
        while page:
            page = await fabric.query("key:*", limit=10, after=page[-1])
            found = [*found, *page]
        assert [context.value for context in found] == list(range(24, -1, -1))

    async def test_a_pipeline_stores_all_or_nothing(self, fabric: Fabric) -> None:
        await fabric.set_context("old", 0)
        async with fabric.pipeline() as pipe:
            for number in range(50):
                await pipe.set_context(f"key:{number}", number)
            await pipe.delete_context("old")
            assert await fabric.count_contexts() == 1
            assert await pipe.execute()
        assert await fabric.count_contexts() == 50
        assert await fabric.get_context("old") is None

    async def test_what_was_stored_before_a_time_is_cleaned_up(
        self, fabric: Fabric, clock: FakeClock
    ) -> None:
        await fabric.set_context("old", 1)
        clock.now += 60
        await fabric.set_context("new", 2)
        assert await fabric.cleanup(clock.now) == 1
        assert [context.key for context in await fabric.query()] == ["new"]

    async def test_what_shares_words_with_a_query_is_found(self, fabric: Fabric) -> None:
        await fabric.set_context("one", "a helpful assistant for Python")
        await fabric.set_context("two", "a cook")
        found = await fabric.search("Python help")
        assert (found[0].key, found[0].ranked_by) == ("one", "words")

    async def test_a_corrupt_entry_is_a_miss_and_a_counted_fault(
        self, fabric: Fabric, spoil: Spoil
    ) -> None:
        await fabric.set_context("key", 1)
        await spoil("GLOBAL/key")
        assert await fabric.get_context("key") is None
        assert fabric.faults.count == 1
        assert "'" in (fabric.faults.last or "")
        assert await fabric.set_context("key", 2)
        assert await fabric.get_context("key")

    async def test_a_closed_fabric_is_a_miss_and_a_named_fault(self, fabric: Fabric) -> None:
        await fabric.set_context("key", 1)
        await fabric.aclose()
        await fabric.aclose()
        assert await fabric.get_context("key") is None
        assert not await fabric.set_context("key", 1)
        assert fabric.faults.last == "the store is closed"
