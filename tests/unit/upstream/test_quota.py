"""Monthly quota counter: calls and faults, pending until the store takes them."""

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
from context7_fabric.upstream.quota import FAULT_LENGTH, Quota, StoreFault, Usage
from unit.fabric.fakes import NOON, Broken, FakeClock

MONTH = 32 * 86400.0
ONE_LINE = "store get failed: no such table"


class Faltering(MemoryBackend):
    """A backend that fails while `failing` is set."""

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
def quota(fabric: Fabric, clock: FakeClock) -> Quota:
    return Quota(fabric, clock, PUBLIC, None)


@pytest.fixture
def elsewhere(backend: Faltering, clock: FakeClock) -> Quota:
    """A quota counter of another process on the same store."""
    return Quota(Fabric(backend, clock), clock, PUBLIC, None)


async def fail_once(fabric: Fabric, backend: Faltering) -> None:
    """Let one read fail."""
    backend.failing = True
    assert await fabric.get_context("key") is None
    backend.failing = False


class TestCalls:
    async def test_other_processes_see_them_once_they_are_written(
        self, quota: Quota, elsewhere: Quota
    ) -> None:
        quota.count_call()
        quota.count_saved()
        elsewhere.count_saved()
        assert await elsewhere.month() == Usage(saved=1)
        await quota.flush()
        await quota.flush()
        assert await elsewhere.month() == await elsewhere.month_of_all() == Usage(calls=1, saved=2)
        assert await quota.month() == Usage(calls=1, saved=1)

    async def test_they_are_counted_by_principal_and_for_all(
        self, fabric: Fabric, clock: FakeClock, quota: Quota
    ) -> None:
        names = ("mine", "mine:2", "theirs")
        quotas = [Quota(fabric, clock, name, None) for name in names]
        for each in (quota, *quotas):
            each.count_call()
            await each.flush()
        for each in (quota, *quotas):
            assert await each.month() == Usage(calls=1)
            assert await each.month_of_all() == Usage(calls=4)

    async def test_another_month_begins_at_nothing(
        self, quota: Quota, elsewhere: Quota, clock: FakeClock
    ) -> None:
        quota.count_call()
        await quota.flush()
        clock.now += MONTH
        assert await quota.month() == await elsewhere.month() == Usage()
        quota.count_call()
        await quota.flush()
        assert await elsewhere.month() == Usage(calls=1)

    async def test_those_that_the_store_refused_are_written_when_it_works_again(
        self, quota: Quota, elsewhere: Quota, backend: Faltering
    ) -> None:
        quota.count_call()
        backend.failing = True
        await quota.flush()
        backend.failing = False
        assert (await elsewhere.month()).calls == 0
        await quota.flush()
        assert (await elsewhere.month()).calls == 1

    async def test_nothing_new_is_not_written(self, quota: Quota, fabric: Fabric) -> None:
        await quota.flush()
        assert await fabric.keys(Scope.GLOBAL) == []
        quota.count_call()
        for _time in range(2):
            await quota.flush()
        (key,) = await fabric.keys(Scope.GLOBAL)
        context = await fabric.get_context(key)
        assert context is not None
        assert context.version == 1

    @pytest.mark.parametrize("value", [None, "text", {"calls": []}, {"last_fault": 1}])
    async def test_something_else_under_its_keys_counts_nothing(
        self, quota: Quota, fabric: Fabric, value: Json
    ) -> None:
        await fabric.set_context("meter::2023-11:sum", value)
        await fabric.set_context("meter:", value)
        assert await quota.month_of_all() == Usage()

    @pytest.mark.parametrize("processes", [2, 3, 7])
    async def test_row_that_several_processes_add_to_is_one_and_the_sum(
        self, backend: Faltering, clock: FakeClock, processes: int
    ) -> None:
        quotas = [Quota(Fabric(backend, clock), clock, PUBLIC, None) for _ in range(processes)]
        async with anyio.create_task_group() as tasks:
            for each in quotas:
                for _call in range(3):
                    each.count_call()
                    each.count_saved()
                    tasks.start_soon(each.flush)
        assert await backend.keys("GLOBAL/meter:") == ["GLOBAL/meter::2023-11:sum"]
        for each in quotas:
            assert await each.month() == Usage(calls=3 * processes, saved=3 * processes)

    @pytest.mark.parametrize("value", ["text", {"calls": "many"}, {"calls": 1, "last_fault": []}])
    async def test_row_that_holds_something_else_is_replaced(
        self, quota: Quota, fabric: Fabric, value: Json
    ) -> None:
        await fabric.set_context("meter::2023-11:sum", value)
        quota.count_call()
        await quota.flush()
        assert await quota.month() == Usage(calls=1)


class TestFaults:
    async def test_other_processes_see_them_and_the_last_ones_text_and_time(
        self, quota: Quota, elsewhere: Quota, fabric: Fabric, backend: Faltering, clock: FakeClock
    ) -> None:
        await fail_once(fabric, backend)
        await fail_once(fabric, backend)
        await quota.flush()
        fault = StoreFault(NOON, ONE_LINE)
        assert await elsewhere.month_of_all() == Usage(faults=2, last_fault=fault)
        clock.now += 60
        await fail_once(fabric, backend)
        await quota.flush()
        later = StoreFault(NOON + 60, ONE_LINE)
        assert await elsewhere.month_of_all() == Usage(faults=3, last_fault=later)

    async def test_of_several_processes_the_latest_is_the_last(
        self, quota: Quota, elsewhere: Quota, fabric: Fabric, backend: Faltering, clock: FakeClock
    ) -> None:
        await fail_once(fabric, backend)
        await quota.flush()
        clock.now += 60
        backend.reason = "disk full"
        backend.failing = True
        elsewhere.count_call()
        await elsewhere.flush()
        backend.failing = False
        usage = await elsewhere.month_of_all()
        assert (usage.calls, usage.faults) == (1, 2)
        assert usage.last_fault == StoreFault(NOON + 60, "store get failed: disk full")

    async def test_fault_of_another_principal_counts_for_all(
        self, elsewhere: Quota, fabric: Fabric, backend: Faltering, clock: FakeClock
    ) -> None:
        with_key = Quota(fabric, clock, "key-1", None)
        await fail_once(fabric, backend)
        await with_key.flush()
        assert (await elsewhere.month()).faults == 0
        assert (await elsewhere.month_of_all()).faults == 1

    async def test_a_long_text_is_cut(
        self, quota: Quota, fabric: Fabric, backend: Faltering
    ) -> None:
        backend.reason = "x" * 1000
        await fail_once(fabric, backend)
        fault = (await quota.month_of_all()).last_fault
        assert fault is not None
        assert len(fault.text) == FAULT_LENGTH

    async def test_they_are_of_their_month(
        self, quota: Quota, fabric: Fabric, backend: Faltering, clock: FakeClock
    ) -> None:
        await fail_once(fabric, backend)
        assert (await quota.month_of_all()).faults == 1
        clock.now += MONTH
        assert await quota.month_of_all() == Usage()
        await fail_once(fabric, backend)
        assert (await quota.month_of_all()).faults == 1

    async def test_a_fault_alone_is_written_behind_once_the_store_works(
        self,
        quota: Quota,
        elsewhere: Quota,
        fabric: Fabric,
        backend: Faltering,
    ) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(quota.write_behind, 0.001, 0.001)
            await fail_once(fabric, backend)
            backend.failing, backend.refused = True, anyio.Event()
            await backend.refused.wait()
            backend.failing = False
            await backend.written.wait()
            tasks.cancel_scope.cancel()
        assert (await elsewhere.month_of_all()).faults >= 2

    async def test_a_store_that_never_works_is_counted_in_the_process_itself(
        self, clock: FakeClock
    ) -> None:
        fabric = Fabric(Broken(), clock)
        quota = Quota(fabric, clock, PUBLIC, None)
        assert await AnswerStore(fabric).counts() == {"answers": 0, "lists": 0, "quarantined": 0}
        usage = await quota.month_of_all()
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
