"""Who gets a place, who loses one, and how long what stands there is kept."""

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
    """Places for words; knows which stand there and how often each was opened."""

    def __init__(self, tasks: TaskGroup, linger: float = LONG) -> None:
        self.places = BoundedPool[str, str](tasks, most=4, share=2, linger=linger)
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
            room = self.places.make_room(holder, key)
            if room:
                opening = partial(self.thing, key)
                assert await stack.enter_async_context(self.places.use(holder, key, opening)) == key
            yield room

    async def used(self, holder: str, *keys: str) -> list[bool]:
        """Use things one behind the other."""
        told = []
        for key in keys:
            async with self.using(holder, key) as room:
                told.append(room)
        await anyio.wait_all_tasks_blocked()
        return told


async def test_what_was_used_stays_for_the_next_use(tasks: TaskGroup) -> None:
    garage = Garage(tasks)
    assert await garage.used("ann", "a", "a") == [True, True]
    assert garage.opened == ["a"]
    assert garage.open == {"a"}


async def test_it_goes_a_while_after_its_last_use(tasks: TaskGroup) -> None:
    garage = Garage(tasks, SHORT)
    async with garage.using("ann", "a"):
        with anyio.move_on_after(4 * SHORT):
            await garage.closed.wait()
        assert garage.open == {"a"}
    with anyio.fail_after(5):
        await garage.closed.wait()
    assert len(garage.places) == 0


async def test_whose_share_is_taken_loses_what_is_unused_and_was_used_longest_ago(
    tasks: TaskGroup,
) -> None:
    garage = Garage(tasks)
    await garage.used("bob", "x")
    await garage.used("ann", "a", "b", "a", "c")
    assert garage.open == {"x", "a", "c"}
    assert await garage.used("ann", "b") == [True]
    assert garage.open == {"x", "c", "b"}
    assert len(garage.places) == 3


async def test_whose_share_is_in_use_waits_alone(tasks: TaskGroup) -> None:
    garage = Garage(tasks)
    async with garage.using("ann", "a"), garage.using("ann", "b"):
        assert await garage.used("ann", "c", "a") == [False, True]
        assert await garage.used("bob", "x") == [True]
    assert await garage.used("ann", "c") == [True]


async def test_while_all_are_in_use_nobody_else_comes_in(tasks: TaskGroup) -> None:
    garage = Garage(tasks)
    async with AsyncExitStack() as stack:
        for holder, key in (("ann", "a"), ("ann", "b"), ("bob", "x"), ("bob", "y")):
            assert await stack.enter_async_context(garage.using(holder, key))
        assert await garage.used("eve", "1") == [False]
    assert await garage.used("eve", "1") == [True]
    assert garage.open == {"b", "x", "y", "1"}


async def test_what_cannot_be_opened_takes_no_place(tasks: TaskGroup) -> None:
    garage = Garage(tasks)
    garage.error = ZeroDivisionError("no")
    with pytest.raises(ZeroDivisionError):
        await garage.used("ann", "a")
    assert len(garage.places) == 0


async def test_who_comes_while_it_is_let_go_gets_it_anew(tasks: TaskGroup) -> None:
    garage = Garage(tasks)
    await garage.used("ann", "a", "b")
    assert garage.places.make_room("ann", "c")
    async with garage.using("ann", "a") as room:
        assert room
        await anyio.wait_all_tasks_blocked()
        assert "a" in garage.open


async def test_what_is_closed_belongs_to_whoever_asks_for_it_next(tasks: TaskGroup) -> None:
    garage = Garage(tasks)
    await garage.used("ann", "a", "b", "c")
    await garage.used("bob", "a", "x")
    assert garage.open == {"b", "c", "a", "x"}
    assert await garage.used("ann", "d") == [True]
    assert garage.open == {"c", "a", "x", "d"}
