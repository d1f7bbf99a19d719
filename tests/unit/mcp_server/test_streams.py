"""Lines and messages over a pipe: cut right whatever the chunks, bounded, and patient."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from itertools import pairwise

import anyio
import mcp_types as types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.message import SessionMessage

from context7_fabric.lenient_json import HEAD_BYTES
from context7_fabric.mcp_server import streams as lines_module
from context7_fabric.mcp_server.streams import (
    Duplex,
    LineReader,
    MessageReader,
    MessageWriter,
    TooLongLine,
)

PING = b'{"jsonrpc":"2.0","id":7,"method":"ping"}'


def taken(lines: LineReader) -> list[bytes]:
    """Everything until the end."""

    async def take() -> list[bytes]:
        got: list[bytes] = []
        while (line := await lines.take()) is not None:
            got.append(line)
        return got

    return asyncio.run(take())


@given(data=st.binary().map(lambda data: data.replace(b"x", b"\n")), cuts=st.sets(st.integers(0)))
def test_lines_are_the_same_however_they_come(data: bytes, cuts: set[int]) -> None:
    ends = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    lines = LineReader()
    for start, end in pairwise(ends):
        lines.data_received(data[start:end])
    lines.eof_received()
    assert taken(lines) == [line for line in data.split(b"\n")[:-1] if line.strip()]


@given(
    sizes=st.lists(st.integers(min_value=1, max_value=20), max_size=8),
    chunk=st.integers(min_value=1, max_value=50),
)
def test_a_line_that_is_too_long_is_dropped_and_the_others_are_not(
    sizes: list[int], chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "LONGEST", 10)
        data = b"".join(b"x" * size + b"\n" for size in sizes)
        lines = LineReader()
        for start in range(0, len(data), chunk):
            lines.data_received(data[start : start + chunk])
        lines.eof_received()
        got = taken(lines)
    assert [isinstance(line, TooLongLine) for line in got] == [size > 10 for size in sizes]
    assert [line for line in got if not isinstance(line, TooLongLine)] == [
        b"x" * size for size in sizes if size <= 10
    ]


@pytest.mark.parametrize("chunk", [1, 7, 4096, 100_000])
def test_lines_keep_only_the_head_of_one_without_an_end(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(lines_module, "LONGEST", 10_000)
    data, lines = bytes(range(32, 127)) * 300, LineReader()
    for start in range(0, len(data), chunk):
        lines.data_received(data[start : start + chunk])
    assert b"".join(lines._parts) == data[:HEAD_BYTES]
    lines.data_received(b"\n")
    lines.eof_received()
    assert taken(lines) == [data[:HEAD_BYTES]]


def test_what_was_read_before_comes_first() -> None:
    lines = LineReader(b"first\nsec")
    lines.data_received(b"ond\n")
    lines.connection_lost(None)
    assert taken(lines) == [b"first", b"second"]


class Reading(asyncio.ReadTransport):
    """A transport that only notes whether it is asked to read."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def pause_reading(self) -> None:
        self.said.append("pause")

    def resume_reading(self) -> None:
        self.said.append("resume")


async def test_when_too_much_waits_no_more_is_read_until_it_is_taken() -> None:
    lines, transport = LineReader(), Reading()
    lines.connection_made(transport)
    for number in range(200):
        lines.data_received(b"%d\n" % number)
    assert transport.said == ["pause"]
    for number in range(200):
        assert await lines.take() == b"%d" % number
    assert transport.said == ["pause", "resume"]
    lines.data_received(b"x\n" * 200)
    assert transport.said == ["pause", "resume", "pause"]


async def test_a_taker_waits_for_its_line_and_one_that_gave_up_takes_none() -> None:
    lines = LineReader()
    with anyio.move_on_after(0):
        await lines.take()
    got: list[bytes | None] = []

    async def take() -> None:
        got.append(await lines.take())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        assert got == []
        lines.data_received(b"line\n")
    assert got == [b"line"]


class Ends:
    """The two ends of a socket: ours as messages, theirs as bytes."""

    def __init__(
        self, transport: asyncio.Transport, duplex: Duplex, theirs: anyio.abc.SocketStream
    ) -> None:
        self.transport = transport
        self.duplex = duplex
        self.writer = MessageWriter(transport, duplex)
        self.reader = MessageReader(duplex, self.writer)
        self.theirs = theirs


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    transport, duplex = await loop.connect_accepted_socket(Duplex, ours)
    async with await anyio.abc.SocketStream.from_socket(theirs) as stream:
        yield Ends(transport, duplex, stream)
    transport.abort()
    await duplex.closed.wait()


def message(size: int = 0) -> SessionMessage:
    return SessionMessage(
        types.JSONRPCNotification(jsonrpc="2.0", method="x", params={"text": "x" * size})
    )


class TestMessages:
    async def test_one_is_read_and_what_is_none_is_answered_with_an_error(self, ends: Ends) -> None:
        await ends.theirs.send(b"garbage\n\n" + PING + b"\r\n")
        got = await ends.reader.receive()
        assert json.loads(await ends.theirs.receive())["error"]["code"] == types.PARSE_ERROR
        assert isinstance(got, SessionMessage)
        assert isinstance(got.message, types.JSONRPCRequest)
        assert (got.message.id, got.message.method) == (7, "ping")

    async def test_one_too_long_is_refused_with_one_error_and_the_next_is_served(
        self, ends: Ends, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lines_module, "LONGEST", 100)
        await ends.theirs.send(b'{"id":8,"x":"' + b"x" * 100_000 + b'"}\n' + PING + b"\n")
        assert isinstance(await ends.reader.receive(), SessionMessage)
        (refusal,) = (await ends.theirs.receive()).splitlines()
        reply = json.loads(refusal)
        assert reply["id"] == 8
        assert reply["error"]["code"] == types.INVALID_REQUEST

    async def test_the_loop_over_them_ends_with_the_other_end(self, ends: Ends) -> None:
        note = message().message.model_dump_json().encode()
        await ends.theirs.send(note + b"\n" + note + b"\nno line")
        await ends.theirs.send_eof()
        assert len([each async for each in ends.reader]) == 2
        with pytest.raises(anyio.EndOfStream):
            await ends.reader.receive()

    async def test_input_that_came_at_once_ends_when_its_requests_are_answered(
        self, ends: Ends
    ) -> None:
        await ends.theirs.send(PING + b"\n")
        await ends.theirs.send_eof()
        asked = await ends.reader.receive()
        assert isinstance(asked, SessionMessage)
        assert isinstance(asked.message, types.JSONRPCRequest)
        ended = anyio.Event()

        async def read_on() -> None:
            with pytest.raises(anyio.EndOfStream):
                await ends.reader.receive()
            ended.set()

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read_on)
                await anyio.wait_all_tasks_blocked()
                assert not ended.is_set()
                answer = types.JSONRPCResponse(jsonrpc="2.0", id=asked.message.id, result={})
                await ends.writer.send(SessionMessage(answer))

    async def test_input_that_goes_on_after_a_pause_ends_without_answers(self, ends: Ends) -> None:
        for _request in range(2):
            await ends.theirs.send(PING + b"\n")
            await ends.reader.receive()
        await ends.theirs.send_eof()
        with anyio.fail_after(30), pytest.raises(anyio.EndOfStream):
            await ends.reader.receive()

    async def test_one_is_written_as_one_line(self, ends: Ends) -> None:
        await ends.writer.send(message(1))
        assert await ends.theirs.receive() == (
            b'{"jsonrpc":"2.0","method":"x","params":{"text":"x"}}\n'
        )

    async def test_who_writes_waits_for_a_slow_reader(self, ends: Ends) -> None:
        sent = anyio.Event()

        async def send() -> None:
            await ends.writer.send(message(10_000_000))
            sent.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            assert not sent.is_set()
            got = bytearray()
            while not got.endswith(b"\n"):
                got += await ends.theirs.receive()
        assert len(json.loads(got)["params"]["text"]) == 10_000_000

    async def test_send_without_a_reader_raises(self, ends: Ends) -> None:
        ends.transport.abort()
        await ends.duplex.closed.wait()
        with pytest.raises(anyio.BrokenResourceError):
            await ends.writer.send(message())

    async def test_who_waits_for_a_reader_that_goes_does_not_wait_on(self, ends: Ends) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ends.writer.send, message(10_000_000))
            await anyio.wait_all_tasks_blocked()
            await ends.theirs.aclose()
            with anyio.fail_after(30):
                await ends.duplex.closed.wait()

    async def test_what_is_written_goes_out_before_the_end(self, ends: Ends) -> None:
        async with ends.writer:
            await ends.writer.send(message(1000))
        got = b"".join([part async for part in ends.theirs])
        assert json.loads(got)["params"] == {"text": "x" * 1000}

    async def test_a_reader_that_does_not_read_is_not_waited_for_at_the_end(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs, anyio.fail_after(30):
            transport, duplex = await asyncio.get_running_loop().connect_accepted_socket(
                Duplex, ours
            )
            writer = MessageWriter(transport, duplex, closing_seconds=0.05)
            with anyio.move_on_after(0.05) as sending:
                await writer.send(message(10_000_000))
            await writer.aclose()
            await duplex.closed.wait()
        assert sending.cancelled_caught
