"""A store that fails is a miss and a count, except for those who delete."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

import pytest

from context7_fabric.errors import CorruptEntry, StoreError, StoreUnavailable
from context7_fabric.fabric.backend import BackendEntry, WriteRequest
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.stats import MOST_CAUSES, WARN_EVERY, StoreErrors
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


async def test_delete_raises_the_error_of_the_store(broken: Fabric) -> None:
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


async def test_a_closed_fabric_returns_nothing_without_a_warning(
    fabric: Fabric, caplog: pytest.LogCaptureFixture
) -> None:
    await fabric.set_context("key", "value")
    await fabric.aclose()
    assert await fabric.get_context("key") is None
    assert fabric.faults.last == "the store is closed"
    assert caplog.text == ""


REFUSED, FULL = StoreUnavailable("get", "refused"), StoreUnavailable("put", "disk full")


class Moody(MemoryBackend):
    """A medium that can be made to refuse every call."""

    refuses = False

    async def get(self, key: str) -> BackendEntry | None:
        self._look()
        return await super().get(key)

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        self._look()
        return await super().get_many(keys)

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        self._look()
        await super().write(puts, deletes)

    def _look(self) -> None:
        if self.refuses:
            raise REFUSED


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was warned of."""
    return [each.message for each in caplog.records if each.levelno == logging.WARNING]


async def test_a_repeated_cause_is_one_warning_and_then_debug(
    broken: Fabric, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "context7_fabric")
    for _ in range(3):
        assert await broken.get_context("key") is None
    assert not await broken.set_context("key", "value")
    assert [each.levelname for each in caplog.records] == ["WARNING", *["DEBUG"] * 3]
    assert broken.faults.count == 4


@pytest.mark.parametrize(
    ("first", "second", "warned"),
    [
        (REFUSED, REFUSED, 1),
        (REFUSED, StoreUnavailable("add", "refused"), 1),
        (REFUSED, FULL, 2),
        (CorruptEntry("k", "not JSON"), CorruptEntry("k", "not JSON"), 1),
        (CorruptEntry("k", "not JSON"), CorruptEntry("other", "not JSON"), 1),
        (CorruptEntry("k", "not JSON"), CorruptEntry("k", "its checksum is wrong"), 2),
    ],
)
def test_another_cause_is_another_warning(
    first: StoreError, second: StoreError, warned: int, caplog: pytest.LogCaptureFixture
) -> None:
    faults = StoreErrors(FakeClock())
    for error in (first, second, first, second):
        faults.note(error)
    assert len(warnings(caplog)) == warned
    assert (faults.count, faults.last) == (4, str(second))


def test_a_cause_that_lasts_is_warned_of_again_after_a_minute(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    faults, counts = StoreErrors(clock), list[int]()
    for seconds in (0.0, WARN_EVERY, 0.1, WARN_EVERY):
        clock.now += seconds
        faults.note(REFUSED)
        counts.append(len(warnings(caplog)))
    assert counts == [1, 1, 2, 2]


@pytest.mark.parametrize(
    "work",
    [
        lambda fabric: fabric.get_context("nothing"),
        lambda fabric: fabric.get_many(["nothing"]),
        lambda fabric: fabric.set_context("key", "value"),
    ],
    ids=["read one", "read many", "write"],
)
async def test_a_store_that_worked_in_between_is_warned_of_again(
    work: Callable[[Fabric], Awaitable[object]], clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    backend = Moody()
    async with Fabric(backend, clock) as fabric:
        for refuses in (True, True, False, True, True):
            backend.refuses = refuses
            await work(fabric)
    assert warnings(caplog) == [str(REFUSED)] * 2
    assert fabric.faults.count == 4


async def test_an_entry_that_stays_damaged_in_a_store_that_works_is_warned_of_once(
    fabric: Fabric, caplog: pytest.LogCaptureFixture
) -> None:
    await put(fabric.backend, "GLOBAL/key", b"no entry")
    for _ in range(3):
        assert await fabric.get_context("key") is None
        assert await fabric.get_many(["key"]) == []
    assert len(warnings(caplog)) == 1
    assert fabric.faults.count == 6


def test_only_so_many_causes_are_remembered(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    faults = StoreErrors(clock)
    for number in range(MOST_CAUSES + 1):
        faults.note(StoreUnavailable("get", f"reason {number}"))
    faults.note(StoreUnavailable("get", "reason 0"))
    faults.note(StoreUnavailable("get", f"reason {MOST_CAUSES}"))
    assert len(warnings(caplog)) == MOST_CAUSES + 2
