"""Bounded pool: room for a holder, eviction, and lingering resources."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import anyio
import pytest
from anyio.abc import TaskGroup

from context7_fabric.runtime.pool import BoundedPool

SHORT = 0.05
LONG = 600


class Garage:
    """A bounded pool of words; knows which are open and how often each was opened."""

    def __init__(self, tasks: TaskGroup, linger: float = LONG) -> None:
        self.pool = BoundedPool[str, str](tasks, most=4, share=2, linger=linger)
        self.open: set[str] = set()
        self.opened: list[str] = []
        self.error: Exception | None = None
        self.closed = anyio.Event()

    @asynccontextmanager
    async def thing(self, key: str) -> AsyncGenerator[str]:
        if self.error is not None:
            raise self.error
        self.opened.append(key)
        self.open.add(key)
        yield key
        self.open.remove(key)
        self.closed.set()

    @asynccontextmanager
    async def using(self, holder: str, key: str) -> AsyncGenerator[bool]:
        """Use a thing, if there is room for it; yield whether there is."""
        async with AsyncExitStack() as stack:
            room = self.pool.make_room(holder, key)
            if room:
                opening = partial(self.thing, key)
                assert await stack.enter_async_context(self.pool.use(key, opening)) == key
            yield room

    async def used(self, holder: str, *keys: str) -> list[bool]:
        """Use things one behind the other."""
        rooms = []
        for key in keys:
            async with self.using(holder, key) as room:
                rooms.append(room)
        await anyio.wait_all_tasks_blocked()
        return rooms


async def test_bounded_pool_keeps_a_used_resource(tasks: TaskGroup) -> None:
    garage = Garage(tasks)
    assert await garage.used("ann", "a", "a") == [True, True]
    assert garage.opened == ["a"]
    assert garage.open == {"a"}


async def test_bounded_pool_closes_an_unused_resource_after_a_while(tasks: TaskGroup) -> None:
    garage = Garage(tasks, SHORT)
    async with garage.using("ann", "a"):
        with anyio.move_on_after(4 * SHORT):
            await garage.closed.wait()
        assert garage.open == {"a"}
    with anyio.fail_after(30):
        await garage.closed.wait()
    assert len(garage.pool) == 0


async def test_bounded_pool_with_a_full_share_evicts_the_unused_one_used_longest_ago(
    tasks: TaskGroup,
) -> None:
    garage = Garage(tasks)
    await garage.used("bob", "x")
    await garage.used("ann", "a", "b", "a", "c")
    assert garage.open == {"x", "a", "c"}
    assert await garage.used("ann", "b") == [True]
    assert garage.open == {"x", "c", "b"}
    assert len(garage.pool) == 3


async def test_bounded_pool_with_a_share_in_use_refuses_its_holder_alone(tasks: TaskGroup) -> None:
    garage = Garage(tasks)
    async with garage.using("ann", "a"), garage.using("ann", "b"):
        assert await garage.used("ann", "c", "a") == [False, True]
        assert await garage.used("bob", "x") == [True]
    assert await garage.used("ann", "c") == [True]


async def test_bounded_pool_with_all_in_use_has_no_room(tasks: TaskGroup) -> None:
    garage = Garage(tasks)
    async with AsyncExitStack() as stack:
        for holder, key in (("ann", "a"), ("ann", "b"), ("bob", "x"), ("bob", "y")):
            assert await stack.enter_async_context(garage.using(holder, key))
        assert await garage.used("eve", "1") == [False]
    assert await garage.used("eve", "1") == [True]
    assert garage.open == {"b", "x", "y", "1"}


async def test_bounded_pool_keeps_no_room_for_what_cannot_be_opened(tasks: TaskGroup) -> None:
    garage = Garage(tasks)
    garage.error = ZeroDivisionError("no")
    with pytest.raises(ZeroDivisionError):
        await garage.used("ann", "a")
    assert len(garage.pool) == 0


async def test_bounded_pool_reopens_what_is_asked_for_while_evicted(tasks: TaskGroup) -> None:
    garage = Garage(tasks)
    await garage.used("ann", "a", "b")
    assert garage.pool.make_room("ann", "c")
    async with garage.using("ann", "a") as room:
        assert room
        await anyio.wait_all_tasks_blocked()
        assert "a" in garage.open


async def test_bounded_pool_gives_a_closed_key_to_the_next_holder(tasks: TaskGroup) -> None:
    garage = Garage(tasks)
    await garage.used("ann", "a", "b", "c")
    await garage.used("bob", "a", "x")
    assert garage.open == {"b", "c", "a", "x"}
    assert await garage.used("ann", "d") == [True]
    assert garage.open == {"c", "a", "x", "d"}
