"""A daemon at an endpoint of its own in this process, and raw connections to it."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
from anyio.abc import TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp.server.lowlevel import Server

from context7_fabric.daemon.server import DaemonServer, DaemonTerms, Handshake, Reply
from context7_fabric.relay.endpoint import Endpoint
from context7_fabric.relay.handshake import SERVE, STATUS, hello
from support.client import INITIALIZE

NEVER = b"never"


@dataclass
class Window:
    """Client's end of a connection to the daemon."""

    stream: anyio.abc.SocketStream
    lines: BufferedByteReceiveStream

    async def says(self, text: bytes) -> None:
        await self.stream.send(text)

    async def hears(self) -> bytes | None:
        """Return the next line, or None if the daemon has closed the connection."""
        try:
            return await self.lines.receive_until(b"\n", 65536)
        except (anyio.IncompleteRead, anyio.BrokenResourceError):
            return None

    async def initializes(self) -> dict[str, Any]:
        await self.says(json.dumps(INITIALIZE).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await self.hears() or b"{}")
        return answer


@dataclass
class House:
    """A daemon at an endpoint of its own, with the handshakes that it received."""

    door: Endpoint
    listener: socket.socket
    environ: dict[str, str]
    identity: dict[str, object]
    greetings: list[Handshake] = field(default_factory=list)
    refusal: Exception | None = None
    ended: anyio.Event = field(default_factory=anyio.Event)
    cancelled: anyio.Event = field(default_factory=anyio.Event)

    async def run(self, idle: float) -> None:
        terms = DaemonTerms(self.identity, idle)
        self.host = DaemonServer(
            self.door, terms, self.open_server, self.open_commands, lambda: {"apps": 3}
        )
        await self.host.serve(self.listener)
        self.ended.set()

    @asynccontextmanager
    async def open_server(self, greeting: Handshake) -> AsyncIterator[Server[Any]]:
        self.greetings.append(greeting)
        if self.refusal is not None:
            raise self.refusal
        yield Server("probe")

    @asynccontextmanager
    async def open_commands(self, greeting: Handshake) -> AsyncIterator[Reply]:
        async with self.open_server(greeting):
            yield self.reply

    async def reply(self, line: bytes) -> bytes:
        """Reply to a command's request with the request itself, or never if that is `NEVER`."""
        if line == NEVER:
            try:
                await anyio.sleep_forever()
            finally:
                self.cancelled.set()
        return line

    async def hello(self, wish: str = SERVE, **changed: str) -> bytes:
        environ = {**self.environ, **changed}
        return await anyio.to_thread.run_sync(hello, wish, environ, "/somewhere", "ctx7sk-1")

    @asynccontextmanager
    async def window(self) -> AsyncIterator[Window]:
        async with await anyio.connect_unix(self.socket) as stream:
            yield Window(stream, BufferedByteReceiveStream(stream))

    @property
    def socket(self) -> Path:
        return Path(self.door.folder, f"{self.door.name}.sock")

    async def left(self) -> None:
        with anyio.fail_after(5):
            await self.ended.wait()


def let(house: House, tasks: TaskGroup, idle: float) -> None:
    """Start the daemon in `tasks`; it ends after so many idle seconds."""
    tasks.start_soon(house.run, idle)


async def status_of(house: House) -> dict[str, Any]:
    async with house.window() as window:
        await window.says(await house.hello(STATUS))
        status: dict[str, Any] = json.loads(await window.hears() or b"{}")
        assert await window.hears() is None
        return status
