"""The meter: calls and faults of a month, by process, kept until the store takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import anyio
import pytest

from context7_fabric.answers.stored import AnswerStore
from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backend import BackendEntry, WriteRequest
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.upstream import quota as module
from context7_fabric.upstream.quota import FAULT_LENGTH, Quota, StoreFault, Usage
from unit.fabric.fakes import NOON, Broken, FakeClock

MONTH = 32 * 86400.0
ONE_LINE = "store get failed: no such table"


class Faltering(MemoryBackend):
    """A backend that fails as long as it is told to."""

    failing = False
    reason = "no\nsuch table"

    def __init__(self) -> None:
        super().__init__()
        self.refused, self.written = anyio.Event(), anyio.Event()

    async def get(self, key: str) -> BackendEntry | None:
        self.check("get")
        return await super().get(key)

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        self.check("put")
        await super().write(puts, deletes)
        self.written.set()

    def check(self, operation: str) -> None:
        if self.failing:
            self.refused.set()
            raise StoreUnavailable(operation, self.reason)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend() -> Faltering:
    return Faltering()


@pytest.fixture
async def fabric(backend: Faltering, clock: FakeClock) -> AsyncIterator[Fabric]:
    """The store of one process."""
    async with Fabric(backend, clock) as fabric:
        yield fabric


@pytest.fixture
def meter(fabric: Fabric, clock: FakeClock) -> Quota:
    return Quota(fabric, clock, PUBLIC, None)


@pytest.fixture
def elsewhere(backend: Faltering, clock: FakeClock) -> Quota:
    """A meter of another process on the same store."""
    return Quota(Fabric(backend, clock), clock, PUBLIC, None)


async def fail_once(fabric: Fabric, backend: Faltering) -> None:
    """Let one read fail."""
    backend.failing = True
    assert await fabric.get_context("key") is None
    backend.failing = False


class TestCalls:
    async def test_other_processes_see_them_once_they_are_written(
        self, meter: Quota, elsewhere: Quota
    ) -> None:
        meter.called()
        meter.saved()
        elsewhere.saved()
        assert await elsewhere.month() == Usage(saved=1)
        await meter.flush()
        await meter.flush()
        assert await elsewhere.month() == await elsewhere.everybody() == Usage(calls=1, saved=2)
        assert await meter.month() == Usage(calls=1, saved=1)

    async def test_they_are_counted_by_principal_and_for_everybody(
        self, fabric: Fabric, clock: FakeClock, meter: Quota
    ) -> None:
        names = ("mine", "mine:2", "theirs")
        meters = [Quota(fabric, clock, name, None) for name in names]
        for each in (meter, *meters):
            each.called()
            await each.flush()
        for each in (meter, *meters):
            assert await each.month() == Usage(calls=1)
            assert await each.everybody() == Usage(calls=4)

    async def test_another_month_begins_at_nothing(
        self, meter: Quota, elsewhere: Quota, clock: FakeClock
    ) -> None:
        meter.called()
        await meter.flush()
        clock.now += MONTH
        assert await meter.month() == await elsewhere.month() == Usage()
        meter.called()
        await meter.flush()
        assert await elsewhere.month() == Usage(calls=1)

    async def test_those_that_the_store_refused_are_written_when_it_works_again(
        self, meter: Quota, elsewhere: Quota, backend: Faltering
    ) -> None:
        meter.called()
        backend.failing = True
        await meter.flush()
        backend.failing = False
        assert (await elsewhere.month()).calls == 0
        await meter.flush()
        assert (await elsewhere.month()).calls == 1

    async def test_nothing_new_is_not_written(self, meter: Quota, fabric: Fabric) -> None:
        await meter.flush()
        assert await fabric.keys(Scope.GLOBAL) == []
        meter.called()
        for _time in range(2):
            await meter.flush()
        (key,) = await fabric.keys(Scope.GLOBAL)
        context = await fabric.get_context(key)
        assert context is not None
        assert context.version == 1

    @pytest.mark.parametrize("value", [None, "text", {"calls": []}, {"last_fault": 1}])
    async def test_something_else_under_its_keys_counts_nothing(
        self, meter: Quota, fabric: Fabric, value: Json
    ) -> None:
        await fabric.set_context("meter::2023-11:somebody", value)
        await fabric.set_context("meter:", value)
        assert await meter.everybody() == Usage()

    @pytest.mark.parametrize("processes", [2, 3, 7])
    async def test_row_that_several_processes_add_to_is_one_and_the_sum(
        self, backend: Faltering, clock: FakeClock, processes: int
    ) -> None:
        meters = [Quota(Fabric(backend, clock), clock, PUBLIC, None) for _ in range(processes)]
        async with anyio.create_task_group() as tasks:
            for each in meters:
                for _call in range(3):
                    each.called()
                    each.saved()
                    tasks.start_soon(each.flush)
        assert await backend.keys("GLOBAL/meter:") == ["GLOBAL/meter::2023-11:sum"]
        for each in meters:
            assert await each.month() == Usage(calls=3 * processes, saved=3 * processes)

    @pytest.mark.parametrize("earlier", [1, 2, 20])
    async def test_rows_of_an_earlier_version_are_added_once_though_it_still_runs(
        self, meter: Quota, elsewhere: Quota, fabric: Fabric, earlier: int
    ) -> None:
        names = [f"meter::2023-11:{number:012x}" for number in range(earlier)]
        for name in names:
            await fabric.set_context(name, {"calls": 2, "saved": 1, "faults": 0})
        assert await meter.month() == Usage(calls=2 * earlier, saved=earlier)
        for each in (meter, elsewhere):
            each.called()
            await each.flush()
        assert await fabric.keys(Scope.GLOBAL) == ["meter::2023-11:sum"]
        # The process of the earlier version writes all that it has counted.
        await fabric.set_context(names[0], {"calls": 5, "saved": 1, "faults": 0})
        assert (await elsewhere.month()).calls == 2 * earlier + 2 + 3
        meter.called()
        await meter.flush()
        assert await fabric.keys(Scope.GLOBAL) == ["meter::2023-11:sum"]
        assert await meter.month() == Usage(calls=2 * earlier + 2 + 3 + 1, saved=earlier)

    async def test_rows_that_were_added_and_not_removed_count_once(
        self, meter: Quota, elsewhere: Quota, fabric: Fabric
    ) -> None:
        """The process was killed before it removed them."""
        earlier: Json = {"calls": 2, "saved": 1, "faults": 0}
        await fabric.set_context("meter::2023-11:0123456789ab", earlier)
        meter.called()
        await meter.flush()
        await fabric.set_context("meter::2023-11:0123456789ab", earlier)
        assert await elsewhere.month() == Usage(calls=3, saved=1)
        elsewhere.saved()
        await elsewhere.flush()
        assert await meter.month() == Usage(calls=3, saved=2)

    @pytest.mark.parametrize(
        "value", ["text", {"calls": 1, "added": 3}, {"calls": 1, "added": {"k": []}}]
    )
    async def test_row_that_holds_something_else_is_replaced(
        self, meter: Quota, fabric: Fabric, value: Json
    ) -> None:
        await fabric.set_context("meter::2023-11:sum", value)
        meter.called()
        await meter.flush()
        assert await meter.month() == Usage(calls=1)

    async def test_what_an_earlier_release_wrote_counts(self, meter: Quota, fabric: Fabric) -> None:
        await fabric.set_context("meter::2023-11:somebody", {"calls": 2, "saved": 3})
        assert await meter.month() == Usage(calls=2, saved=3)


class TestFaults:
    async def test_other_processes_see_them_and_the_last_ones_text_and_time(
        self, meter: Quota, elsewhere: Quota, fabric: Fabric, backend: Faltering, clock: FakeClock
    ) -> None:
        await fail_once(fabric, backend)
        await fail_once(fabric, backend)
        await meter.flush()
        fault = StoreFault(NOON, ONE_LINE)
        assert await elsewhere.everybody() == Usage(faults=2, last_fault=fault)
        clock.now += 60
        await fail_once(fabric, backend)
        await meter.flush()
        later = StoreFault(NOON + 60, ONE_LINE)
        assert await elsewhere.everybody() == Usage(faults=3, last_fault=later)

    async def test_of_several_processes_the_latest_is_the_last(
        self, meter: Quota, elsewhere: Quota, fabric: Fabric, backend: Faltering, clock: FakeClock
    ) -> None:
        await fail_once(fabric, backend)
        await meter.flush()
        clock.now += 60
        backend.reason = "disk full"
        backend.failing = True
        elsewhere.called()
        await elsewhere.flush()
        backend.failing = False
        usage = await elsewhere.everybody()
        assert (usage.calls, usage.faults) == (1, 2)
        assert usage.last_fault == StoreFault(NOON + 60, "store get failed: disk full")

    async def test_what_another_principal_met_is_told_to_everybody(
        self, elsewhere: Quota, fabric: Fabric, backend: Faltering, clock: FakeClock
    ) -> None:
        with_key = Quota(fabric, clock, "key-1", None)
        await fail_once(fabric, backend)
        await with_key.flush()
        assert (await elsewhere.month()).faults == 0
        assert (await elsewhere.everybody()).faults == 1

    async def test_a_long_text_is_cut(
        self, meter: Quota, fabric: Fabric, backend: Faltering
    ) -> None:
        backend.reason = "x" * 1000
        await fail_once(fabric, backend)
        fault = (await meter.everybody()).last_fault
        assert fault is not None
        assert len(fault.text) == FAULT_LENGTH

    async def test_they_are_of_their_month(
        self, meter: Quota, fabric: Fabric, backend: Faltering, clock: FakeClock
    ) -> None:
        await fail_once(fabric, backend)
        assert (await meter.everybody()).faults == 1
        clock.now += MONTH
        assert await meter.everybody() == Usage()
        await fail_once(fabric, backend)
        assert (await meter.everybody()).faults == 1

    async def test_a_fault_alone_is_written_behind_once_the_store_works(
        self,
        meter: Quota,
        elsewhere: Quota,
        fabric: Fabric,
        backend: Faltering,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(module, "LOOK_EVERY", 0.001)
        monkeypatch.setattr(module, "WRITE_EVERY", 0.001)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(meter.write_behind)
            await fail_once(fabric, backend)
            backend.failing, backend.refused = True, anyio.Event()
            await backend.refused.wait()
            backend.failing = False
            await backend.written.wait()
            tasks.cancel_scope.cancel()
        assert (await elsewhere.everybody()).faults >= 2

    async def test_a_store_that_never_works_is_counted_in_the_process_itself(
        self, clock: FakeClock
    ) -> None:
        fabric = Fabric(Broken(), clock)
        meter = Quota(fabric, clock, PUBLIC, None)
        assert await AnswerStore(fabric).counts() == {"answers": 0, "lists": 0, "quarantined": 0}
        usage = await meter.everybody()
        assert usage.faults == fabric.faults.count > 0
        assert usage.last_fault == StoreFault(NOON, "store any failed: disk full")


async def test_each_list_counts_once_though_it_lies_under_its_row_and_a_plain_name(
    fabric: Fabric,
) -> None:
    names = ("fastapi", "pypi%3Afastapi", "Fastapi", "%3Awidgets", "widgets", "unknown")
    await fabric.set_many({f"list:{name}": "a list" for name in names})
    # An earlier reply is still there for `Fastapi`: fastapi, Fastapi, widgets, unknown.
    assert (await AnswerStore(fabric).counts())["lists"] == 4
    for name in ("fastapi", "Fastapi", "widgets", "unknown"):
        await fabric.delete_context(f"list:{name}")
    assert (await AnswerStore(fabric).counts())["lists"] == 2
