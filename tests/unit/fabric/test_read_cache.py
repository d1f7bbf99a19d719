"""What is kept in memory is true as long as nobody, in whichever process, writes to the store."""

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
from support.disks import fabric_on_disk


class Store:
    """Something whose revision is told by hand."""

    def __init__(self) -> None:
        self.now: StoreRevision | None = 1

    def revision(self) -> StoreRevision | None:
        return self.now


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def steady(store: Store) -> RevisionCache[str]:
    return RevisionCache(store.revision, 3)


class TestKeeping:
    def test_what_is_kept_comes_back_until_somebody_writes(
        self, store: Store, steady: RevisionCache[str]
    ) -> None:
        steady.keep("key", "value", steady.revision())
        steady.revision()
        assert steady.get("key") == "value"
        store.now = 2
        steady.revision()
        assert steady.get("key") is None

    def test_what_was_worked_out_before_a_write_is_not_kept_behind_it(
        self, store: Store, steady: RevisionCache[str]
    ) -> None:
        before = steady.revision()
        store.now = 2
        steady.revision()
        steady.keep("key", "value", before)
        assert steady.get("key") is None

    def test_nothing_is_kept_while_nobody_knows_who_writes(
        self, store: Store, steady: RevisionCache[str]
    ) -> None:
        steady.keep("key", "value", steady.revision())
        store.now = None
        steady.keep("other", "value", steady.revision())
        assert steady.get("key") is None
        assert steady.get("other") is None

    def test_there_are_never_more_values_than_that(self, steady: RevisionCache[str]) -> None:
        as_of, keys = steady.revision(), [f"key {number}" for number in range(10)]
        for key in keys:
            steady.keep(key, "value", as_of)
            assert steady.get(key) == "value"
            assert sum(steady.get(each) is not None for each in keys) <= 3


async def opened(folder: Path, *passing: str) -> Fabric:
    return Fabric(await to_thread.run_sync(partial(DiskBackend, folder, passing=passing)))


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
        self, ours: Fabric, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("context7_fabric.fabric.backends.disk.table.TOUCH_SECONDS", -1.0)
        before = ours.revision()
        assert await ours.get_context("key") is not None
        assert ours.revision() == before

    async def test_what_it_is_told_to_pass_over_leaves_it_and_all_else_does_not(
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

    async def test_who_passes_over_less_is_counted_by_for_both(self, tmp_path: Path) -> None:
        folder = tmp_path / "own"
        async with (
            await opened(folder, "GLOBAL/count:") as few,
            await opened(folder) as all_of_them,
        ):
            before = few.revision(), all_of_them.revision()
            assert await few.set_context("count:1", "value")
            assert few.revision() != before[0]
            assert all_of_them.revision() != before[1]

    async def test_it_is_the_same_for_all_who_open_the_store(
        self, ours: Fabric, theirs: Fabric
    ) -> None:
        await ours.set_context("key", "new")
        assert ours.revision() == theirs.revision()

    async def test_a_store_that_cannot_tell_says_so(self) -> None:
        async with Fabric(MemoryBackend()) as fabric:
            assert fabric.revision() is None
