"""Rows that a name finds are up to date."""

from dataclasses import replace

import anyio
import pytest
from anyio.lowlevel import checkpoint
from anyio.to_thread import current_default_thread_limiter

from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.row_store import RowStore
from context7_fabric.registry.rows import Row
from context7_fabric.registry.seeds import Seeds
from support.scripted import FakeClock

ROW = Row("flask", "pypi", id="/pallets/flask", title="Flask")
TWIN = Row("flask", "npm", id="/js/flask", title="Flask")


async def registry_of(fabric: Fabric, clock: FakeClock, *rows: Row) -> Registry:
    """A registry that has read `rows` and nothing else."""
    store = RowStore(fabric, "")
    await store.save(list(rows))
    registry = Registry(store, lambda: Seeds(()), clock)
    await registry.load()
    return registry


async def test_a_row_that_broke_is_found_broken() -> None:
    clock = FakeClock()
    async with Fabric(MemoryBackend(), clock) as fabric:
        registry = await registry_of(fabric, clock, ROW)
        await registry.broken("/pallets/flask")
        found = registry.find("Flask")
    assert found is not None
    assert found.row.broken


@pytest.mark.parametrize("asked", ["/Pallets/Flask", "/pallets/flask", "/PALLETS/flask"])
async def test_row_of_an_id_in_another_case_is_that_of_the_library(asked: str) -> None:
    clock = FakeClock()
    async with Fabric(MemoryBackend(), clock) as fabric:
        seeded = await registry_of(fabric, clock, replace(ROW, id="/Pallets/Flask"))
        row = seeded.row(asked)
        await seeded.moved("/pallets/flask", "/pallets/FLASK3")
        moved = seeded.row(asked.replace("lask", "lask3"))
    assert row is not None
    assert moved is not None
    assert (row.id, moved.id) == ("/Pallets/Flask", "/pallets/FLASK3")


async def test_a_row_that_moved_is_found_under_its_new_id() -> None:
    clock = FakeClock()
    async with Fabric(MemoryBackend(), clock) as fabric:
        registry = await registry_of(fabric, clock, ROW)
        await registry.moved("/pallets/flask", "/pallets/flask3")
        found = registry.find("flask")
    assert found is not None
    assert found.row.id == "/pallets/flask3"


async def test_namesakes_are_counted_as_they_are_now() -> None:
    clock = FakeClock()
    async with Fabric(MemoryBackend(), clock) as fabric:
        registry = await registry_of(fabric, clock, ROW, TWIN)
        registry.used("/js/flask")
        counts = {row.id: row.usage_count for row in registry.namesakes("flask")}
    assert counts == {"/pallets/flask": 0, "/js/flask": 1}


async def test_a_load_that_was_overtaken_ends_when_the_rows_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limiter, late, idle = current_default_thread_limiter(), anyio.Event(), list[object]()
    known = list[int]()
    async with Fabric(MemoryBackend()) as fabric:
        store = RowStore(fabric, "")
        registry = Registry(store, lambda: Seeds(()), FakeClock())

        async def rows_of_the_first() -> dict[str, Row]:
            await late.wait()
            return {TWIN.key: TWIN}

        async def rows_of_the_second() -> dict[str, Row]:
            while limiter.available_tokens:
                idle.append(object())
                limiter.acquire_on_behalf_of_nowait(idle[-1])
            return {ROW.key: ROW}

        loads = iter([rows_of_the_first, rows_of_the_second])

        async def rows() -> dict[str, Row]:
            return await next(loads)()

        monkeypatch.setattr(store, "load", rows)

        async def load() -> None:
            await registry.load()
            known.append(registry.size)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(load)
            while not idle:
                await checkpoint()
            late.set()
            await anyio.wait_all_tasks_blocked()
            for each in idle:
                limiter.release_on_behalf_of(each)
    assert known == [1, 1]
