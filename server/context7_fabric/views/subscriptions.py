"""Who wants to be told of what, and looking for it again and again while anybody does.

A change by this process and one by another on the same store are seen in the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

import anyio
from anyio import to_thread

from context7_fabric.errors import CorruptEntry, StoreError
from context7_fabric.fabric.backend import BackendEntry
from context7_fabric.fabric.change_feed import ChangeListener
from context7_fabric.fabric.codec import decode
from context7_fabric.fabric.context import Scope, address
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Viewer
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.row_store import WRITTEN
from context7_fabric.upstream.tool_cache import LISTED, ToolCache
from context7_fabric.views.prompts import PROMPTS, ROUTERS
from context7_fabric.views.visibility import visible


class ListTopic(Enum):
    """A list that there is one of."""

    PROMPTS = "prompts"
    TOOLS = "tools"
    LIBRARIES = "libraries"


@dataclass(frozen=True, slots=True)
class ContextTopic:
    """The context under one key."""

    scope: Scope
    key: str


@dataclass(frozen=True, slots=True)
class LibraryTopic:
    """What the registry knows of the library with this id (no version)."""

    library_id: str


Topic: TypeAlias = ListTopic | Scope | ContextTopic | LibraryTopic


log = logging.getLogger(__name__)

MOST_PROMPTS = 1_000
"""Stored prompts of either kind, the newest, that are looked at; of others only the number."""

TopicState = object
"""Equal to another exactly if nothing changed; it means nothing else."""


def below(topic: Topic) -> tuple[str, ...]:
    """Return where in the store something is written whenever `topic` changes."""
    match topic:
        case Scope():
            return (address(topic, ""),)
        case ContextTopic():
            return (address(topic.scope, topic.key),)
        case ListTopic.TOOLS:
            return (address(Scope.GLOBAL, LISTED),)
        case ListTopic.PROMPTS:
            return address(Scope.GLOBAL, PROMPTS), address(Scope.GLOBAL, ROUTERS)
        case LibraryTopic() | ListTopic.LIBRARIES:
            return WRITTEN


class TopicStates:
    """What one principal sees of the fabric, the registry and the tools."""

    def __init__(
        self,
        fabric: Fabric,
        registry: Registry,
        tools: ToolCache,
        viewer: Viewer,
    ) -> None:
        """Look at these."""
        self._fabric = fabric
        self._registry = registry
        self._tools = tools
        self._viewer = viewer

    async def look(self, topics: Collection[Topic]) -> dict[Topic, TopicState]:
        """Return the states of `topics`, without those that the store does not tell."""
        found: dict[Topic, TopicState] = {}
        try:
            await self._look(topics, found)
        except StoreError as error:
            log.debug("changes cannot be seen: %s", error)
        return found

    async def _look(self, topics: Collection[Topic], found: dict[Topic, TopicState]) -> None:
        contexts = [topic for topic in topics if isinstance(topic, ContextTopic)]
        found.update(await self._contexts(contexts))
        if any(isinstance(topic, LibraryTopic) or topic is ListTopic.LIBRARIES for topic in topics):
            await self._read_rows_again()
        for topic in topics:
            if not isinstance(topic, ContextTopic):
                found[topic] = await self._state(topic)

    async def _state(self, topic: ListTopic | Scope | LibraryTopic) -> TopicState:
        match topic:
            case LibraryTopic():
                return self._registry.row(topic.library_id)
            case Scope():
                return await self._below(topic, "", 1)
            case ListTopic.LIBRARIES:
                return self._registry.rows()
            case ListTopic.TOOLS:
                return await self._tools.stored()
            case ListTopic.PROMPTS:
                prompts = await self._below(Scope.GLOBAL, PROMPTS, MOST_PROMPTS)
                return prompts, await self._below(Scope.GLOBAL, ROUTERS, MOST_PROMPTS)

    async def _contexts(self, topics: Sequence[ContextTopic]) -> dict[Topic, TopicState]:
        """Return when each was stored, and how often; None for what is not there to be seen."""
        if not topics:
            return {}
        addresses = {address(topic.scope, topic.key): topic for topic in topics}
        entries = await self._fabric.backend.get_many(list(addresses))
        marks = await to_thread.run_sync(self._marks, addresses, entries)
        return dict.fromkeys(topics) | marks

    def _marks(
        self, addresses: dict[str, ContextTopic], entries: Sequence[BackendEntry]
    ) -> dict[Topic, TopicState]:
        return {addresses[each.key]: self._mark(addresses[each.key], each) for each in entries}

    def _mark(self, topic: ContextTopic, entry: BackendEntry) -> TopicState:
        try:
            context = decode(topic.key, topic.scope, entry.value, entry.version)
        except CorruptEntry:
            return None
        seen = visible(context, self._viewer.principal, self._viewer.owner)
        return (context.version, context.created_at) if seen else None

    async def _below(self, scope: Scope, prefix: str, most: int) -> TopicState:
        start, backend = address(scope, prefix), self._fabric.backend
        newest = await backend.newest(start, None, most)
        return newest, await to_thread.run_sync(backend.dbsize, start)

    async def _read_rows_again(self) -> None:
        """Let the registry see what others wrote: it looks by itself only now and then."""
        if self._registry.loaded.is_set():
            await self._registry.catch_up()


LOOK_EVERY = 0.4
"""Seconds between two looks."""

SELDOM = 5.0
"""The same while it can be heard that nothing was written: what ends by itself is not announced."""

Hear: TypeAlias = Callable[[Topic], Awaitable[None]]
"""Is told of a topic that changed. It must neither raise nor wait for anybody."""

Look: TypeAlias = Callable[[Collection[Topic]], Awaitable[Mapping[Topic, TopicState]]]
"""Returns the states of topics, as far as they can be had."""

_UNKNOWN: Final = object()
_UNSEEN: Final = object()
"""How a topic stands whose first look failed: it differs from every state, as it may change."""


@dataclass(slots=True)
class _Watched:
    """One topic: how it was last seen, who hears of it, and whether the last look at it failed."""

    state: TopicState = _UNKNOWN
    hearers: list[Hear] = field(default_factory=list)
    is_due: bool = False

    @property
    def is_new(self) -> bool:
        """Tell whether it was never looked at."""
        return self.state is _UNKNOWN

    def see(self, state: TopicState) -> bool:
        """Take in how it is now; tell whether it changed."""
        changed = not self.is_new and self.state != state
        self.state, self.is_due = state, False
        return changed


class Subscriptions:
    """Tells of each change once; two at one look are one."""

    def __init__(self, look: Look, ear: ChangeListener) -> None:
        """Look by `look` where `ear` has not heard that it is in vain; first when `run`."""
        self._look = look
        self._ear = ear
        self._quiet = 0.0
        self._watched: dict[Topic, _Watched] = {}
        self._some = anyio.Event()

    @property
    def watched(self) -> Collection[Topic]:
        """What somebody is told of now."""
        return self._watched.keys()

    async def watch(self, topics: Collection[Topic], hear: Hear) -> None:
        """Tell `hear` of every change to `topics` that comes after this call.

        What cannot be seen now counts as changed once it can: one notice too many does no harm.
        Who is cancelled in it has to `unwatch` all the same.
        """
        for topic in topics:
            self._watched.setdefault(topic, _Watched()).hearers.append(hear)
        if topics:
            self._some.set()
        new = [each for each in topics if self._watched[each].is_new]
        states = await self._look(new)
        for topic in new:
            watched = self._watched.get(topic)
            if watched is not None and watched.is_new:
                watched.state = states.get(topic, _UNSEEN)
                watched.is_due |= topic not in states

    def unwatch(self, topics: Collection[Topic], hear: Hear) -> None:
        """Take back one `watch` of the same."""
        for topic in topics:
            watched = self._watched[topic]
            watched.hearers.remove(hear)
            if not watched.hearers:
                del self._watched[topic]
        if not self._watched:
            self._some = anyio.Event()

    async def run(self) -> None:
        """Look again and again while anything is watched; runs until it is cancelled."""
        while True:
            await self._some.wait()
            await anyio.sleep(LOOK_EVERY)
            self._quiet += LOOK_EVERY
            if self._is_due():
                self._quiet = 0.0
                await self.look()

    def _is_due(self) -> bool:
        written = self._ear.take()
        if written is None or self._quiet >= SELDOM:
            return True
        if any(watched.is_due for watched in self._watched.values()):
            return True
        concerned = tuple(start for topic in self._watched for start in below(topic))
        return any(key.startswith(concerned) for key in written)

    async def look(self) -> None:
        """Look once, and tell of what changed since the last look."""
        topics = tuple(self._watched)
        states = await self._look(topics)
        for topic, hearers in self._changed(topics, states).items():
            for hear in dict.fromkeys(hearers):
                await hear(topic)

    def _changed(
        self, topics: Collection[Topic], states: Mapping[Topic, TopicState]
    ) -> dict[Topic, tuple[Hear, ...]]:
        """Return who hears of which of the `topics` that were looked at; note what is unseen."""
        changed = {}
        for topic in topics:
            watched = self._watched.get(topic)
            if watched is None:
                continue
            if topic not in states:
                watched.is_due = True
            elif watched.see(states[topic]):
                changed[topic] = tuple(watched.hearers)
        return changed
