"""Serving one client over this process's stdin and stdout, or over one socket."""

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

    The event loop reads pipes and sockets; the SDK's threads read files, terminals and the pipes of
    Windows, which the loop cannot wait for or should not change.
    """
    options = server.create_initialization_options(PUSHED)
    if sys.platform != "win32" and _is_pipe(_STDIN) and _is_pipe(_STDOUT):
        source, sink = _take_over()
        if _are_same(source, sink):
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
    """Return whether `fd` is a pipe or a socket, as MCP clients use."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _take_over() -> tuple[int, int]:
    """Return descriptors of stdin and stdout for the protocol alone.

    Other output goes to stderr from then on. The process ends afterwards, so this is not undone.
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


def _are_same(source: int, sink: int) -> bool:
    return os.path.sameopenfile(source, sink)


@asynccontextmanager
async def _pipes(source: int, sink: int) -> AsyncGenerator[tuple[MessageReader, MessageWriter]]:
    """Yield the messages from `source`, and the writer to `sink`."""
    loop = asyncio.get_running_loop()
    reading, lines = await loop.connect_read_pipe(LineReader, os.fdopen(source, "rb", buffering=0))
    writing, flow = await loop.connect_write_pipe(WriteFlow, os.fdopen(sink, "wb", buffering=0))
    writer = MessageWriter(writing, flow)
    try:
        yield MessageReader(lines, writer), writer
    finally:
        reading.close()
        await writer.aclose()
