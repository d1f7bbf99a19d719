"""How things stand: a value for each topic, which differs from an earlier one if it changed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from anyio import to_thread

from context7_fabric.errors import CorruptEntry, StoreError
from context7_fabric.fabric.backends.base import Entry
from context7_fabric.fabric.codec import decode
from context7_fabric.fabric.context import Scope, address
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.row_store import WRITTEN
from context7_fabric.services.prompts import PROMPTS, ROUTERS
from context7_fabric.services.topics import Listing, OneContext, OneLibrary, Topic
from context7_fabric.services.views import Viewer, visible
from context7_fabric.upstream.tool_cache import LISTED, ToolBook

log = logging.getLogger(__name__)

MOST_PROMPTS = 1_000
"""Stored prompts of either kind, the newest, that are looked at; of others only the number."""

State = object
"""Equal to another exactly if nothing changed; it means nothing else."""


def below(topic: Topic) -> tuple[str, ...]:
    """Return where in the store something is written whenever `topic` changes."""
    match topic:
        case Scope():
            return (address(topic, ""),)
        case OneContext():
            return (address(topic.scope, topic.key),)
        case Listing.TOOLS:
            return (address(Scope.GLOBAL, LISTED),)
        case Listing.PROMPTS:
            return address(Scope.GLOBAL, PROMPTS), address(Scope.GLOBAL, ROUTERS)
        case OneLibrary() | Listing.LIBRARIES:
            return WRITTEN


class States:
    """What one principal sees of the fabric, the registry and the tools."""

    def __init__(
        self,
        fabric: Fabric,
        registry: Registry,
        tools: ToolBook,
        viewer: Viewer,
    ) -> None:
        """Look at these."""
        self._fabric = fabric
        self._registry = registry
        self._tools = tools
        self._viewer = viewer

    async def look(self, topics: Collection[Topic]) -> dict[Topic, State]:
        """Return the states of `topics`, without those that the store does not tell."""
        found: dict[Topic, State] = {}
        try:
            await self._look(topics, found)
        except StoreError as error:
            log.debug("changes cannot be seen: %s", error)
        return found

    async def _look(self, topics: Collection[Topic], found: dict[Topic, State]) -> None:
        contexts = [topic for topic in topics if isinstance(topic, OneContext)]
        found.update(await self._contexts(contexts))
        if any(isinstance(topic, OneLibrary) or topic is Listing.LIBRARIES for topic in topics):
            await self._read_rows_again()
        for topic in topics:
            if not isinstance(topic, OneContext):
                found[topic] = await self._state(topic)

    async def _state(self, topic: Listing | Scope | OneLibrary) -> State:
        match topic:
            case OneLibrary():
                return self._registry.row(topic.library_id)
            case Scope():
                return await self._below(topic, "", 1)
            case Listing.LIBRARIES:
                return self._registry.rows()
            case Listing.TOOLS:
                return await self._tools.stored()
            case Listing.PROMPTS:
                prompts = await self._below(Scope.GLOBAL, PROMPTS, MOST_PROMPTS)
                return prompts, await self._below(Scope.GLOBAL, ROUTERS, MOST_PROMPTS)

    async def _contexts(self, topics: Sequence[OneContext]) -> dict[Topic, State]:
        """Return when each was stored, and how often; None for what is not there to be seen."""
        if not topics:
            return {}
        addresses = {address(topic.scope, topic.key): topic for topic in topics}
        entries = await self._fabric.backend.get_many(list(addresses))
        marks = await to_thread.run_sync(self._marks, addresses, entries)
        return dict.fromkeys(topics) | marks

    def _marks(
        self, addresses: dict[str, OneContext], entries: Sequence[Entry]
    ) -> dict[Topic, State]:
        return {addresses[each.key]: self._mark(addresses[each.key], each) for each in entries}

    def _mark(self, topic: OneContext, entry: Entry) -> State:
        try:
            context = decode(topic.key, topic.scope, entry.value, entry.version)
        except CorruptEntry:
            return None
        seen = visible(context, self._viewer.principal, self._viewer.owner)
        return (context.version, context.created_at) if seen else None

    async def _below(self, scope: Scope, prefix: str, most: int) -> State:
        start, backend = address(scope, prefix), self._fabric.backend
        newest = await backend.newest(start, None, most)
        return newest, await to_thread.run_sync(backend.dbsize, start)

    async def _read_rows_again(self) -> None:
        """Let the registry see what others wrote: it looks by itself only now and then."""
        if self._registry.loaded.is_set():
            await self._registry.catch_up()
