"""With announced writes, only looks that find something are made, and none is missed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import anyio
import pytest

from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.change_feed import ChangeFeed, ChangeListener
from context7_fabric.fabric.context import Scope
from context7_fabric.views.subscriptions import (
    ContextTopic,
    LibraryTopic,
    ListTopic,
    Subscriptions,
    Topic,
    TopicState,
    prefixes_of,
)

PROMPT = ContextTopic(Scope.GLOBAL, "prompt:review")
NOTE = ContextTopic(Scope.USER, "note")


class Watching:
    """Subscriptions to some topics of a store that announces its writes."""

    def __init__(self) -> None:
        self.looks = 0
        self.looked = anyio.Event()
        self.state: TopicState = 1
        self.unseen = frozenset[Topic]()
        self.gate: anyio.Event | None = None
        self.received = list[Topic]()
        feed = ChangeFeed(MemoryBackend())
        feed.is_live = True
        self.listener: ChangeListener = feed.listen("")
        self.subscriptions = Subscriptions(self.look, self.listener)

    async def look(self, topics: Collection[Topic]) -> Mapping[Topic, TopicState]:
        """See `state` everywhere but at what is `unseen`, and wait at the gate with that."""
        self.looks += 1
        self.looked.set()
        states = dict.fromkeys(set(topics) - self.unseen, self.state)
        gate, self.gate = self.gate, None
        if gate is not None:
            await gate.wait()
        return states

    async def notify(self, topic: Topic) -> None:
        self.received.append(topic)

    async def looks_after(self, *keys: str, turns: int = 1) -> int:
        """Return the number of looks in so many turns after `keys` were written."""
        self.listener.take()
        self.looks = 0
        self.listener.receive(keys)
        for _turn in range(turns):
            if self.subscriptions._is_due():
                await self.subscriptions.look()
        return self.looks


@pytest.fixture
def watching() -> Watching:
    return Watching()


@pytest.mark.parametrize(
    ("topic", "written"),
    [
        (PROMPT, "GLOBAL/prompt:review"),
        (Scope.EXECUTION, "EXECUTION/execution:1"),
        (ListTopic.PROMPTS, "GLOBAL/router:main:system_message"),
        (ListTopic.PROMPTS, "GLOBAL/prompt:any"),
        (ListTopic.TOOLS, "GLOBAL/upstream:tools:https://mcp.context7.com/mcp"),
        (ListTopic.LIBRARIES, "GLOBAL/row:pypi--rich#"),
        (LibraryTopic("/textualize/rich"), "GLOBAL/rows:revision"),
    ],
)
async def test_subscriptions_look_after_a_write_to_a_topic(
    watching: Watching, topic: Topic, written: str
) -> None:
    await watching.subscriptions.subscribe([topic], watching.notify)
    assert await watching.looks_after(written) == 1
    assert await watching.looks_after("USER/elsewhere") == 0


async def test_subscriptions_without_a_write_do_not_look(watching: Watching) -> None:
    await watching.subscriptions.subscribe([PROMPT], watching.notify)
    assert await watching.looks_after(turns=10) == 0


async def test_subscriptions_without_a_write_look_rarely(watching: Watching) -> None:
    subscriptions = Subscriptions(watching.look, watching.listener, every=0.001, rarely=0.01)
    await subscriptions.subscribe([PROMPT], watching.notify)
    watching.listener.take()
    watching.looked = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(subscriptions.run)
        with anyio.fail_after(30):
            await watching.looked.wait()
        tasks.cancel_scope.cancel()


class TestFailedLook:
    """A failed look is repeated at the next turn, without another write."""

    async def test_is_repeated_without_another_write(self, watching: Watching) -> None:
        await watching.subscriptions.subscribe([PROMPT, NOTE], watching.notify)
        watching.state, watching.unseen = 2, frozenset({PROMPT})
        assert await watching.looks_after("GLOBAL/prompt:review", turns=3) == 3
        assert watching.received == [NOTE]
        watching.unseen = frozenset()
        assert await watching.looks_after(turns=3) == 1
        assert watching.received == [NOTE, PROMPT]

    async def test_as_the_first_is_repeated(self, watching: Watching) -> None:
        watching.unseen = frozenset({PROMPT})
        await watching.subscriptions.subscribe([PROMPT, NOTE], watching.notify)
        watching.unseen = frozenset()
        assert await watching.looks_after(turns=3) == 1
        assert watching.received == [PROMPT]

    async def test_beside_the_first_of_a_new_subscriber_is_repeated(
        self, watching: Watching
    ) -> None:
        gate = watching.gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watching.subscriptions.subscribe, [PROMPT], watching.notify)
            await anyio.wait_all_tasks_blocked()
            watching.state, watching.unseen = 2, frozenset({PROMPT})
            assert await watching.looks_after("GLOBAL/prompt:review") == 1
            gate.set()
        watching.unseen = frozenset()
        assert await watching.looks_after(turns=3) == 1
        assert watching.received == [PROMPT]

    async def test_without_subscribers_is_not_repeated(self, watching: Watching) -> None:
        watching.unseen = frozenset({PROMPT})
        await watching.subscriptions.subscribe([PROMPT, NOTE], watching.notify)
        watching.subscriptions.unsubscribe([PROMPT], watching.notify)
        assert await watching.looks_after(turns=3) == 0


@pytest.mark.parametrize("topic", [*Scope, *ListTopic, PROMPT, LibraryTopic("/a/b")])
def test_every_topic_has_prefixes(topic: Topic) -> None:
    assert all(start.partition("/")[0] in Scope.__members__ for start in prefixes_of(topic))
