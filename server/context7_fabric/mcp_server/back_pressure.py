"""A bound on the requests of one connection that are not answered yet."""

from __future__ import annotations

from typing import Any, Final

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage

from context7_fabric.upstream.replies import StreamWrapper

MOST_UNANSWERED: Final = 64
"""Requests of one stream of events that are worked on at once."""


class BackPressureStreams:
    """Both streams of a connection; nothing more is read while too much is unanswered."""

    def __init__(self, incoming: Any, outgoing: Any) -> None:  # noqa: ANN401  # the SDK's own kinds
        """Read from `incoming` as far as answers go to `outgoing`."""
        self._open: set[types.RequestId] = set()
        self._room = anyio.Event()
        self.incoming = _Incoming(incoming, self)
        self.outgoing = _Outgoing(outgoing, self)

    async def room(self) -> None:
        """Wait until another request may come."""
        while len(self._open) >= MOST_UNANSWERED:
            self._room = anyio.Event()
            await self._room.wait()

    def read(self, item: object) -> Any:  # noqa: ANN401  # what it was given
        """Take note of a message that came, and return it."""
        message = item.message if isinstance(item, SessionMessage) else None
        if isinstance(message, types.JSONRPCRequest):
            self._open.add(message.id)
        elif getattr(message, "method", "") == "notifications/cancelled":
            self._close((getattr(message, "params", None) or {}).get("requestId"))
        return item

    def written(self, message: types.JSONRPCMessage) -> None:
        """Take note of a message that went out."""
        if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
            self._close(message.id)

    def _close(self, number: object) -> None:
        if isinstance(number, int | str):
            self._open.discard(number)
            self._room.set()


class _Incoming(StreamWrapper):
    """Messages of the client, as fast as they are answered."""

    def __init__(self, stream: Any, pace: BackPressureStreams) -> None:  # noqa: ANN401  # the SDK's own kinds
        super().__init__(stream)
        self._pace = pace

    async def receive(self) -> Any:  # noqa: ANN401  # a message, or an exception as a value
        await self._pace.room()
        return self._pace.read(await super().receive())


class _Outgoing(StreamWrapper):
    """Messages to the client, answers among them."""

    def __init__(self, stream: Any, pace: BackPressureStreams) -> None:  # noqa: ANN401  # the SDK's own kinds
        super().__init__(stream)
        self._pace = pace

    async def send(self, item: SessionMessage) -> None:
        await self._stream.send(item)
        self._pace.written(item.message)
