"""Whoever takes a lease and then does not need it gives it back, however that came about."""

from __future__ import annotations

import anyio
import pytest

from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.holders import lease_address
from context7_fabric.fabric.news import News
from context7_fabric.services.leases import Leases

LONG = 60.0


@pytest.fixture
def fabric() -> Fabric:
    return Fabric(MemoryBackend())


async def nothing() -> None:
    """What nobody has brought yet."""


async def test_who_finds_nothing_has_it(fabric: Fabric) -> None:
    async with anyio.create_task_group() as tasks:
        leases = Leases(fabric, tasks, News(fabric.backend))
        assert await leases.take("flight", nothing, LONG) == (True, None)
        assert await leases.take("flight", nothing, 0.01) == (False, None)


async def test_who_finds_something_gives_it_back(fabric: Fabric) -> None:
    async def brought() -> str:
        return "text"

    async with anyio.create_task_group() as tasks:
        leases = Leases(fabric, tasks, News(fabric.backend))
        assert await leases.take("flight", brought, LONG) == (False, "text")
        assert await leases.take("flight", nothing, LONG) == (True, None)


async def test_who_runs_out_of_time_while_looking_gives_it_back(fabric: Fabric) -> None:
    async def slowly() -> None:
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        leases = Leases(fabric, tasks, News(fabric.backend))
        assert await leases.take("flight", slowly, 0.01) == (False, None)
        assert await leases.take("flight", nothing, LONG) == (True, None)


async def test_who_can_hear_it_takes_it_when_it_is_free(fabric: Fabric) -> None:
    news = News(fabric.backend)
    news.is_live = True
    async with anyio.create_task_group() as tasks:
        leases, taken = Leases(fabric, tasks, news), list[bool]()

        async def wait() -> None:
            taken.append((await leases.take("flight", nothing, LONG))[0])

        assert (await leases.take("flight", nothing, LONG))[0]
        with anyio.fail_after(5):
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await fabric.release("flight")
            for ear in news._ears:
                ear.hear((lease_address("flight"),))
            await anyio.wait_all_tasks_blocked()
        assert taken == [True]
