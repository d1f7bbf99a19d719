"""A client that asks and does not read is asked to wait: no more is read from it meanwhile."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from mcp.shared.message import SessionMessage

from context7_fabric.mcp_server.streams import (
    MOST_UNREAD,
    Duplex,
    LineReader,
    MessageReader,
    MessageWriter,
    WriteFlow,
)

PING = b'{"jsonrpc":"2.0","id":7,"method":"ping"}'
SECONDS = 10


class Full(asyncio.WriteTransport):
    """A transport that has no room any more once something was written."""

    def __init__(self, outlet: WriteFlow) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self._outlet = outlet

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))
        self._outlet.pause_writing()


class Unread:
    """A client's lines that wait to be answered, and what was written to it."""

    def __init__(self, start: bytes) -> None:
        self.lines = LineReader(start)
        self.outlet = WriteFlow()
        self.transport = Full(self.outlet)
        self.reader = MessageReader(self.lines, MessageWriter(self.transport, self.outlet))
        self.ended = False

    async def echo(self) -> None:
        """Let the lane answer each line with itself, until the end."""
        await echo(self.reader)
        self.ended = True


async def echo(reader: MessageReader, beside: bytes = b"") -> None:
    """Let the lane answer each line with itself and what is `beside` it, until the end."""
    reader.fast_reply = lambda line: line + beside
    with pytest.raises(anyio.EndOfStream):
        await reader.receive()


class TestTheLane:
    async def test_it_answers_the_next_line_when_the_last_answer_is_read(self) -> None:
        unread = Unread(b"1\n2\n3\n")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(unread.echo)
            for number in range(1, 4):
                await anyio.wait_all_tasks_blocked()
                assert unread.transport.written == [b"1\n", b"2\n", b"3\n"][:number]
                unread.outlet.resume_writing()
            unread.lines.eof_received()

    @pytest.mark.parametrize(
        "leave",
        [
            lambda unread: unread.lines.eof_received(),
            lambda unread: unread.lines.connection_lost(None),
        ],
        ids=["says no more", "is gone"],
    )
    async def test_a_client_that_leaves_is_not_waited_for(
        self, leave: Callable[[Unread], object]
    ) -> None:
        unread = Unread(b"1\n2\n")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(unread.echo)
            await anyio.wait_all_tasks_blocked()
            assert unread.transport.written == [b"1\n"]
            leave(unread)
            await anyio.wait_all_tasks_blocked()
            assert unread.ended
            tasks.cancel_scope.cancel()


async def test_the_sdk_gets_no_message_before_its_last_answer_is_read() -> None:
    unread = Unread(PING + b"\n")
    unread.outlet.pause_writing()
    got: list[SessionMessage | Exception] = []

    async def receive() -> None:
        got.append(await unread.reader.receive())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        assert got == []
        unread.outlet.resume_writing()
    assert len(got) == 1


@asynccontextmanager
async def answering(
    beside: bytes,
) -> AsyncIterator[tuple[asyncio.Transport, asyncio.StreamReader, asyncio.StreamWriter]]:
    """Echo at one end of a socket; yields our transport there, and the other end."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    transport, duplex = await loop.connect_accepted_socket(Duplex, ours)
    incoming, outgoing = await asyncio.open_connection(sock=theirs)
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(echo, MessageReader(duplex, MessageWriter(transport, duplex)), beside)
            yield transport, incoming, outgoing
            outgoing.close()
    transport.abort()
    await duplex.closed.wait()


class TestASocket:
    async def test_little_waits_to_be_read_and_all_of_it_comes(self) -> None:
        beside, numbers = b"x" * 20_000, [b"%d" % number for number in range(1000)]
        async with answering(beside) as (transport, incoming, outgoing):
            outgoing.writelines(number + b"\n" for number in numbers)
            for _ in numbers:
                await asyncio.sleep(0)
                assert transport.get_write_buffer_size() <= MOST_UNREAD + len(beside) + 10
            for number in numbers:
                assert await incoming.readline() == number + beside + b"\n"

    async def test_who_asks_much_before_it_reads_is_listened_to(self) -> None:
        beside, asked = b"x" * 1000, 500
        async with answering(beside) as (_transport, incoming, outgoing):
            outgoing.transport.set_write_buffer_limits(0)
            for _ in range(asked):
                outgoing.write(b"q" * 1000 + b"\n")
                await outgoing.drain()
            for _ in range(asked):
                assert await incoming.readline()

    async def test_a_client_that_goes_without_reading_is_let_go(self) -> None:
        async with answering(b"x" * 1_000_000) as (transport, _incoming, outgoing):
            outgoing.writelines([b"question\n"] * 100)
            for _ in range(100):
                await asyncio.sleep(0)
            assert transport.get_write_buffer_size()
            outgoing.transport.abort()
