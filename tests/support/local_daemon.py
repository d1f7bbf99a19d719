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

from context7_fabric.daemon.server import (
    HELLO_SECONDS,
    LOOK_EVERY,
    DaemonServer,
    DaemonTerms,
    Handshake,
    Reply,
)
from context7_fabric.relay.endpoint import Endpoint
from context7_fabric.relay.handshake import SERVE, STATUS, hello
from support.client import INITIALIZE

NEVER = b"never"


@dataclass
class RawClient:
    """Client's end of a connection to the daemon."""

    stream: anyio.abc.SocketStream
    lines: BufferedByteReceiveStream

    async def send(self, text: bytes) -> None:
        await self.stream.send(text)

    async def receive(self) -> bytes | None:
        """Return the next line, or None if the daemon has closed the connection."""
        try:
            return await self.lines.receive_until(b"\n", 65536)
        except (anyio.IncompleteRead, anyio.BrokenResourceError):
            return None

    async def initialize(self) -> dict[str, Any]:
        await self.send(json.dumps(INITIALIZE).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await self.receive() or b"{}")
        return answer


@dataclass
class LocalDaemon:
    """A daemon at an endpoint of its own, with the handshakes that it received."""

    endpoint: Endpoint
    listener: socket.socket
    environ: dict[str, str]
    identity: dict[str, object]
    handshakes: list[Handshake] = field(default_factory=list)
    refusal: Exception | None = None
    ended: anyio.Event = field(default_factory=anyio.Event)
    cancelled: anyio.Event = field(default_factory=anyio.Event)

    async def run(self, idle: float, handshake: float, look_every: float) -> None:
        terms = DaemonTerms(self.identity, idle, handshake, look_every)
        self.server = DaemonServer(
            self.endpoint, terms, self.open_server, self.open_commands, lambda: {"apps": 3}
        )
        await self.server.serve(self.listener)
        self.ended.set()

    @asynccontextmanager
    async def open_server(self, handshake: Handshake) -> AsyncIterator[Server[Any]]:
        self.handshakes.append(handshake)
        if self.refusal is not None:
            raise self.refusal
        yield Server("probe")

    @asynccontextmanager
    async def open_commands(self, handshake: Handshake) -> AsyncIterator[Reply]:
        async with self.open_server(handshake):
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
    async def connection(self) -> AsyncIterator[RawClient]:
        async with await anyio.connect_unix(self.socket) as stream:
            yield RawClient(stream, BufferedByteReceiveStream(stream))

    @property
    def socket(self) -> Path:
        return Path(self.endpoint.folder, f"{self.endpoint.name}.sock")

    async def wait_ended(self) -> None:
        with anyio.fail_after(30):
            await self.ended.wait()


def start(
    daemon: LocalDaemon,
    tasks: TaskGroup,
    idle: float,
    handshake: float = HELLO_SECONDS,
    look_every: float = LOOK_EVERY,
) -> None:
    """Start the daemon in `tasks`; the seconds are those of `DaemonTerms`."""
    tasks.start_soon(daemon.run, idle, handshake, look_every)


async def status_of(daemon: LocalDaemon) -> dict[str, Any]:
    async with daemon.connection() as client:
        await client.send(await daemon.hello(STATUS))
        status: dict[str, Any] = json.loads(await client.receive() or b"{}")
        assert await client.receive() is None
        return status
