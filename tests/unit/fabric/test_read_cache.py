"""Values in memory are valid until any process writes to the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from anyio import to_thread

from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.read_cache import RevisionCache, StoreRevision
from contracts.disk_store import execute
from support.disks import fabric_on_disk


class Store:
    """A revision set by the test."""

    def __init__(self) -> None:
        self.now: StoreRevision | None = 1

    def revision(self) -> StoreRevision | None:
        return self.now


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def cache(store: Store) -> RevisionCache[str]:
    return RevisionCache(store.revision, 3)


class TestKeeping:
    def test_a_value_is_kept_until_the_next_write(
        self, store: Store, cache: RevisionCache[str]
    ) -> None:
        cache.keep("key", "value", cache.revision())
        cache.revision()
        assert cache.get("key") == "value"
        store.now = 2
        cache.revision()
        assert cache.get("key") is None

    def test_a_value_derived_before_a_write_is_not_kept(
        self, store: Store, cache: RevisionCache[str]
    ) -> None:
        before = cache.revision()
        store.now = 2
        cache.revision()
        cache.keep("key", "value", before)
        assert cache.get("key") is None

    def test_nothing_is_kept_while_the_revision_is_unknown(
        self, store: Store, cache: RevisionCache[str]
    ) -> None:
        cache.keep("key", "value", cache.revision())
        store.now = None
        cache.keep("other", "value", cache.revision())
        assert cache.get("key") is None
        assert cache.get("other") is None

    def test_the_number_of_values_is_bounded(self, cache: RevisionCache[str]) -> None:
        as_of, keys = cache.revision(), [f"key {number}" for number in range(10)]
        for key in keys:
            cache.keep(key, "value", as_of)
            assert cache.get(key) == "value"
            assert sum(cache.get(each) is not None for each in keys) <= 3


async def opened(folder: Path, *uncounted: str) -> Fabric:
    return Fabric(await to_thread.run_sync(partial(DiskBackend, folder, uncounted=uncounted)))


class TestRevision:
    @pytest.fixture
    async def ours(self, tmp_path: Path) -> AsyncIterator[Fabric]:
        async with await fabric_on_disk(tmp_path) as fabric:
            await fabric.set_context("key", "value")
            yield fabric

    @pytest.fixture
    async def theirs(self, ours: Fabric, tmp_path: Path) -> AsyncIterator[Fabric]:
        async with await fabric_on_disk(tmp_path) as fabric:
            yield fabric

    async def test_reading_leaves_it_as_it_is(self, ours: Fabric, theirs: Fabric) -> None:
        before = ours.revision()
        assert await ours.get_context("key") is not None
        assert await theirs.get_context("key") is not None
        assert before is not None
        assert ours.revision() == before

    @pytest.mark.parametrize("writer", ["ours", "theirs"])
    async def test_every_kind_of_write_changes_it(
        self, ours: Fabric, theirs: Fabric, writer: str
    ) -> None:
        fabric = {"ours": ours, "theirs": theirs}[writer]
        seen = [ours.revision()]
        for write in (
            fabric.set_context("key", "new"),
            fabric.delete_context("key"),
            fabric.set_many({"one": 1, "two": 2}),
            fabric.delete_matching("", lambda _context: True),
        ):
            await write
            assert ours.revision() not in seen
            seen.append(ours.revision())

    @pytest.mark.parametrize("writer", ["ours", "theirs"])
    async def test_records_of_calls_and_leases_leave_it_as_it_is(
        self, ours: Fabric, theirs: Fabric, writer: str
    ) -> None:
        fabric = {"ours": ours, "theirs": theirs}[writer]
        before = ours.revision()
        assert await fabric.set_context("execution:1", "record", Scope.EXECUTION, ttl=60)
        assert await fabric.set_context("execution:1", "again", Scope.EXECUTION, ttl=60)
        assert await fabric.delete_context("execution:1", Scope.EXECUTION)
        lease = await fabric.lease("name", 5)
        assert lease
        assert await lease.renew(5)
        await lease.release()
        assert ours.revision() == before

    async def test_the_time_of_last_use_leaves_it_as_it_is(
        self, ours: Fabric, tmp_path: Path
    ) -> None:
        used = "SELECT access_time FROM Cache"
        execute(tmp_path, "UPDATE Cache SET access_time = 1.0")
        before = ours.revision()
        assert await ours.get_context("key") is not None
        assert execute(tmp_path, used) != [(1.0,)]
        assert ours.revision() == before

    async def test_only_writes_below_uncounted_prefixes_leave_the_revision(
        self, tmp_path: Path
    ) -> None:
        async with await opened(tmp_path / "own", "GLOBAL/count:") as fabric:
            before = fabric.revision()
            for key in ("count:1", "count:1"):
                assert await fabric.set_context(key, "value")
            assert await fabric.delete_context("count:1")
            assert fabric.revision() == before
            for key in ("count", "counted", "a"):
                seen = fabric.revision()
                assert await fabric.set_context(key, "value")
                assert fabric.revision() != seen

    async def test_processes_with_different_uncounted_prefixes_count_for_both(
        self, tmp_path: Path
    ) -> None:
        folder = tmp_path / "own"
        async with (
            await opened(folder, "GLOBAL/count:") as few,
            await opened(folder) as all_of_them,
        ):
            before = few.revision(), all_of_them.revision()
            assert await few.set_context("count:1", "value")
            assert few.revision() != before[0]
            assert all_of_them.revision() != before[1]

    async def test_all_processes_read_the_same_revision(self, ours: Fabric, theirs: Fabric) -> None:
        await ours.set_context("key", "new")
        assert ours.revision() == theirs.revision()

    async def test_a_store_without_a_revision_returns_none(self) -> None:
        async with Fabric(MemoryBackend()) as fabric:
            assert fabric.revision() is None
