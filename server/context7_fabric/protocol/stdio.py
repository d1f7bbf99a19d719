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

from context7_fabric.protocol.lines import Duplex, Lines, MessageReader, MessageWriter, Outlet
from context7_fabric.protocol.notices import PUSHED

_STDIN, _STDOUT, _STDERR = 0, 1, 2


async def serve_stdio(server: Server[Any]) -> None:
    """Serve until the client closes our stdin.

    Pipes and sockets are read by the event loop itself; files, terminals and Windows' pipes, which
    it cannot wait for or should not change, by the SDK's threads.
    """
    options = server.create_initialization_options(PUSHED)
    if sys.platform != "win32" and _is_pipe(_STDIN) and _is_pipe(_STDOUT):
        async with _pipes() as (reader, writer):
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


@asynccontextmanager
async def _pipes() -> AsyncGenerator[tuple[MessageReader, MessageWriter]]:
    """Take stdin and stdout over for the protocol: what others print goes to stderr from then on.

    They are not given back: the process ends behind this.
    """
    loop = asyncio.get_running_loop()
    source, sink = _moved(_STDIN, os.open(os.devnull, os.O_RDONLY)), _moved(_STDOUT, _STDERR)
    reading, lines = await loop.connect_read_pipe(Lines, os.fdopen(source, "rb", buffering=0))
    writing, outlet = await loop.connect_write_pipe(Outlet, os.fdopen(sink, "wb", buffering=0))
    writer = MessageWriter(writing, outlet)
    try:
        yield MessageReader(lines, writer), writer
    finally:
        reading.close()
        await writer.aclose()


def _moved(fd: int, stand_in: int) -> int:
    """Return a descriptor for what `fd` was; `fd` itself becomes `stand_in` (a copy of stderr)."""
    moved = os.dup(fd)
    os.dup2(stand_in, fd)
    if stand_in > _STDERR:
        os.close(stand_in)
    return moved
