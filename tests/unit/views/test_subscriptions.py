"""Changes are detected by looking, reported once to each subscriber, and only with subscribers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backend import BackendEntry, WriteRequest
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.change_feed import ChangeFeed
from context7_fabric.fabric.context import Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Viewer
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.row_store import RowStore
from context7_fabric.registry.rows import Row
from context7_fabric.registry.seeds import Seeds
from context7_fabric.settings.values import DocsetSettings
from context7_fabric.upstream.base import ToolList
from context7_fabric.upstream.tool_cache import ToolCache
from context7_fabric.views.subscriptions import (
    ContextTopic,
    LibraryTopic,
    ListTopic,
    Look,
    Subscriptions,
    Topic,
    TopicState,
    TopicStates,
)
from support.scripted import FakeClock, ScriptedUpstream

NO_DOCSETS = DocsetLibrary(Path("nowhere"), DocsetSettings())

ONE, OTHER = ContextTopic(Scope.GLOBAL, "one"), ContextTopic(Scope.USER, "other")
LIBRARY = LibraryTopic("/a/b")
ROW = Row("b", "pypi", id="/a/b")
EVERYTHING: tuple[Topic, ...] = (ONE, OTHER, LIBRARY, *Scope, *ListTopic)


@dataclass
class World:
    """States that a test sets, and how often they were looked at."""

    states: dict[Topic, TopicState] = field(default_factory=dict)
    looks: list[tuple[Topic, ...]] = field(default_factory=list)

    async def look(self, topics: Collection[Topic]) -> Mapping[Topic, TopicState]:
        self.looks.append(tuple(topics))
        return {topic: self.states[topic] for topic in topics if topic in self.states}


@dataclass(eq=False)
class RecordingSubscriber:
    """Topics that one subscriber received."""

    topics: list[Topic] = field(default_factory=list)
    some: anyio.Event = field(default_factory=anyio.Event)

    async def notify(self, topic: Topic) -> None:
        self.topics.append(topic)
        self.some.set()


def subscriptions_on(look: Look) -> Subscriptions:
    """Subscriptions on a store that announces no writes."""
    return Subscriptions(look, ChangeFeed(MemoryBackend()).listen(""))


class TestReporting:
    async def test_a_change_is_reported_once_to_each_subscriber(self) -> None:
        world, first, second = (
            World({ONE: 1, OTHER: 1}),
            RecordingSubscriber(),
            RecordingSubscriber(),
        )
        subscriptions = subscriptions_on(world.look)
        await subscriptions.subscribe([ONE, OTHER], first.notify)
        await subscriptions.subscribe([OTHER], second.notify)
        await subscriptions.look()
        assert first.topics == second.topics == []
        world.states[OTHER] = 2
        await subscriptions.look()
        await subscriptions.look()
        assert first.topics == second.topics == [OTHER]

    async def test_a_second_subscription_reports_once_until_both_are_removed(self) -> None:
        world, subscriber = World({ONE: 1}), RecordingSubscriber()
        subscriptions = subscriptions_on(world.look)
        await subscriptions.subscribe([ONE, ONE], subscriber.notify)
        world.states[ONE] = 2
        await subscriptions.look()
        subscriptions.unsubscribe([ONE], subscriber.notify)
        world.states[ONE] = 3
        await subscriptions.look()
        subscriptions.unsubscribe([ONE], subscriber.notify)
        world.states[ONE] = 4
        await subscriptions.look()
        assert subscriber.topics == [ONE, ONE]
        assert set(subscriptions._topics) == set()

    async def test_a_new_subscriber_does_not_hide_a_change_from_others(self) -> None:
        world, first, second = World({ONE: 1}), RecordingSubscriber(), RecordingSubscriber()
        subscriptions = subscriptions_on(world.look)
        await subscriptions.subscribe([ONE], first.notify)
        world.states[ONE] = 2
        await subscriptions.subscribe([ONE], second.notify)
        await subscriptions.look()
        assert first.topics == [ONE]

    async def test_a_topic_that_was_unreadable_at_first_counts_as_changed(self) -> None:
        world, subscriber = World(), RecordingSubscriber()
        subscriptions = subscriptions_on(world.look)
        await subscriptions.subscribe([ONE], subscriber.notify)
        world.states[ONE] = 1
        await subscriptions.look()
        await subscriptions.look()
        assert subscriber.topics == [ONE]

    async def test_a_topic_that_was_unreadable_for_a_while_is_reported_if_it_changed(self) -> None:
        world, subscriber = World({ONE: 1}), RecordingSubscriber()
        subscriptions = subscriptions_on(world.look)
        await subscriptions.subscribe([ONE], subscriber.notify)
        for state, received in ((1, []), (2, [ONE])):
            del world.states[ONE]
            await subscriptions.look()
            world.states[ONE] = state
            await subscriptions.look()
            assert subscriber.topics == received

    async def test_a_subscriber_that_leaves_during_a_look_receives_nothing_more(self) -> None:
        subscriber, leaving = RecordingSubscriber(), False

        async def look(topics: Collection[Topic]) -> Mapping[Topic, TopicState]:
            if leaving:
                subscriptions.unsubscribe([ONE], subscriber.notify)
            return {ONE: leaving}

        subscriptions = subscriptions_on(look)
        await subscriptions.subscribe([ONE], subscriber.notify)
        leaving = True
        await subscriptions.look()
        assert subscriber.topics == []

    async def test_run_looks_only_with_subscribers(self) -> None:
        world, subscriber = World({ONE: 1}), RecordingSubscriber()
        subscriptions = subscriptions_on(world.look)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(subscriptions.run)
            await subscriptions.subscribe([ONE], subscriber.notify)
            world.states[ONE] = 2
            with anyio.fail_after(30):
                await subscriber.some.wait()
            subscriptions.unsubscribe([ONE], subscriber.notify)
            assert not subscriptions._some.is_set()
            tasks.cancel_scope.cancel()
        assert subscriber.topics == [ONE]


class Fragile(MemoryBackend):
    """A store that fails on demand."""

    fails = False

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        if self.fails:
            raise StoreUnavailable("get", "no")
        return await super().get_many(keys)


@dataclass
class Scene:
    """All that is looked at, on a store that may fail."""

    backend: Fragile
    clock: FakeClock
    fabric: Fabric
    registry: Registry
    tools: ToolCache
    upstream: ScriptedUpstream
    states: TopicStates

    async def changed(self, before: Mapping[Topic, TopicState]) -> set[Topic]:
        """Return what looks different now."""
        after = await self.states.look(tuple(before))
        return {topic for topic in before if after[topic] != before[topic]}


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    backend, clock, upstream = Fragile(), FakeClock(), ScriptedUpstream()
    async with Fabric(backend, clock) as fabric:
        rows = RowStore(fabric, "alice")
        registry = Registry(rows, lambda: Seeds(()), clock)
        tools = ToolCache(fabric, upstream, "origin")
        await registry.load()
        states = TopicStates(fabric, registry, tools, NO_DOCSETS, Viewer("alice"))
        yield Scene(backend, clock, fabric, registry, tools, upstream, states)


class TestSeeing:
    async def test_nothing_changes_by_itself(self, scene: Scene) -> None:
        await scene.fabric.set_context("one", 1)
        before = await scene.states.look(EVERYTHING)
        assert set(before) == set(EVERYTHING)
        assert await scene.changed(before) == set()

    async def test_a_context_changes_when_it_is_stored_overwritten_and_deleted(
        self, scene: Scene
    ) -> None:
        for _ in range(2):
            before = await scene.states.look(EVERYTHING)
            scene.clock.forward(1)
            await scene.fabric.set_context("one", 1)
            assert await scene.changed(before) == {ONE, Scope.GLOBAL}
        before = await scene.states.look(EVERYTHING)
        await scene.fabric.delete_context("one")
        assert await scene.changed(before) == {ONE, Scope.GLOBAL}

    async def test_a_context_that_may_not_be_seen_never_changes(self, scene: Scene) -> None:
        hidden = [
            ContextTopic(Scope.GLOBAL, "docs:/a/b#bob"),
            ContextTopic(Scope.EXECUTION, "execution:1"),
            ContextTopic(Scope.USER, "note"),
        ]
        before = await scene.states.look(hidden)
        for topic in hidden:
            metadata: dict[str, Json] = {"principal": "bob", "owner": "bob"}
            await scene.fabric.set_context(topic.key, "text", topic.scope, metadata)
        assert await scene.changed(before) == set()

    @pytest.mark.parametrize("key", ["prompt:x", "router:main:system_message"])
    async def test_prompts_change_by_one_stored_rewritten_or_removed(
        self, scene: Scene, key: str
    ) -> None:
        await scene.fabric.set_context("prompt:newest", "text")
        for _ in range(2):
            before = await scene.states.look([ListTopic.PROMPTS])
            scene.clock.forward(-1)
            await scene.fabric.set_context(key, "text")
            assert await scene.changed(before) == {ListTopic.PROMPTS}
        before = await scene.states.look([ListTopic.PROMPTS])
        await scene.fabric.delete_context(key)
        assert await scene.changed(before) == {ListTopic.PROMPTS}

    async def test_tools_change_when_upstream_is_first_seen_and_when_it_says_otherwise(
        self, scene: Scene
    ) -> None:
        before = await scene.states.look(EVERYTHING)
        await scene.tools.refresh()
        assert ListTopic.TOOLS in await scene.changed(before)
        before = await scene.states.look([ListTopic.TOOLS])
        await scene.tools.refresh()
        assert await scene.changed(before) == set()
        scene.upstream.tools = ToolList(({"name": "query-docs", "description": "New."},))
        await scene.tools.refresh()
        assert await scene.changed(before) == {ListTopic.TOOLS}

    async def test_tools_change_when_another_process_hears_that_upstream_says_otherwise(
        self, scene: Scene
    ) -> None:
        await scene.tools.refresh()
        before = await scene.states.look(EVERYTHING)
        scene.upstream.tools = ToolList(({"name": "query-docs", "description": "New."},))
        await ToolCache(scene.fabric, scene.upstream, "origin").refresh()
        assert ListTopic.TOOLS in await scene.changed(before)

    async def test_a_library_changes_when_this_process_or_another_stores_its_row(
        self, scene: Scene
    ) -> None:
        before = await scene.states.look([LIBRARY, ListTopic.LIBRARIES, LibraryTopic("/c/d")])
        elsewhere = RowStore(scene.fabric, "alice")
        await elsewhere.save([ROW])
        assert await scene.changed(before) == {LIBRARY, ListTopic.LIBRARIES}
        assert scene.registry.row("/a/b") == ROW
        before = await scene.states.look([LIBRARY])
        await scene.registry.broken("/a/b")
        assert await scene.changed(before) == {LIBRARY}

    async def test_uses_that_are_not_written_yet_survive_the_rows_of_others(
        self, scene: Scene
    ) -> None:
        await scene.registry._keep([ROW])
        await scene.states.look([LIBRARY])
        scene.registry.used("/a/b")
        await RowStore(scene.fabric, "alice").save([Row("c", "npm", id="/c/c")])
        await scene.states.look([LIBRARY])
        row = scene.registry.row("/a/b")
        assert row is not None
        assert row.usage_count == 1

    async def test_a_store_that_fails_reports_no_change(self, scene: Scene) -> None:
        await scene.fabric.set_context("one", 1)
        subscriptions, subscriber = subscriptions_on(scene.states.look), RecordingSubscriber()
        await subscriptions.subscribe([ONE], subscriber.notify)
        scene.backend.fails = True
        await subscriptions.look()
        scene.backend.fails = False
        await subscriptions.look()
        assert subscriber.topics == []
        await scene.fabric.set_context("one", 2)
        await subscriptions.look()
        assert subscriber.topics == [ONE]

    async def test_an_entry_that_cannot_be_read_is_none(self, scene: Scene) -> None:
        before = await scene.states.look([ONE])
        await scene.backend.write([WriteRequest("GLOBAL/one", b"no entry")])
        assert await scene.changed(before) == set()
