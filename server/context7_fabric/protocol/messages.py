"""JSON-RPC messages, a line each: the two streams that the SDK's server runs on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage

from context7_fabric.lenient_json import id_in
from context7_fabric.protocol.lines import LONGEST, Lines, Outlet, Overlong
from context7_fabric.protocol.parsing import NotAMessage, read_message

_CLOSING_SECONDS: Final = 1.0

Lane = Callable[[bytes], bytes | None]
"""Returns the reply to the request on a line, None where the SDK is to have it."""

log = logging.getLogger(__name__)


class _Closing:
    """Closed at the end of a block."""

    async def aclose(self) -> None:
        """Do nothing: what is read from is not ours to close."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()


class MessageWriter(_Closing):
    """The SDK's stream of messages out."""

    def __init__(self, transport: asyncio.WriteTransport, outlet: Outlet) -> None:
        """Write to `transport`, as fast as its protocol `outlet` says."""
        self._transport = transport
        self.outlet = outlet

    async def send(self, item: SessionMessage) -> None:
        """Write one message.

        Raises:
            BrokenResourceError: Nobody is there to read it.
        """
        if self.outlet.lost:
            raise anyio.BrokenResourceError
        line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        self._transport.write(line.encode() + b"\n")
        await self.outlet.drain()

    def put(self, line: bytes) -> None:
        """Write one line without waiting, if anybody is there to read it."""
        if not self.outlet.lost:
            self._transport.write(line + b"\n")

    async def aclose(self) -> None:
        """Let what is written go out, as far as it is read in time, and close."""
        self._transport.close()
        with anyio.move_on_after(_CLOSING_SECONDS, shield=True) as closing:
            await self.outlet.closed.wait()
        if closing.cancelled_caught:
            self._transport.abort()


class MessageReader(_Closing):
    """The SDK's stream of messages in; a line that is none is answered with an error."""

    def __init__(self, lines: Lines, writer: MessageWriter) -> None:
        """Read `lines`; `writer` tells the client of one that is no message."""
        self._lines = lines
        self._writer = writer
        self._outlet = writer.outlet
        self.lane: Lane | None = None

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message that the lane, if there is one, does not answer.

        A client that does not read has to: until then nothing more is taken from it.

        Raises:
            EndOfStream: There is none any more.
        """
        while True:
            if self._outlet.is_full:
                await self._until_read()
            line = await self._lines.take()
            if line is None:
                raise anyio.EndOfStream
            reply = self._at_hand(line)
            if reply is None:
                try:
                    return SessionMessage(_read(line))
                except NotAMessage as error:
                    log.warning("a line from a client was not a message: %s", error)
                    reply = error.reply
            self._writer.put(reply)
            await asyncio.sleep(0)  # others have their turn, however many lines wait here

    async def _until_read(self) -> None:
        """Wait until what is written has been read, or no more is said: the end is near then."""

        async def until(wait: Callable[[], Awaitable[object]]) -> None:
            await wait()
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(until, self._lines.ended.wait)
            tasks.start_soon(until, self._outlet.drain)

    def _at_hand(self, line: bytes) -> bytes | None:
        return None if self.lane is None else self.lane(line)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


def _read(line: bytes) -> types.JSONRPCMessage:
    """Return the message on a line.

    Raises:
        NotAMessage: There is none.
    """
    if isinstance(line, Overlong):
        text = f"Invalid Request: a message has at most {LONGEST:,} bytes"
        raise NotAMessage(types.INVALID_REQUEST, text, id_in(line))
    return read_message(line)
