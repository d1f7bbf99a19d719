"""Notifications of changes: to legacy clients as they subscribed, to modern ones by a stream.

Legacy clients receive them on the channel of their connection, which stdio and `/sse` have. Over
`/mcp` each of their requests is a connection of its own, and nothing is promised there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

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

MOST: Final = 1_000
"""Subscriptions of one client, or of one stream of a client."""

MOST_STREAMS: Final = 256
"""Streams of notifications that are open at once."""

PATIENCE: Final = 0.5
"""Seconds that `initialize` waits for the first look at a slow store."""

PUSHED: Final = NotificationOptions(prompts_changed=True, tools_changed=True)
"""Promise of a transport that can reach legacy clients at any time."""

_SHOWN: Final = 500
"""Characters of a URI that an error repeats."""

Notification: TypeAlias = PromptsListChanged | ToolsListChanged | ResourceUpdated
"""A change that clients can subscribe to; the list of resources is fixed."""

Send: TypeAlias = Callable[[Notification], Awaitable[None]]


def topic_of(notification: Notification) -> Topic | None:
    """Return the topic whose change `notification` reports, None for one that never changes."""
    match notification:
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
    """Subscriptions of one client or stream."""

    def __init__(self, subscriptions: Subscriptions, send: Send) -> None:
        """Subscribe to `subscriptions`; `send` must neither raise nor wait."""
        self._subscriptions = subscriptions
        self._send = send
        self._topics: dict[Notification, Topic] = {}

    async def add(self, notifications: Collection[Notification]) -> None:
        """Send `notifications` from now on, except those that are never due.

        Raises:
            MCPError: There would be too many; nothing was added.
        """
        asked = {each: topic_of(each) for each in notifications if each not in self._topics}
        new = {each: topic for each, topic in asked.items() if topic is not None}
        if len(self._topics) + len(new) > MOST:
            text = f"There may be {MOST:,} subscriptions, and no more"
            raise MCPError(types.INVALID_PARAMS, text)
        self._topics |= new
        await self._subscriptions.subscribe(tuple(new.values()), self._notify)

    def remove(self, notification: Notification) -> None:
        """Send `notification` no more."""
        topic = self._topics.pop(notification, None)
        if topic is not None:
            self._subscriptions.unsubscribe([topic], self._notify)

    def close(self) -> None:
        """Send nothing more."""
        for notification in tuple(self._topics):
            self.remove(notification)

    async def _notify(self, topic: Topic) -> None:
        for notification in [each for each, of in self._topics.items() if of == topic]:
            await self._send(notification)


class _Channel:
    """Channel to one legacy client; it delivers once the client is ready.

    Each notification waits once, however often it became due, so that a slow client holds up
    nothing.
    """

    def __init__(self, subscriptions: Subscriptions, tasks: TaskGroup) -> None:
        self.subscriber = Subscriber(subscriptions, self._put)
        self._tasks = tasks
        self._due: dict[Notification, None] = {}
        self._some = anyio.Event()
        self._is_open = False

    def open(self, session: ServerSession) -> None:
        """Deliver what waits, and what comes."""
        if not self._is_open:
            self._is_open = True
            self._tasks.start_soon(self._deliver, session)

    async def _put(self, notification: Notification) -> None:
        self._due[notification] = None
        self._some.set()

    async def _deliver(self, session: ServerSession) -> None:
        while True:
            await self._some.wait()
            self._some = anyio.Event()
            while self._due:
                notification = next(iter(self._due))
                del self._due[notification]
                await _send(session, notification)


async def _send(session: ServerSession, notification: Notification) -> None:
    match notification:
        case ResourceUpdated(uri=uri):
            await session.send_resource_updated(uri)
        case PromptsListChanged():
            await session.send_prompt_list_changed()
        case ToolsListChanged():
            await session.send_tool_list_changed()


class Notifications:
    """Handles subscriptions of both eras, and drops them with their connection."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        """Subscribe to `subscriptions`."""
        self._subscriptions = subscriptions
        self._channels: dict[str, _Channel] = {}
        self._streams = 0

    @asynccontextmanager
    async def connection(self, name: str) -> AsyncGenerator[None]:
        """Keep a channel for the connection `name` as long as the block lasts."""
        async with anyio.create_task_group() as tasks:
            channel = self._channels[name] = _Channel(self._subscriptions, tasks)
            try:
                yield
            finally:
                del self._channels[name]
                channel.subscriber.close()
                tasks.cancel_scope.cancel()

    async def subscribe_to_lists(self, ctx: HandlerContext, call_next: CallNext) -> HandlerResult:
        """Subscribe a legacy client, which cannot ask for it, to the lists of tools and prompts.

        A middleware of the server. Changes after `initialize` are delivered once the client says
        that it is initialized.
        """
        greets = ctx.method in ("initialize", "notifications/initialized")
        channel = self._channel(ctx) if greets else None
        if channel is not None and ctx.method == "initialize":
            with anyio.move_on_after(PATIENCE):
                await channel.subscriber.add([ToolsListChanged(), PromptsListChanged()])
        elif channel is not None and ctx.session.client_params is not None:
            channel.open(ctx.session)
        return await call_next(ctx)

    async def subscribe(
        self, ctx: HandlerContext, params: types.SubscribeRequestParams
    ) -> types.EmptyResult:
        """Subscribe a legacy client to a resource.

        Raises:
            MCPError: The connection has no channel, the resource never changes, or there are too
                many subscriptions.
        """
        channel = self._channel(ctx)
        if channel is None:
            raise MCPError(
                types.METHOD_NOT_FOUND, "Subscriptions need a connection by stdio or /sse"
            )
        notification = ResourceUpdated(params.uri)
        if topic_of(notification) is None:
            text = f"No resource at {params.uri[:_SHOWN]} can be subscribed to"
            raise MCPError(types.INVALID_PARAMS, text)
        await channel.subscriber.add([notification])
        return types.EmptyResult()

    async def unsubscribe(
        self, ctx: HandlerContext, params: types.UnsubscribeRequestParams
    ) -> types.EmptyResult:
        """Remove a legacy client's subscription to a resource."""
        channel = self._channel(ctx)
        if channel is not None:
            channel.subscriber.remove(ResourceUpdated(params.uri))
        return types.EmptyResult()

    async def listen(
        self, ctx: HandlerContext, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Serve a stream of the notifications that the client asks for, until it is closed.

        Raises:
            MCPError: There are too many subscriptions, or too many streams.
        """
        if self._streams >= MOST_STREAMS:
            text = f"{MOST_STREAMS} streams of notifications are open, and no more may be"
            raise MCPError(types.INTERNAL_ERROR, text)
        bus = InMemorySubscriptionBus()
        subscriber = Subscriber(self._subscriptions, bus.publish)
        self._streams += 1
        try:
            await subscriber.add(_asked(params.notifications))
            return await ListenHandler(bus)(ctx, params)
        finally:
            self._streams -= 1
            subscriber.close()

    def _channel(self, ctx: HandlerContext) -> _Channel | None:
        return self._channels[ctx.lifespan_context] if has_channel(ctx) else None


def _asked(filter_: types.SubscriptionFilter) -> list[Notification]:
    uris = dict.fromkeys(filter_.resource_subscriptions or ())
    notifications: list[Notification] = [ResourceUpdated(uri) for uri in uris]
    if filter_.prompts_list_changed:
        notifications.append(PromptsListChanged())
    if filter_.tools_list_changed:
        notifications.append(ToolsListChanged())
    return notifications
