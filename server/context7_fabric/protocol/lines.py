"""JSON-RPC messages, a line each, over a pipe or a socket of the event loop: no threads, no hops.

`read` and `write` are the two streams that the SDK's server runs on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage

LONGEST: Final = 16 * 2**20
"""Bytes of the longest line that is read; of a longer one nothing is kept."""

_READ_AHEAD: Final = 64
"""Lines that may wait to be taken before no more is read."""

_CLOSING_SECONDS: Final = 1.0

TOO_LONG: Final = b""
"""Stands for a line that was longer; no line is empty."""

Lane = Callable[[bytes], bytes | None]
"""Returns the reply to the request on a line, None where the SDK is to have it."""

_REFUSAL: Final = types.JSONRPCError(
    jsonrpc="2.0",
    id=None,
    error=types.ErrorData(
        code=types.INVALID_REQUEST, message=f"A message may have {LONGEST:,} bytes"
    ),
)


class Lines(asyncio.Protocol):
    """Cuts what comes into lines, which wait to be taken one by one."""

    def __init__(self, start: bytes = b"") -> None:
        """Begin with `start`, that was read already."""
        self._waiting: deque[bytes] = deque()
        self._parts: list[bytes] = []
        self._size = 0
        self._transport: asyncio.ReadTransport | None = None
        self._taker: asyncio.Future[None] | None = None
        self._ended = self._paused = False
        if start:
            self.data_received(start)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read from `transport`."""
        if isinstance(transport, asyncio.ReadTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take whole lines out of `data`; its rest waits for more."""
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
        """Let the taker see the end; what is still to be written goes out all the same."""
        self._ended = True
        self._wake()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Let the taker see the end."""
        self._ended = True
        self._wake()

    async def take(self) -> bytes | None:
        """Return the next line, `TOO_LONG` for one that was, None at the end."""
        while not self._waiting:
            if self._ended:
                return None
            self._taker = asyncio.get_running_loop().create_future()
            await self._taker
        line = self._waiting.popleft()
        if self._paused and not self._waiting and self._transport:
            self._paused = False
            self._transport.resume_reading()
        return line

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= LONGEST:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _finish(self) -> None:
        line = b"".join(self._parts)
        if self._size > LONGEST:
            self._waiting.append(TOO_LONG)
        elif line.strip():
            self._waiting.append(line)
        self._parts.clear()
        self._size = 0

    def _wake(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)


class Outlet(asyncio.Protocol):
    """Knows when what is written has to wait for the reader."""

    def __init__(self) -> None:
        """Be open and flowing."""
        self.lost = False
        self.closed = anyio.Event()
        self._flowing = anyio.Event()
        self._flowing.set()

    def pause_writing(self) -> None:
        """Make `drain` wait."""
        self._flowing = anyio.Event()

    def resume_writing(self) -> None:
        """Let `drain` go on."""
        self._flowing.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Let nobody wait any more."""
        self.lost = True
        self._flowing.set()
        self.closed.set()

    async def drain(self) -> None:
        """Wait until the reader has caught up."""
        if not self._flowing.is_set():
            await self._flowing.wait()


class Duplex(Lines, Outlet):
    """Both directions of one socket."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        Lines.__init__(self)
        Outlet.__init__(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let nobody wait any more, in either direction."""
        Lines.connection_lost(self, exc)
        Outlet.connection_lost(self, exc)


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
        self._outlet = outlet

    async def send(self, item: SessionMessage) -> None:
        """Write one message.

        Raises:
            BrokenResourceError: Nobody is there to read it.
        """
        if self._outlet.lost:
            raise anyio.BrokenResourceError
        line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        self._transport.write(line.encode() + b"\n")
        await self._outlet.drain()

    def put(self, line: bytes) -> None:
        """Write one line without waiting, if anybody is there to read it."""
        if not self._outlet.lost:
            self._transport.write(line + b"\n")

    async def aclose(self) -> None:
        """Let what is written go out, as far as it is read in time, and close."""
        self._transport.close()
        with anyio.move_on_after(_CLOSING_SECONDS, shield=True) as closing:
            await self._outlet.closed.wait()
        if closing.cancelled_caught:
            self._transport.abort()


class MessageReader(_Closing):
    """The SDK's stream of messages in; a line that is none comes as the error that it is."""

    def __init__(self, lines: Lines, writer: MessageWriter) -> None:
        """Read `lines`; `writer` tells the client of one that is too long."""
        self._lines = lines
        self._writer = writer
        self.lane: Lane | None = None

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message that the lane, if there is one, does not answer.

        Raises:
            EndOfStream: There is none any more.
        """
        while (line := await self._lines.take()) is not None:
            if line is TOO_LONG:
                await self._writer.send(SessionMessage(_REFUSAL))
            elif (reply := self._at_hand(line)) is not None:
                self._writer.put(reply)
                await asyncio.sleep(0)  # others have their turn, however many lines wait here
            else:
                return _read(line)
        raise anyio.EndOfStream

    def _at_hand(self, line: bytes) -> bytes | None:
        return None if self.lane is None else self.lane(line)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


def _read(line: bytes) -> SessionMessage | Exception:
    """Return the message on a line; nearly all are requests, and looked at as such first."""
    try:
        return SessionMessage(types.JSONRPCRequest.model_validate_json(line, by_name=False))
    except ValueError:
        pass
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error
