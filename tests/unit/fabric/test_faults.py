"""A store that fails is a miss and a count, except for those who delete."""

from __future__ import annotations

import pytest

from context7_fabric.errors import CorruptEntry, StoreUnavailable
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from contracts.entries import put
from unit.fabric.fakes import Broken, FakeClock, Illegible, scanned


@pytest.fixture
def broken(clock: FakeClock) -> Fabric:
    return Fabric(Broken(), clock)


async def test_corrupt_bytes_are_a_miss_and_a_fault(
    fabric: Fabric, caplog: pytest.LogCaptureFixture
) -> None:
    await put(fabric.backend, "GLOBAL/key", b"no entry")
    assert await fabric.get_context("key") is None
    assert await fabric.query("*") == []
    assert await scanned(fabric, "") == []
    assert fabric.faults.count == 3
    assert fabric.faults.last == (
        "stored entry 'key' cannot be read: not of a format this version reads"
    )
    assert fabric.faults.last in caplog.text


async def test_a_row_that_the_backend_calls_corrupt_is_a_miss_and_a_fault(
    clock: FakeClock,
) -> None:
    backend = Broken()
    backend.error = CorruptEntry("key", "its mode is 4")
    fabric = Fabric(backend, clock)
    assert await fabric.get_context("key") is None
    assert fabric.faults.count == 1


async def test_a_store_that_fails_is_a_miss(broken: Fabric) -> None:
    assert await broken.get_context("key") is None
    assert await broken.query("*") == []
    assert await broken.keys(Scope.GLOBAL) == []
    assert await scanned(broken, "") == []
    assert await broken.get_many(["key"]) == []
    assert broken.faults.count == 5
    assert broken.faults.last == "store any failed: disk full"


async def test_a_store_that_fails_keeps_nothing_and_says_so(broken: Fabric) -> None:
    assert not await broken.set_context("key", "value")
    assert not await broken.set_many({"key": "value"})
    assert broken.faults.count == 2


async def test_whoever_deletes_learns_that_the_store_failed(broken: Fabric) -> None:
    with pytest.raises(StoreUnavailable):
        await broken.delete_context("key")
    with pytest.raises(StoreUnavailable):
        await broken.delete_matching("docs:", lambda _context: True)


async def test_what_cannot_be_read_for_the_moment_is_not_deleted(clock: FakeClock) -> None:
    fabric = Fabric(Illegible(), clock)
    await fabric.set_context("docs:1", None)
    with pytest.raises(StoreUnavailable):
        await fabric.delete_matching("docs:", lambda _context: False)
    assert await fabric.keys(Scope.GLOBAL) == ["docs:1"]


async def test_work_goes_on_when_leases_cannot_be_had(broken: Fabric) -> None:
    assert await broken.lease("work", 60)
    await broken.renew("work", 60)
    await broken.release("work")
    assert broken.faults.count == 3


async def test_a_closed_fabric_has_nothing_and_warns_nobody(
    fabric: Fabric, caplog: pytest.LogCaptureFixture
) -> None:
    await fabric.set_context("key", "value")
    await fabric.aclose()
    assert await fabric.get_context("key") is None
    assert fabric.faults.last == "the store is closed"
    assert caplog.text == ""
