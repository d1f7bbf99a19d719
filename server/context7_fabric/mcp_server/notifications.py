"""Notices of changes: to clients of the legacy era as they subscribed, to others by a stream.

A legacy client is told on the channel of its connection, where it has one: over stdio and `/sse`.
Over `/mcp` each of its requests is a connection of its own, and nothing is promised there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel import NotificationOptions
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError

from context7_fabric.mcp_server.tools import HandlerContext, has_channel
from context7_fabric.mcp_server.uris import (
    EntryUri,
    IndexUri,
    LibraryUri,
    RegistryUri,
    StatsUri,
    read_uri,
)
from context7_fabric.views.subscriptions import (
    ContextTopic,
    LibraryTopic,
    ListTopic,
    Subscriptions,
    Topic,
)

MOST = 1_000
"""Subscriptions that one client, or one stream of a client, may have."""

Notification: TypeAlias = PromptsListChanged | ToolsListChanged | ResourceUpdated
"""What a client may be told of; the list of resources is fixed."""

Tell: TypeAlias = Callable[[Notification], Awaitable[None]]


class TooManySubscriptions(Exception):
    """A client asks to be told of more than `MOST` things."""


def topic_of(notice: Notification) -> Topic | None:
    """Return what has to change for `notice` to be due, None for one that never is."""
    match notice:
        case PromptsListChanged():
            return ListTopic.PROMPTS
        case ToolsListChanged():
            return ListTopic.TOOLS
        case ResourceUpdated(uri=uri):
            return _topic_at(uri)


def _topic_at(uri: str) -> Topic | None:
    match read_uri(uri):
        case EntryUri(scope=scope, key=key):
            return ContextTopic(scope, key)
        case IndexUri(scope=scope):
            return scope
        case LibraryUri(library=library):
            return LibraryTopic(library.base)
        case RegistryUri():
            return ListTopic.LIBRARIES
        case StatsUri() | None:
            return None


class Subscriber:
    """Passes on the changes that it was asked for, each as it was asked for."""

    def __init__(self, changes: Subscriptions, tell: Tell) -> None:
        """Hear of `changes`; `tell` must neither raise nor wait for anybody."""
        self._changes = changes
        self._tell = tell
        self._topics: dict[Notification, Topic] = {}

    async def add(self, notices: Collection[Notification]) -> None:
        """Tell of `notices` from now on, as far as they are ever due.

        Raises:
            TooManySubscriptions: Nothing was added.
        """
        asked = {notice: topic_of(notice) for notice in notices if notice not in self._topics}
        new = {notice: topic for notice, topic in asked.items() if topic is not None}
        if len(self._topics) + len(new) > MOST:
            raise TooManySubscriptions
        self._topics |= new
        await self._changes.subscribe(tuple(new.values()), self._hear)

    def remove(self, notice: Notification) -> None:
        """Tell of `notice` no more."""
        topic = self._topics.pop(notice, None)
        if topic is not None:
            self._changes.unsubscribe([topic], self._hear)

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
        self._due: dict[Notification, None] = {}
        self._some = anyio.Event()

    async def put(self, notice: Notification) -> None:
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


async def _send(session: ServerSession, notice: Notification) -> None:
    match notice:
        case ResourceUpdated(uri=uri):
            await session.send_resource_updated(uri)
        case PromptsListChanged():
            await session.send_prompt_list_changed()
        case ToolsListChanged():
            await session.send_tool_list_changed()


PUSHED = NotificationOptions(prompts_changed=True, tools_changed=True)
"""What a transport promises legacy clients when it can reach them at any time."""

MOST_STREAMS = 256
"""Streams of notices that may be open at once."""

PATIENCE = 0.5
"""Seconds that `initialize` waits for a store which does not say how things stand."""

_GREETINGS = ("initialize", "notifications/initialized")

_SHOWN = 500
"""Characters of a URI that an error repeats."""


@dataclass(slots=True)
class _Line:
    """The way to one connection's client; its mailbox is emptied once the client is ready."""

    subscriber: Subscriber
    mailbox: Mailbox
    tasks: TaskGroup
    is_open: bool = False

    def open(self, session: ServerSession) -> None:
        """Send what is in the mailbox, and what comes."""
        if not self.is_open:
            self.is_open = True
            self.tasks.start_soon(self.mailbox.deliver, session)


class Notifications:
    """Takes subscriptions of both eras, and forgets them with the connection."""

    def __init__(self, changes: Subscriptions) -> None:
        """Tell of `changes`."""
        self._changes = changes
        self._lines: dict[str, _Line] = {}
        self._streams = 0

    @asynccontextmanager
    async def connection(self, name: str) -> AsyncGenerator[None]:
        """Keep what is needed for the connection `name` as long as it lasts."""
        mailbox = Mailbox()
        subscriber = Subscriber(self._changes, mailbox.put)
        async with anyio.create_task_group() as tasks:
            self._lines[name] = _Line(subscriber, mailbox, tasks)
            try:
                yield
            finally:
                del self._lines[name]
                subscriber.close()
                tasks.cancel_scope.cancel()

    async def greet(self, ctx: HandlerContext, call_next: CallNext) -> HandlerResult:
        """Tell a legacy client, which does not ask for that, of lists that change from now on.

        The server's middleware: what changes once `initialize` is answered is told, after the
        client has said that it is ready.
        """
        line = self._line(ctx) if ctx.method in _GREETINGS else None
        if line is not None and ctx.method == "initialize":
            with anyio.move_on_after(PATIENCE):
                await line.subscriber.add([ToolsListChanged(), PromptsListChanged()])
        elif line is not None and ctx.session.client_params is not None:
            line.open(ctx.session)
        return await call_next(ctx)

    async def subscribe(
        self, ctx: HandlerContext, params: types.SubscribeRequestParams
    ) -> types.EmptyResult:
        """Tell a legacy client of changes to a resource.

        Raises:
            MCPError: This cannot be done here, not for this resource, or not for one more.
        """
        line = self._line(ctx)
        if line is None:
            raise MCPError(types.METHOD_NOT_FOUND, "Clients are told of changes over stdio or /sse")
        notice = ResourceUpdated(params.uri)
        if topic_of(notice) is None:
            shown = params.uri[:_SHOWN]
            raise MCPError(types.INVALID_PARAMS, f"No resource at {shown} is told of changing")
        await _added(line.subscriber, [notice])
        return types.EmptyResult()

    async def unsubscribe(
        self, ctx: HandlerContext, params: types.UnsubscribeRequestParams
    ) -> types.EmptyResult:
        """Tell a legacy client no more of a resource."""
        line = self._line(ctx)
        if line is not None:
            line.subscriber.remove(ResourceUpdated(params.uri))
        return types.EmptyResult()

    async def listen(
        self, ctx: HandlerContext, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Serve a stream of what the client wants to be told of, until it is ended.

        Raises:
            MCPError: It wants too much, or too many streams are open.
        """
        if self._streams >= MOST_STREAMS:
            raise MCPError(types.INTERNAL_ERROR, f"{MOST_STREAMS} streams of notices are open")
        bus = InMemorySubscriptionBus()
        subscriber = Subscriber(self._changes, bus.publish)
        self._streams += 1
        try:
            await _added(subscriber, _wanted(params.notifications))
            return await ListenHandler(bus)(ctx, params)
        finally:
            self._streams -= 1
            subscriber.close()

    def _line(self, ctx: HandlerContext) -> _Line | None:
        """Return the way to the client that asks, None where there is none."""
        if not has_channel(ctx):
            return None
        return self._lines[ctx.lifespan_context]


async def _added(subscriber: Subscriber, notices: list[Notification]) -> None:
    try:
        await subscriber.add(notices)
    except TooManySubscriptions as error:
        raise MCPError(
            types.INVALID_PARAMS, f"There may be {MOST:,} subscriptions, and no more"
        ) from error


def _wanted(asked: types.SubscriptionFilter) -> list[Notification]:
    notices: list[Notification] = [
        ResourceUpdated(uri) for uri in dict.fromkeys(asked.resource_subscriptions or ())
    ]
    if asked.prompts_list_changed:
        notices.append(PromptsListChanged())
    if asked.tools_list_changed:
        notices.append(ToolsListChanged())
    return notices
