"""What a medium announces reaches those whom it concerns; where it announces nothing, all look."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backend import Written
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.change_feed import MOST_KEYS, ChangeFeed

ANYTHING: Written = None
LONG = 60.0


class Announcer(MemoryBackend):
    """A medium that announces what a test says, and breaks when it says None."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Written | Exception] = []
        self.more = anyio.Event()
        self.listened = 0

    async def announcements(self) -> AsyncGenerator[Written]:
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
async def running(news: ChangeFeed) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(news.run)
        await anyio.wait_all_tasks_blocked()
        yield
        tasks.cancel_scope.cancel()


@pytest.fixture
async def medium() -> Announcer:
    return Announcer()


async def said(medium: Announcer, *announcements: Written | Exception) -> None:
    medium.said += announcements
    medium.more.set()
    await anyio.wait_all_tasks_blocked()


async def test_what_is_below_the_prefixes_is_heard_once(medium: Announcer) -> None:
    news = ChangeFeed(medium)
    with news.ear("a/", "b/") as ear:
        async with running(news):
            ear.take()
            await said(medium, ("a/1", "c/1"), ("b/2",))
            assert ear.take() == frozenset({"a/1", "b/2"})
            assert ear.take() == frozenset()


async def test_before_anything_was_taken_it_may_have_been_anything(medium: Announcer) -> None:
    news = ChangeFeed(medium)
    async with running(news):
        with news.ear("a/") as ear:
            assert ear.take() is None
            assert ear.take() == frozenset()


async def test_of_too_many_keys_it_is_only_known_that_they_were_many(medium: Announcer) -> None:
    news = ChangeFeed(medium)
    with news.ear("a/") as ear:
        async with running(news):
            ear.take()
            await said(medium, tuple(f"a/{n}" for n in range(MOST_KEYS + 1)))
            assert ear.take() is None


def waiting() -> list[anyio.TaskInfo]:
    return [task for task in anyio.get_running_tasks() if "ChangeListener.wait" in str(task.name)]


class TestWaiting:
    async def test_it_ends_with_the_first_key_that_concerns_one(self, medium: Announcer) -> None:
        news = ChangeFeed(medium)
        with news.ear("a/") as ear, anyio.fail_after(5):
            async with running(news), anyio.create_task_group() as tasks:
                ear.take()
                tasks.start_soon(ear.wait, LONG, LONG)
                await said(medium, ("b/1",))
                assert len(waiting()) == 1
                await said(medium, ("a/1",))
                assert not waiting()

    async def test_it_ends_also_where_somebody_else_takes_meanwhile(
        self, medium: Announcer
    ) -> None:
        news = ChangeFeed(medium)
        with news.ear("a/") as ear, anyio.fail_after(5):
            async with running(news), anyio.create_task_group() as tasks:
                ear.take()
                tasks.start_soon(ear.wait, LONG, LONG)
                await anyio.wait_all_tasks_blocked()
                assert ear.take() == frozenset()
                await said(medium, ("a/1",))
                assert not waiting()

    async def test_while_nothing_can_be_heard_it_is_as_long_as_one_waits_alone(self) -> None:
        with ChangeFeed(MemoryBackend()).ear("a/") as ear, anyio.fail_after(5):
            await ear.wait(LONG, alone=0.001)
            assert ear.take() is None


class TestAMediumThatBreaks:
    async def test_it_may_have_been_anything_until_it_is_heard_again(
        self, medium: Announcer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("context7_fabric.fabric.change_feed.AGAIN_SECONDS", 0.001)
        news = ChangeFeed(medium)
        with news.ear("a/") as ear:
            async with running(news):
                ear.take()
                await said(medium, BROKEN)
                with anyio.fail_after(5):
                    while medium.listened < 2 or not news.is_live:  # a task's state
                        await checkpoint()
                assert ear.take() is None
                assert ear.take() == frozenset()

    async def test_whatever_it_is_the_server_goes_on_and_listens_again_later(
        self, medium: Announcer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("context7_fabric.fabric.change_feed.LATER_SECONDS", 0.001)
        news = ChangeFeed(medium)
        async with running(news):
            await said(medium, AttributeError("pubsub"))
            with anyio.fail_after(5):
                while medium.listened < 2 or not news.is_live:  # a task's state
                    await checkpoint()
        (warned,) = caplog.messages
        assert "pubsub" in warned

    async def test_meanwhile_everybody_looks(self, medium: Announcer) -> None:
        news = ChangeFeed(medium)
        with news.ear("a/") as ear:
            async with running(news):
                await said(medium, BROKEN)
                assert not news.is_live
                assert [ear.take(), ear.take()] == [None, None]


async def test_an_ear_that_is_left_hears_no_more(medium: Announcer) -> None:
    news = ChangeFeed(medium)
    with news.ear("a/") as ear:
        pass
    async with running(news):
        ear.take()
        await said(medium, ("a/1",))
        assert ear.take() == frozenset()


async def test_a_medium_that_announces_nothing_is_not_listened_to() -> None:
    with anyio.fail_after(5):
        await ChangeFeed(MemoryBackend()).run()
