"""A pooled resource: opened once for all users, closed a while after the last has left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
import pytest
from anyio.abc import TaskGroup

from context7_fabric.runtime.pool import Pool

SHORT = 0.05


@dataclass
class Things:
    """Opens things, each with a number, and knows which are open."""

    opened: int = 0
    open: set[int] = field(default_factory=set)
    error: Exception | None = None
    leave: anyio.Event = field(default_factory=anyio.Event)
    closed: anyio.Event = field(default_factory=anyio.Event)
    failed: anyio.Event = field(default_factory=anyio.Event)

    @asynccontextmanager
    async def thing(self) -> AsyncIterator[int]:
        self.opened += 1
        number = self.opened
        await self.leave.wait()
        if self.error is not None:
            raise self.error
        self.open.add(number)
        try:
            yield number
        finally:
            self.open.discard(number)
            self.closed.set()

    @asynccontextmanager
    async def failing(self) -> AsyncIterator[int]:
        async with self.thing() as number, anyio.create_task_group() as tasks:
            tasks.start_soon(self._fail)
            yield number

    async def _fail(self) -> None:
        await self.failed.wait()
        raise ZeroDivisionError


@pytest.fixture
def things() -> Things:
    things = Things()
    things.leave.set()
    return things


async def test_pool_opens_for_the_first_user_and_closes_after_the_last(
    tasks: TaskGroup, things: Things
) -> None:
    pool = Pool[str, int](tasks, 0)
    async with pool.use("a", things.thing) as first:
        async with pool.use("a", things.thing) as second:
            assert (first, second, len(pool)) == (1, 1, 1)
        await anyio.wait_all_tasks_blocked()
        assert things.open == {1}
    with anyio.fail_after(30):
        await things.closed.wait()
    assert (things.open, len(pool)) == (set(), 0)


async def test_pool_within_the_linger_time_reuses_the_resource(
    tasks: TaskGroup, things: Things
) -> None:
    pool = Pool[str, int](tasks, 600)
    async with pool.use("a", things.thing):
        pass
    await anyio.wait_all_tasks_blocked()
    async with pool.use("a", things.thing) as again:
        assert again == 1


async def test_pool_after_the_linger_time_closes(tasks: TaskGroup, things: Things) -> None:
    pool = Pool[str, int](tasks, SHORT)
    async with pool.use("a", things.thing):
        pass
    with anyio.fail_after(30):
        await things.closed.wait()
    async with pool.use("a", things.thing) as again:
        assert again == 2


async def test_it_stays_open_as_long_as_it_is_used(tasks: TaskGroup, things: Things) -> None:
    pool = Pool[str, int](tasks, SHORT)
    async with pool.use("a", things.thing):
        with anyio.move_on_after(4 * SHORT):
            await things.closed.wait()
        assert things.open == {1}


async def test_pool_evicts_an_unused_resource_and_no_used_one(
    tasks: TaskGroup, things: Things
) -> None:
    pool = Pool[str, int](tasks, None)
    assert not pool.evict("a")
    async with pool.use("a", things.thing):
        assert not pool.evict("a")
        assert things.open == {1}
    assert pool.evict("a")
    assert "a" not in pool._slots
    async with pool.use("a", things.thing) as number:
        assert number == 2
    with anyio.fail_after(30):
        await things.closed.wait()
    assert things.open == {2}


async def test_pool_closes_at_once_what_is_evicted_while_opening(
    tasks: TaskGroup, things: Things
) -> None:
    pool = Pool[str, int](tasks, None)
    things.leave = anyio.Event()
    with anyio.CancelScope() as impatient:
        impatient.cancel()
        async with pool.use("a", things.thing):
            raise AssertionError("it was never opened")
    assert pool.evict("a")
    things.leave.set()
    with anyio.fail_after(30):
        await things.closed.wait()


async def test_those_who_come_while_it_is_being_opened_wait_for_the_same(
    tasks: TaskGroup, things: Things
) -> None:
    things.leave = anyio.Event()
    pool = Pool[str, int](tasks, 600)
    got: list[int] = []

    async def use() -> None:
        async with pool.use("a", things.thing) as thing:
            got.append(thing)

    async with anyio.create_task_group() as users:
        for _ in range(20):
            users.start_soon(use)
        await anyio.wait_all_tasks_blocked()
        assert got == []
        things.leave.set()
    assert got == [1] * 20


async def test_other_keys_have_things_of_their_own(tasks: TaskGroup, things: Things) -> None:
    pool = Pool[str, int](tasks, 0)
    async with pool.use("a", things.thing) as a, pool.use("b", things.thing) as b:
        assert (a, b, len(pool)) == (1, 2, 2)


async def test_what_cannot_be_opened_fails_for_all_who_wait_and_the_next_may_try(
    tasks: TaskGroup, things: Things
) -> None:
    things.leave = anyio.Event()
    things.error = ZeroDivisionError("no")
    pool = Pool[str, int](tasks, 600)
    errors: list[Exception] = []

    async def use() -> None:
        try:
            async with pool.use("a", things.thing):
                raise AssertionError
        except ZeroDivisionError as error:
            errors.append(error)

    async with anyio.create_task_group() as users:
        users.start_soon(use)
        users.start_soon(use)
        await anyio.wait_all_tasks_blocked()
        things.leave.set()
    assert (len(errors), len(pool)) == (2, 0)
    things.error = None
    async with pool.use("a", things.thing) as thing:
        assert thing == 2


async def test_a_user_that_is_cancelled_while_it_waits_holds_nothing_open(
    tasks: TaskGroup, things: Things
) -> None:
    things.leave = anyio.Event()
    pool = Pool[str, int](tasks, 0)
    with anyio.move_on_after(0):
        async with pool.use("a", things.thing):
            raise AssertionError
    things.leave.set()
    with anyio.fail_after(30):
        await things.closed.wait()
    await anyio.wait_all_tasks_blocked()
    assert len(pool) == 0


async def test_pool_with_a_user_that_fails_stays_open_for_others(
    tasks: TaskGroup, things: Things
) -> None:
    pool = Pool[str, int](tasks, 0)
    async with pool.use("a", things.thing):
        with pytest.raises(ZeroDivisionError):
            async with pool.use("a", things.thing):
                raise ZeroDivisionError
        await anyio.wait_all_tasks_blocked()
        assert things.open == {1}


async def test_at_the_end_everything_is_closed_used_or_not(
    tasks: TaskGroup, things: Things
) -> None:
    pool = Pool[str, int](tasks, 600)
    async with pool.use("a", things.thing):
        async with pool.use("b", things.thing):
            pass
        assert things.open == {1, 2}
        await pool.aclose()
        assert things.open == set()
    assert len(pool) == 0


async def test_at_the_end_things_are_closed_side_by_side(tasks: TaskGroup, things: Things) -> None:
    pool = Pool[str, int](tasks, 600)
    ending, gone = list[str](), anyio.Event()

    @asynccontextmanager
    async def slow(name: str) -> AsyncIterator[int]:
        async with things.thing() as thing:
            yield thing
            ending.append(name)
            await gone.wait()

    for name in "abc":
        async with pool.use(name, partial(slow, name)):
            pass
    tasks.start_soon(pool.aclose)
    with anyio.fail_after(30):
        await anyio.wait_all_tasks_blocked()
        assert sorted(ending) == ["a", "b", "c"]
        gone.set()


async def test_the_end_of_all_waits_for_what_is_ending_already(
    tasks: TaskGroup, things: Things
) -> None:
    pool = Pool[str, int](tasks, 0)
    going, gone, ended = anyio.Event(), anyio.Event(), anyio.Event()

    @asynccontextmanager
    async def slow() -> AsyncIterator[int]:
        async with things.thing() as thing:
            yield thing
            going.set()
            await gone.wait()

    async def end() -> None:
        await pool.aclose()
        assert things.open == set()
        ended.set()

    async with pool.use("a", slow):
        pass
    with anyio.fail_after(30):
        await going.wait()
        tasks.start_soon(end)
        await anyio.wait_all_tasks_blocked()
        assert things.open == {1}
        assert not ended.is_set()
        gone.set()
        await ended.wait()


async def test_pool_with_a_resource_that_fails_later_ends_its_users_alone(
    tasks: TaskGroup, things: Things
) -> None:
    pool = Pool[str, int](tasks, 600)

    async def use() -> None:
        with pytest.raises(ExceptionGroup):
            async with pool.use("a", things.failing):
                await anyio.sleep_forever()

    async with pool.use("b", things.thing), anyio.create_task_group() as users:
        users.start_soon(use)
        users.start_soon(use)
        await anyio.wait_all_tasks_blocked()
        things.failed.set()
    assert "a" not in pool._slots
    async with pool.use("a", things.thing) as again:
        assert again == 3
