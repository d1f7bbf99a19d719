"""One client and what it is to be told of, whichever era it is of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TypeAlias

import anyio
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    PromptsListChanged,
    ResourceUpdated,
    ToolsListChanged,
)

from context7_fabric.protocol.resource_uris import (
    EntryUri,
    IndexUri,
    LibraryUri,
    RegistryUri,
    StatsUri,
    read_uri,
)
from context7_fabric.services.changes import Changes
from context7_fabric.services.topics import Listing, OneContext, OneLibrary, Topic

MOST = 1_000
"""Subscriptions that one client, or one stream of a client, may have."""

Notice: TypeAlias = PromptsListChanged | ToolsListChanged | ResourceUpdated
"""What a client may be told of; the list of resources is fixed."""

Tell: TypeAlias = Callable[[Notice], Awaitable[None]]


class TooManySubscriptions(Exception):
    """A client asks to be told of more than `MOST` things."""


def topic_of(notice: Notice) -> Topic | None:
    """Return what has to change for `notice` to be due, None for one that never is."""
    match notice:
        case PromptsListChanged():
            return Listing.PROMPTS
        case ToolsListChanged():
            return Listing.TOOLS
        case ResourceUpdated(uri=uri):
            return _topic_at(uri)


def _topic_at(uri: str) -> Topic | None:
    match read_uri(uri):
        case EntryUri(scope=scope, key=key):
            return OneContext(scope, key)
        case IndexUri(scope=scope):
            return scope
        case LibraryUri(library=library):
            return OneLibrary(library.base)
        case RegistryUri():
            return Listing.LIBRARIES
        case StatsUri() | None:
            return None


class Subscriber:
    """Passes on the changes that it was asked for, each as it was asked for."""

    def __init__(self, changes: Changes, tell: Tell) -> None:
        """Hear of `changes`; `tell` must neither raise nor wait for anybody."""
        self._changes = changes
        self._tell = tell
        self._topics: dict[Notice, Topic] = {}

    async def add(self, notices: Collection[Notice]) -> None:
        """Tell of `notices` from now on, as far as they are ever due.

        Raises:
            TooManySubscriptions: Nothing was added.
        """
        asked = {notice: topic_of(notice) for notice in notices if notice not in self._topics}
        new = {notice: topic for notice, topic in asked.items() if topic is not None}
        if len(self._topics) + len(new) > MOST:
            raise TooManySubscriptions
        self._topics |= new
        await self._changes.watch(tuple(new.values()), self._hear)

    def remove(self, notice: Notice) -> None:
        """Tell of `notice` no more."""
        topic = self._topics.pop(notice, None)
        if topic is not None:
            self._changes.unwatch([topic], self._hear)

    def close(self) -> None:
        """Tell of nothing more."""
        for notice in tuple(self._topics):
            self.remove(notice)

    async def _hear(self, topic: Topic) -> None:
        for notice in [notice for notice, each in self._topics.items() if each == topic]:
            await self._tell(notice)


class Mailbox:
    """What is on its way to a client that may be slow: each notice once, however often it came."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._due: dict[Notice, None] = {}
        self._some = anyio.Event()

    async def put(self, notice: Notice) -> None:
        """Let `notice` be sent, without waiting for it."""
        self._due[notice] = None
        self._some.set()

    async def deliver(self, session: ServerSession) -> None:
        """Send to a client of the legacy era what comes; runs until it is cancelled."""
        while True:
            await self._some.wait()
            self._some = anyio.Event()
            while self._due:
                notice = next(iter(self._due))
                del self._due[notice]
                await _send(session, notice)


async def _send(session: ServerSession, notice: Notice) -> None:
    match notice:
        case ResourceUpdated(uri=uri):
            await session.send_resource_updated(uri)
        case PromptsListChanged():
            await session.send_prompt_list_changed()
        case ToolsListChanged():
            await session.send_tool_list_changed()
