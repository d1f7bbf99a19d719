"""Serving one client over this process's stdin and stdout."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from context7_fabric.mcp_server.notifications import PUSHED
from context7_fabric.mcp_server.streams import (
    Duplex,
    LineReader,
    MessageReader,
    MessageWriter,
    WriteFlow,
)

_STDIN, _STDOUT, _STDERR = 0, 1, 2


async def serve_stdio(server: Server[Any]) -> None:
    """Serve until the client closes our stdin.

    Pipes and sockets are read by the event loop itself; files, terminals and Windows' pipes, which
    it cannot wait for or should not change, by the SDK's threads.
    """
    options = server.create_initialization_options(PUSHED)
    if sys.platform != "win32" and _is_pipe(_STDIN) and _is_pipe(_STDOUT):
        source, sink = _taken_over()
        if _are_one(source, sink):
            await serve_socket(server, socket.socket(fileno=source))
            return
        async with _pipes(source, sink) as (reader, writer):
            await server.run(reader, writer, options)
    else:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, options)


async def serve_socket(server: Server[Any], connection: socket.socket) -> None:
    """Serve over `connection` until its other end is closed."""
    loop = asyncio.get_running_loop()
    transport, lines = await loop.connect_accepted_socket(Duplex, connection)
    writer = MessageWriter(transport, lines)
    options = server.create_initialization_options(PUSHED)
    await server.run(MessageReader(lines, writer), writer, options)


def _is_pipe(fd: int) -> bool:
    """Tell whether `fd` is a pipe or a socket: what an MCP client starts us with."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _taken_over() -> tuple[int, int]:
    """Return descriptors for stdin and stdout, which are the protocol's alone from then on.

    What others print goes to stderr. They are not given back: the process ends behind this.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    source, sink = os.dup(_STDIN), os.dup(_STDOUT)
    os.dup2(nothing, _STDIN)
    try:
        os.dup2(_STDERR, _STDOUT)
    except OSError:  # there is no stderr
        os.dup2(nothing, _STDOUT)
    os.close(nothing)
    return source, sink


def _are_one(source: int, sink: int) -> bool:
    return os.path.sameopenfile(source, sink)


@asynccontextmanager
async def _pipes(source: int, sink: int) -> AsyncGenerator[tuple[MessageReader, MessageWriter]]:
    """Yield the messages that come from `source`, and the way to `sink`."""
    loop = asyncio.get_running_loop()
    reading, lines = await loop.connect_read_pipe(LineReader, os.fdopen(source, "rb", buffering=0))
    writing, outlet = await loop.connect_write_pipe(WriteFlow, os.fdopen(sink, "wb", buffering=0))
    writer = MessageWriter(writing, outlet)
    try:
        yield MessageReader(lines, writer), writer
    finally:
        reading.close()
        await writer.aclose()
