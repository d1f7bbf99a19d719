"""Announced writes reach the listeners of their keys; a silent medium makes them look."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backend import WrittenKeys
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.change_feed import MOST_KEYS, ChangeFeed

ANYTHING: WrittenKeys = None
LONG = 60.0


class Announcer(MemoryBackend):
    """A medium that announces what a test says, and breaks when it says None."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[WrittenKeys | Exception] = []
        self.more = anyio.Event()
        self.listened = 0

    async def announcements(self) -> AsyncGenerator[WrittenKeys]:
        self.listened += 1
        yield ANYTHING
        while True:
            while self.said:
                written = self.said.pop(0)
                if isinstance(written, Exception):
                    raise written
                yield written
            self.more = anyio.Event()
            await self.more.wait()


BROKEN = StoreUnavailable("listen", "it broke")


@asynccontextmanager
async def running(feed: ChangeFeed) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        await anyio.wait_all_tasks_blocked()
        yield
        tasks.cancel_scope.cancel()


@pytest.fixture
async def medium() -> Announcer:
    return Announcer()


async def said(medium: Announcer, *announcements: WrittenKeys | Exception) -> None:
    medium.said += announcements
    medium.more.set()
    await anyio.wait_all_tasks_blocked()


async def test_keys_below_the_prefixes_are_received_once(medium: Announcer) -> None:
    feed = ChangeFeed(medium)
    with feed.listen("a/", "b/") as listener:
        async with running(feed):
            listener.take()
            await said(medium, ("a/1", "c/1"), ("b/2",))
            assert listener.take() == frozenset({"a/1", "b/2"})
            assert listener.take() == frozenset()


async def test_before_the_first_take_all_keys_may_have_changed(medium: Announcer) -> None:
    feed = ChangeFeed(medium)
    async with running(feed):
        with feed.listen("a/") as listener:
            assert listener.take() is None
            assert listener.take() == frozenset()


async def test_too_many_keys_count_as_all_keys(medium: Announcer) -> None:
    feed = ChangeFeed(medium)
    with feed.listen("a/") as listener:
        async with running(feed):
            listener.take()
            await said(medium, tuple(f"a/{n}" for n in range(MOST_KEYS + 1)))
            assert listener.take() is None


def waiting() -> list[anyio.TaskInfo]:
    return [task for task in anyio.get_running_tasks() if "ChangeListener.wait" in str(task.name)]


class TestWaiting:
    async def test_wait_ends_with_the_first_key_of_the_prefixes(self, medium: Announcer) -> None:
        feed = ChangeFeed(medium)
        with feed.listen("a/") as listener, anyio.fail_after(30):
            async with running(feed), anyio.create_task_group() as tasks:
                listener.take()
                tasks.start_soon(listener.wait, LONG, LONG)
                await said(medium, ("b/1",))
                assert len(waiting()) == 1
                await said(medium, ("a/1",))
                assert not waiting()

    async def test_wait_ends_also_where_another_task_takes_meanwhile(
        self, medium: Announcer
    ) -> None:
        feed = ChangeFeed(medium)
        with feed.listen("a/") as listener, anyio.fail_after(30):
            async with running(feed), anyio.create_task_group() as tasks:
                listener.take()
                tasks.start_soon(listener.wait, LONG, LONG)
                await anyio.wait_all_tasks_blocked()
                assert listener.take() == frozenset()
                await said(medium, ("a/1",))
                assert not waiting()

    async def test_wait_without_announcements_lasts_as_long_as_alone(self) -> None:
        with ChangeFeed(MemoryBackend()).listen("a/") as listener, anyio.fail_after(30):
            await listener.wait(LONG, alone=0.001)
            assert listener.take() is None


class TestBrokenMedium:
    async def test_all_keys_may_have_changed_until_it_announces_again(
        self, medium: Announcer
    ) -> None:
        feed = ChangeFeed(medium, retry=0.001)
        with feed.listen("a/") as listener:
            async with running(feed):
                listener.take()
                await said(medium, BROKEN)
                with anyio.fail_after(30):
                    while medium.listened < 2 or not feed.is_live:  # a task's state
                        await checkpoint()
                assert listener.take() is None
                assert listener.take() == frozenset()

    async def test_an_unexpected_error_is_logged_and_retried_later(
        self, medium: Announcer, caplog: pytest.LogCaptureFixture
    ) -> None:
        feed = ChangeFeed(medium, unexpected_retry=0.001)
        async with running(feed):
            await said(medium, AttributeError("pubsub"))
            with anyio.fail_after(30):
                while medium.listened < 2 or not feed.is_live:  # a task's state
                    await checkpoint()
        (warned,) = caplog.messages
        assert "pubsub" in warned

    async def test_a_feed_that_is_not_live_makes_listeners_look(self, medium: Announcer) -> None:
        feed = ChangeFeed(medium)
        with feed.listen("a/") as listener:
            async with running(feed):
                await said(medium, BROKEN)
                assert not feed.is_live
                assert [listener.take(), listener.take()] == [None, None]


async def test_a_removed_listener_receives_nothing(medium: Announcer) -> None:
    feed = ChangeFeed(medium)
    with feed.listen("a/") as listener:
        pass
    async with running(feed):
        listener.take()
        await said(medium, ("a/1",))
        assert listener.take() == frozenset()


async def test_a_medium_that_announces_nothing_is_not_listened_to() -> None:
    with anyio.fail_after(30):
        await ChangeFeed(MemoryBackend()).run()
