"""Subscriptions to topics, and the repeated look at the store that detects their changes.

A change by this process and one by another process on the same store are detected alike.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

import anyio
from anyio import to_thread

from context7_fabric.docsets.library import DocsetLibrary
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
from context7_fabric.views.libraries import docsets_of
from context7_fabric.views.prompts import PROMPTS, ROUTERS
from context7_fabric.views.visibility import is_visible


class ListTopic(Enum):
    """A list that exists once."""

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
    """The registry's row and the docsets of the library with this id (no version)."""

    library_id: str


Topic: TypeAlias = ListTopic | Scope | ContextTopic | LibraryTopic

TopicState = object
"""State of a topic at one time; it equals another exactly if nothing changed."""

log = logging.getLogger(__name__)

MOST_PROMPTS = 1_000
"""Stored prompts of either kind, the newest, that are compared; of others only the number."""


def prefixes_of(topic: Topic) -> tuple[str, ...]:
    """Return the prefixes of the keys that are written whenever `topic` changes."""
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
    """States of topics as one viewer sees the fabric, the registry, the tools and the docsets."""

    def __init__(
        self,
        fabric: Fabric,
        registry: Registry,
        tools: ToolCache,
        docsets: DocsetLibrary,
        viewer: Viewer,
    ) -> None:
        """Look at these."""
        self._fabric = fabric
        self._registry = registry
        self._tools = tools
        self._docsets = docsets
        self._viewer = viewer

    async def look(self, topics: Collection[Topic]) -> dict[Topic, TopicState]:
        """Return the states of `topics`, without those that the store fails to read."""
        found: dict[Topic, TopicState] = {}
        try:
            await self._look(topics, found)
        except StoreError as error:
            log.debug("changes cannot be seen: %s", error)
        return found

    async def stamp(self, topics: Collection[Topic]) -> object:
        """Return a value that changes when one of `topics` may have, other than by the store."""
        if any(isinstance(topic, LibraryTopic) or topic is ListTopic.LIBRARIES for topic in topics):
            return await to_thread.run_sync(self._docsets.revision)
        return None

    async def _look(self, topics: Collection[Topic], found: dict[Topic, TopicState]) -> None:
        contexts = [topic for topic in topics if isinstance(topic, ContextTopic)]
        found.update(await self._contexts(contexts))
        if any(isinstance(topic, LibraryTopic) or topic is ListTopic.LIBRARIES for topic in topics):
            await self._catch_up()
        for topic in topics:
            if not isinstance(topic, ContextTopic):
                found[topic] = await self._state(topic)

    async def _state(self, topic: ListTopic | Scope | LibraryTopic) -> TopicState:
        match topic:
            case LibraryTopic():
                docsets = await docsets_of(self._docsets, topic.library_id, self._viewer)
                return self._registry.row(topic.library_id), docsets
            case Scope():
                return await self._newest(topic, "", 1)
            case ListTopic.LIBRARIES:
                held = await to_thread.run_sync(self._docsets.all, self._viewer)
                return self._registry.rows(), {docset.id for docset in held}
            case ListTopic.TOOLS:
                return await self._tools.stored()
            case ListTopic.PROMPTS:
                prompts = await self._newest(Scope.GLOBAL, PROMPTS, MOST_PROMPTS)
                return prompts, await self._newest(Scope.GLOBAL, ROUTERS, MOST_PROMPTS)

    async def _contexts(self, topics: Sequence[ContextTopic]) -> dict[Topic, TopicState]:
        """Return version and time of each context; None for one that cannot be seen."""
        if not topics:
            return {}
        addresses = {address(topic.scope, topic.key): topic for topic in topics}
        entries = await self._fabric.backend.get_many(list(addresses))
        return dict.fromkeys(topics) | await to_thread.run_sync(self._all_seen, addresses, entries)

    def _all_seen(
        self, addresses: Mapping[str, ContextTopic], entries: Sequence[BackendEntry]
    ) -> dict[Topic, TopicState]:
        return {addresses[each.key]: self._seen(addresses[each.key], each) for each in entries}

    def _seen(self, topic: ContextTopic, entry: BackendEntry) -> TopicState:
        try:
            context = decode(topic.key, topic.scope, entry.value, entry.version)
        except CorruptEntry:
            return None
        return (context.version, context.created_at) if is_visible(context, self._viewer) else None

    async def _newest(self, scope: Scope, prefix: str, most: int) -> TopicState:
        start, backend = address(scope, prefix), self._fabric.backend
        newest = await backend.newest(start, None, most)
        return newest, await to_thread.run_sync(backend.dbsize, start)

    async def _catch_up(self) -> None:
        """Let the registry read what other processes wrote: by itself it does so rarely."""
        if self._registry.loaded.is_set():
            await self._registry.catch_up()


LOOK_EVERY = 0.4
"""Seconds between two looks."""

RARELY = 5.0
"""Seconds between two looks while the store announces its writes: it does not announce expiry."""

Notify: TypeAlias = Callable[[Topic], Awaitable[None]]
"""Receives a topic that changed; it must neither raise nor wait."""

Look: TypeAlias = Callable[[Collection[Topic]], Awaitable[Mapping[Topic, TopicState]]]
"""Returns the states of topics that can be read."""

Stamp: TypeAlias = Callable[[Collection[Topic]], Awaitable[object]]
"""Returns a value that changes when a topic may have changed without a write to the store."""

_NEW: Final = object()
"""State of a topic before its first look."""

_UNREADABLE: Final = object()
"""State of a topic whose first look failed: it differs from every state, as it may change."""


@dataclass(slots=True)
class _Watched:
    """One topic: its last state, its subscribers, and whether the last look at it failed."""

    state: TopicState = _NEW
    subscribers: list[Notify] = field(default_factory=list)
    is_due: bool = False

    def update(self, state: TopicState) -> bool:
        """Set the state; return whether it changed."""
        changed = self.state is not _NEW and self.state != state
        self.state, self.is_due = state, False
        return changed


class Subscriptions:
    """Notifies subscribers of each change once; two changes between looks are one."""

    def __init__(
        self,
        look: Look,
        listener: ChangeListener,
        every: float = LOOK_EVERY,
        rarely: float = RARELY,
        *,
        stamp: Stamp | None = None,
    ) -> None:
        """Look by `look` after `every` seconds, or `rarely` while nothing reports a change.

        `listener` reports writes to the store, `stamp` other changes.
        """
        self._look = look
        self._listener = listener
        self._read_stamp = stamp
        self._stamp: object = None
        self._every = every
        self._rarely = rarely
        self._quiet = 0.0
        self._topics: dict[Topic, _Watched] = {}
        self._some = anyio.Event()

    async def subscribe(self, topics: Collection[Topic], notify: Notify) -> None:
        """Call `notify` for every change to `topics` that comes after this call.

        A topic that cannot be read now counts as changed once it can: a notification too many does
        no harm. A caller that is cancelled here still has to `unsubscribe`.
        """
        for topic in topics:
            self._topics.setdefault(topic, _Watched()).subscribers.append(notify)
        if topics:
            self._some.set()
        new = [each for each in topics if self._topics[each].state is _NEW]
        states = await self._look(new)
        for topic in new:
            watched = self._topics.get(topic)
            if watched is not None and watched.state is _NEW:
                watched.state = states.get(topic, _UNREADABLE)
                watched.is_due |= topic not in states

    def unsubscribe(self, topics: Collection[Topic], notify: Notify) -> None:
        """Undo one `subscribe` with the same arguments."""
        for topic in topics:
            watched = self._topics[topic]
            watched.subscribers.remove(notify)
            if not watched.subscribers:
                del self._topics[topic]
        if not self._topics:
            self._some = anyio.Event()

    async def run(self) -> None:
        """Look again and again while there are subscribers; runs until it is cancelled."""
        while True:
            await self._some.wait()
            await anyio.sleep(self._every)
            self._quiet += self._every
            if await self._has_new_stamp() or self._is_due():
                self._quiet = 0.0
                await self.look()

    async def _has_new_stamp(self) -> bool:
        """Tell whether a topic may have changed without a write to the store."""
        if self._read_stamp is None:
            return False
        before, self._stamp = self._stamp, await self._read_stamp(tuple(self._topics))
        return before != self._stamp

    def _is_due(self) -> bool:
        written = self._listener.take()
        if written is None or self._quiet >= self._rarely:
            return True
        if any(watched.is_due for watched in self._topics.values()):
            return True
        prefixes = tuple(prefix for topic in self._topics for prefix in prefixes_of(topic))
        return any(key.startswith(prefixes) for key in written)

    async def look(self) -> None:
        """Look once, and notify the subscribers of what changed since the last look."""
        topics = tuple(self._topics)
        states = await self._look(topics)
        for topic, subscribers in self._changed(topics, states).items():
            for notify in dict.fromkeys(subscribers):
                await notify(topic)

    def _changed(
        self, topics: Collection[Topic], states: Mapping[Topic, TopicState]
    ) -> dict[Topic, tuple[Notify, ...]]:
        """Return the subscribers of the `topics` that changed; mark those that were not read."""
        changed = {}
        for topic in topics:
            watched = self._topics.get(topic)
            if watched is None:
                continue
            if topic not in states:
                watched.is_due = True
            elif watched.update(states[topic]):
                changed[topic] = tuple(watched.subscribers)
        return changed
