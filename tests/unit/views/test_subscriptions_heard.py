"""Where it can be heard what was written, nobody looks in vain, and nothing is overlooked."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import anyio
import pytest

from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.change_feed import ChangeFeed, ChangeListener
from context7_fabric.fabric.context import Scope
from context7_fabric.views import subscriptions as module
from context7_fabric.views.subscriptions import (
    ContextTopic,
    LibraryTopic,
    ListTopic,
    Subscriptions,
    Topic,
    TopicState,
    below,
)

PROMPT = ContextTopic(Scope.GLOBAL, "prompt:review")
NOTE = ContextTopic(Scope.USER, "note")


class Watching:
    """Changes that watch some topics of a store that can be heard."""

    def __init__(self) -> None:
        self.looks = 0
        self.looked = anyio.Event()
        self.state: TopicState = 1
        self.unseen = frozenset[Topic]()
        self.gate: anyio.Event | None = None
        self.told = list[Topic]()
        news = ChangeFeed(MemoryBackend())
        news.is_live = True
        self.ear: ChangeListener = news.listen("")
        self.changes = Subscriptions(self.look, self.ear)

    async def look(self, topics: Collection[Topic]) -> Mapping[Topic, TopicState]:
        """See `state` everywhere but at what is `unseen`, and wait at the gate with that."""
        self.looks += 1
        self.looked.set()
        states = dict.fromkeys(set(topics) - self.unseen, self.state)
        gate, self.gate = self.gate, None
        if gate is not None:
            await gate.wait()
        return states

    async def hear(self, topic: Topic) -> None:
        self.told.append(topic)

    async def looks_after(self, *keys: str, turns: int = 1) -> int:
        """How often it is looked in so many turns after `keys` were written."""
        self.ear.take()
        self.looks = 0
        self.ear.receive(keys)
        for _turn in range(turns):
            if self.changes._is_due():
                await self.changes.look()
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
async def test_what_concerns_a_topic_is_looked_at(
    watching: Watching, topic: Topic, written: str
) -> None:
    await watching.changes.watch([topic], watching.hear)
    assert await watching.looks_after(written) == 1
    assert await watching.looks_after("USER/elsewhere") == 0


async def test_nothing_is_looked_at_while_nothing_is_written(watching: Watching) -> None:
    await watching.changes.watch([PROMPT], watching.hear)
    assert await watching.looks_after(turns=10) == 0


async def test_what_ends_by_itself_is_looked_for_now_and_then(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.001)
    monkeypatch.setattr(module, "SELDOM", 0.01)
    await watching.changes.watch([PROMPT], watching.hear)
    watching.ear.take()
    watching.looked = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watching.changes.run)
        with anyio.fail_after(5):
            await watching.looked.wait()
        tasks.cancel_scope.cancel()


class TestALookThatEndsBadly:
    """What was heard before it is not forgotten: it is looked again at the next turn."""

    async def test_is_made_up_for_without_more_news(self, watching: Watching) -> None:
        await watching.changes.watch([PROMPT, NOTE], watching.hear)
        watching.state, watching.unseen = 2, frozenset({PROMPT})
        assert await watching.looks_after("GLOBAL/prompt:review", turns=3) == 3
        assert watching.told == [NOTE]
        watching.unseen = frozenset()
        assert await watching.looks_after(turns=3) == 1
        assert watching.told == [NOTE, PROMPT]

    async def test_as_the_first_is_made_up_for_as_well(self, watching: Watching) -> None:
        watching.unseen = frozenset({PROMPT})
        await watching.changes.watch([PROMPT, NOTE], watching.hear)
        watching.unseen = frozenset()
        assert await watching.looks_after(turns=3) == 1
        assert watching.told == [PROMPT]

    async def test_beside_a_newcomers_first_is_made_up_for_as_well(
        self, watching: Watching
    ) -> None:
        gate = watching.gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watching.changes.watch, [PROMPT], watching.hear)
            await anyio.wait_all_tasks_blocked()
            watching.state, watching.unseen = 2, frozenset({PROMPT})
            assert await watching.looks_after("GLOBAL/prompt:review") == 1
            gate.set()
        watching.unseen = frozenset()
        assert await watching.looks_after(turns=3) == 1
        assert watching.told == [PROMPT]

    async def test_at_what_nobody_watches_any_more_is_nobodys(self, watching: Watching) -> None:
        watching.unseen = frozenset({PROMPT})
        await watching.changes.watch([PROMPT, NOTE], watching.hear)
        watching.changes.unwatch([PROMPT], watching.hear)
        assert await watching.looks_after(turns=3) == 0


@pytest.mark.parametrize("topic", [*Scope, *ListTopic, PROMPT, LibraryTopic("/a/b")])
def test_every_topic_lies_somewhere(topic: Topic) -> None:
    assert all(start.partition("/")[0] in Scope.__members__ for start in below(topic))
