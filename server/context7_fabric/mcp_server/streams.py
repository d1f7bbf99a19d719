"""JSON-RPC messages, one a line, as the two streams that the SDK's server reads and writes."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCRequest,
    JSONRPCResponse,
)

from context7_fabric.lenient_json import HEAD_BYTES, id_in
from context7_fabric.mcp_server.json_rpc import InvalidMessage, read_message
from context7_fabric.relay.forward import ANSWER_SECONDS, LONGEST_LINE

LONGEST: Final = LONGEST_LINE
"""Bytes of the longest line that is read; of a longer one the beginning is kept."""

_READ_AHEAD: Final = 64
"""Lines that may wait before reading is paused."""

MOST_UNREAD: Final = 2**20
"""Bytes that may wait for the client to read them before reading from it is paused. A client that
sends many requests before it reads gets all its answers."""

CLOSING_SECONDS: Final = 1.0

FastReply = Callable[[bytes], bytes | None]
"""Returns the reply to the request on a line, None where the SDK has to answer."""

log = logging.getLogger(__name__)


class TooLongLine(bytes):
    """The beginning of a line that is longer than `LONGEST`."""

    __slots__ = ()


class LineReader(asyncio.Protocol):
    """Splits incoming bytes into lines, which wait to be taken one by one."""

    def __init__(self, start: bytes = b"") -> None:
        """Begin with `start`, that was read already."""
        self._waiting: deque[bytes] = deque()
        self._parts: list[bytes] = []
        self._size = 0
        self._transport: asyncio.ReadTransport | None = None
        self._taker: asyncio.Future[None] | None = None
        self._paused = False
        self._pieces = 0
        self.ended = asyncio.Event()
        if start:
            self.data_received(start)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read from `transport`."""
        if isinstance(transport, asyncio.ReadTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take whole lines out of `data`; the rest waits for more."""
        self._pieces += 1
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._add(line)
            self._finish()
        self._add(rest)
        if len(self._waiting) > _READ_AHEAD and self._transport and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Let `take` see the end; the other direction stays open."""
        self.ended.set()
        self._wake()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Let `take` see the end."""
        self.ended.set()
        self._wake()

    @property
    def is_piped(self) -> bool:
        """All of the input came at once, as a script sends it, without waiting for a reply."""
        return self._pieces == 1

    async def take(self) -> bytes | None:
        """Return the next line, a `TooLongLine` of one that is too long, None at the end."""
        while not self._waiting:
            if self.ended.is_set():
                return None
            self._taker = asyncio.get_running_loop().create_future()
            await self._taker
        line = self._waiting.popleft()
        if self._paused and not self._waiting and self._transport:
            self._paused = False
            self._transport.resume_reading()
        return line

    def _add(self, part: bytes) -> None:
        fitted = self._size <= LONGEST
        self._size += len(part)
        if self._size <= LONGEST:
            self._parts.append(part)
        elif fitted:
            head = b"".join((*self._parts, part[:HEAD_BYTES]))[:HEAD_BYTES]
            self._parts = [head]

    def _finish(self) -> None:
        line = b"".join(self._parts)
        if self._size > LONGEST:
            self._waiting.append(TooLongLine(line))
        elif line.strip():
            self._waiting.append(line)
        self._parts.clear()
        self._size = 0

    def _wake(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)


class WriteFlow(asyncio.Protocol):
    """Flow control of a transport that is written to."""

    def __init__(self) -> None:
        """Be open and flowing."""
        self.lost = False
        self.closed = anyio.Event()
        self._room: anyio.Event | None = None

    @property
    def is_full(self) -> bool:
        """`drain` would wait."""
        return self._room is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let `MOST_UNREAD` bytes wait before `drain` does."""
        if isinstance(transport, asyncio.WriteTransport):
            transport.set_write_buffer_limits(MOST_UNREAD)

    def pause_writing(self) -> None:
        """Make `drain` wait."""
        self._room = anyio.Event()

    def resume_writing(self) -> None:
        """Let `drain` go on."""
        if self._room is not None:
            self._room.set()
            self._room = None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """End all waiting."""
        self.lost = True
        self.resume_writing()
        self.closed.set()

    async def drain(self) -> None:
        """Wait until the reader has caught up."""
        if self._room is not None:
            await self._room.wait()


class Duplex(LineReader, WriteFlow):
    """Both directions of one socket."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        LineReader.__init__(self)
        WriteFlow.__init__(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read from `transport`, and write to it."""
        LineReader.connection_made(self, transport)
        WriteFlow.connection_made(self, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End all waiting, in either direction."""
        LineReader.connection_lost(self, exc)
        WriteFlow.connection_lost(self, exc)


class MessageWriter(ObjectSendStream[SessionMessage]):
    """Outgoing messages."""

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        flow: WriteFlow,
        closing_seconds: float = CLOSING_SECONDS,
    ) -> None:
        """Write to `transport`, whose protocol is `flow`.

        At the end the reader may take `closing_seconds` for what is written.
        """
        self._closing_seconds = closing_seconds
        self._transport = transport
        self._awaited: set[str | int | None] = set()
        self._answered = anyio.Event()
        self.flow = flow

    def expect_answer(self, message: JSONRPCMessage) -> None:
        """Note a message that was read: a request is awaited."""
        if isinstance(message, JSONRPCRequest):
            self._awaited.add(message.id)

    async def until_answered(self) -> None:
        """Wait until every request is answered."""
        while self._awaited:
            await self._answered.wait()
            self._answered = anyio.Event()

    async def send(self, item: SessionMessage) -> None:
        """Write one message.

        Raises:
            BrokenResourceError: The reader has gone.
        """
        if self.flow.lost:
            raise anyio.BrokenResourceError
        line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        self._transport.write(line.encode() + b"\n")
        if isinstance(item.message, JSONRPCResponse | JSONRPCError):
            self._awaited.discard(item.message.id)
            self._answered.set()
        await self.flow.drain()

    def write_line(self, line: bytes) -> None:
        """Write one line without waiting, unless the reader has gone."""
        if not self.flow.lost:
            self._transport.write(line + b"\n")

    async def aclose(self) -> None:
        """Close once everything is read, or after `closing_seconds`."""
        self._transport.close()
        with anyio.move_on_after(self._closing_seconds, shield=True) as closing:
            await self.flow.closed.wait()
        if closing.cancelled_caught:
            self._transport.abort()


class MessageReader(ObjectReceiveStream[SessionMessage | Exception]):
    """Incoming messages; a line that is no message is answered with an error."""

    def __init__(self, lines: LineReader, writer: MessageWriter) -> None:
        """Read `lines`; errors and fast replies go to `writer`."""
        self._lines = lines
        self._writer = writer
        self.fast_reply: FastReply | None = None

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message that has no fast reply.

        While the client does not read, nothing more is taken from it.

        Raises:
            EndOfStream: There are no more messages.
        """
        while True:
            if self._writer.flow.is_full:
                await self._until_read()
            line = await self._lines.take()
            if line is None:
                if self._lines.is_piped:
                    await self._until_answered()
                raise anyio.EndOfStream
            reply = None if self.fast_reply is None else self.fast_reply(line)
            if reply is None:
                try:
                    message = _read(line)
                    self._writer.expect_answer(message)
                    return SessionMessage(message)
                except InvalidMessage as error:
                    log.warning("a line from a client was not a message: %s", error)
                    reply = error.reply
            self._writer.write_line(reply)
            await asyncio.sleep(0)  # other tasks run, however many lines wait here

    async def aclose(self) -> None:
        """Do nothing: the transport belongs to the writer."""

    async def _until_read(self) -> None:
        """Wait until the client has read what was written, or sends no more."""
        await _first_of(self._lines.ended.wait, self._writer.flow.drain)

    async def _until_answered(self) -> None:
        """Wait for the answers to what was read, while the client is there for them."""
        with anyio.move_on_after(ANSWER_SECONDS):
            await _first_of(self._writer.until_answered, self._writer.flow.closed.wait)


async def _first_of(*waits: Callable[[], Awaitable[object]]) -> None:
    """Wait until one of `waits` is over."""

    async def until(wait: Callable[[], Awaitable[object]]) -> None:
        await wait()
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for wait in waits:
            tasks.start_soon(until, wait)


def _read(line: bytes) -> JSONRPCMessage:
    """Return the message on a line.

    Raises:
        InvalidMessage: It is none.
    """
    if isinstance(line, TooLongLine):
        text = f"Invalid Request: a message has at most {LONGEST:,} bytes"
        raise InvalidMessage(INVALID_REQUEST, text, id_in(line))
    return read_message(line)
