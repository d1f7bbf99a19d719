"""A bound on the requests of one connection that are not answered yet."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage

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


class _Stream:
    """One of the two; what is not paced is the SDK's."""

    def __init__(self, stream: Any, pace: BackPressureStreams) -> None:  # noqa: ANN401  # the SDK's own kinds
        self._stream = stream
        self._pace = pace

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # the SDK asks streams by attribute
        return getattr(self._stream, name)

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stream.__aexit__(kind, error, trace)


class _Incoming(_Stream):
    """Messages of the client, as fast as they are answered."""

    async def receive(self) -> Any:  # noqa: ANN401  # a message, or an exception as a value
        await self._pace.room()
        return self._pace.read(await self._stream.receive())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401  # as `receive`
        await self._pace.room()
        return self._pace.read(await self._stream.__anext__())


class _Outgoing(_Stream):
    """Messages to the client, answers among them."""

    async def send(self, item: SessionMessage) -> None:
        await self._stream.send(item)
        self._pace.written(item.message)
