"""The daemon at its door: it takes its user's windows in, tells how it is, and ends when idle."""

from __future__ import annotations

import ast
import asyncio
import json
import logging
import os
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from mcp.server.lowlevel import Server
from pydantic import TypeAdapter

from context7_fabric.errors import FabricError
from context7_fabric.mcp_server.notifications import PUSHED
from context7_fabric.mcp_server.streams import Duplex, MessageReader, MessageWriter
from context7_fabric.process import can_open
from context7_fabric.relay.endpoint import Endpoint, peer
from context7_fabric.relay.handshake import (
    COMMAND,
    FULL,
    NOT_HERE,
    SERVE,
    STATUS,
    STOP,
    WELCOME,
)
from context7_fabric.version import __version__

LONGEST = 2**20


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a relay says of itself; the window's environment may hold keys."""

    wish: str
    identity: dict[str, object]
    window: dict[str, str] = field(repr=False)
    directory: str = "/"
    api_key: str | None = field(default=None, repr=False)

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables that the window's settings are read from."""
        shared = self.identity.get("environment")
        return {**(shared if isinstance(shared, dict) else {}), **self.window}


_GREETING = TypeAdapter(Handshake)


def read_greeting(line: bytes) -> Handshake:
    """Return what `line`, a literal of Python, says.

    Raises:
        ValueError: It is none that a relay would say.
    """
    if len(line) > LONGEST:
        raise ValueError("the line is too long")
    try:
        return _GREETING.validate_python(ast.literal_eval(line.decode("ascii")))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("the line is no relay's") from error


log = logging.getLogger(__name__)

LOOK_EVERY = 10.0
"""Seconds between looks whether the socket is still there."""

HELLO_SECONDS = 2.0
"""How long a visitor may take to say what it wants."""

SPARE_FILES = 4
"""Files that must be left when a window comes: for others to be told, and for the store."""

OpenServer = Callable[[Handshake], AbstractAsyncContextManager[Server[Any]]]
"""Opens the MCP server for a window; raises a `FabricError` when its settings cannot be used."""

Reply = Callable[[bytes], Awaitable[bytes]]
"""Returns the reply to a command's request; both are lines without their ends."""

OpenCommands = Callable[[Handshake], AbstractAsyncContextManager[Reply]]
"""Opens the replies to commands; raises as `OpenServer` does."""


@dataclass(frozen=True, slots=True)
class DaemonTerms:
    """Whom a daemon serves, and how long (seconds) it waits for another window."""

    identity: dict[str, object]
    idle: float


class DaemonServer:
    """Serves at one listening socket."""

    def __init__(
        self,
        door: Endpoint,
        terms: DaemonTerms,
        open_server: OpenServer,
        open_commands: OpenCommands,
        told: Callable[[], dict[str, Any]],
    ) -> None:
        """Serve windows and commands that mean `terms`; `told` adds to what the status tells."""
        self._door = door
        self._terms = terms
        self._open_server = open_server
        self._open_commands = open_commands
        self._told = told
        self._since = time.time()
        self._windows = 0
        self._changed = anyio.Event()
        self._stopping = False

    async def serve(self, listener: socket.socket) -> None:
        """Take visitors in at `listener` until it is idle, or asked to stop."""
        mark = await anyio.to_thread.run_sync(self._door.mark)
        async with anyio.create_task_group() as tasks:
            loop = asyncio.get_running_loop()
            server = await loop.create_unix_server(lambda: _Visitor(self, tasks), sock=listener)
            tasks.start_soon(self._until_astray, mark)
            await self._until_idle()
            with suppress(OSError):
                await anyio.to_thread.run_sync(self._door.leave, mark)
            server.close()
            tasks.cancel_scope.cancel()

    def stop(self) -> None:
        """Let `serve` end."""
        self._stopping = True
        self._tell()

    async def receive(self, visitor: Duplex, transport: asyncio.Transport) -> None:
        """Do what a visitor wishes, if it is this user's process."""
        writer = MessageWriter(transport, visitor)
        try:
            greeting = await self._greeted(visitor, transport)
            if greeting is not None:
                await self._grant(greeting, visitor, writer, transport)
        except (OSError, anyio.BrokenResourceError) as error:
            log.info("a visitor is gone: %s", error)
        except Exception:
            log.exception("a visitor could not be served")
        finally:
            transport.close()

    async def _greeted(self, visitor: Duplex, transport: asyncio.Transport) -> Handshake | None:
        if peer(transport.get_extra_info("socket")) != os.getuid():
            log.warning("another user's process was turned away")
            return None
        with anyio.move_on_after(HELLO_SECONDS):
            line = await visitor.take()
            with suppress(ValueError):
                return read_greeting(line or b"")
        log.info("somebody came and did not say what for")
        return None

    async def _grant(
        self,
        greeting: Handshake,
        client: Duplex,
        writer: MessageWriter,
        transport: asyncio.Transport,
    ) -> None:
        if greeting.wish in (STATUS, STOP):
            transport.write(json.dumps(self._status()).encode() + b"\n")
            if greeting.wish == STOP:
                self.stop()
        elif greeting.wish in (SERVE, COMMAND) and greeting.identity == self._terms.identity:
            await self._accompany(greeting, client, writer)
        else:
            writer.write_line(NOT_HERE)

    async def _accompany(self, greeting: Handshake, client: Duplex, writer: MessageWriter) -> None:
        """Serve a client from its first request to its end, if there is room for one more."""
        if not can_open(SPARE_FILES):
            log.warning("a window was turned away: no more files can be opened (`ulimit -n`)")
            writer.write_line(FULL)
            return
        self._count(+1)
        try:
            if greeting.wish == SERVE:
                await self._serve_window(greeting, client, writer)
            else:
                await self._serve_commands(greeting, client, writer)
        except FabricError:
            writer.write_line(NOT_HERE)  # it serves itself, and tells its user why it cannot
        finally:
            self._count(-1)

    async def _serve_window(
        self, greeting: Handshake, client: Duplex, writer: MessageWriter
    ) -> None:
        async with self._open_server(greeting) as server:
            writer.write_line(WELCOME)
            options = server.create_initialization_options(PUSHED)
            await server.run(MessageReader(client, writer), writer, options)

    async def _serve_commands(
        self, greeting: Handshake, client: Duplex, writer: MessageWriter
    ) -> None:
        async with self._open_commands(greeting) as reply, _cancelled_at_the_end_of(client):
            writer.write_line(WELCOME)
            while (line := await client.take()) is not None:
                writer.write_line(await reply(line))
                await client.drain()

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "since": self._since,
            "windows": self._windows,
            "idle_seconds": self._terms.idle,
            "log": self._door.log,
            **self._told(),
        }

    async def _until_idle(self) -> None:
        patience = self._patience and max(self._patience, HELLO_SECONDS)  # our starter is coming
        while not self._stopping:
            changed = self._changed
            with anyio.move_on_after(patience if self._windows == 0 else None) as rest:
                await changed.wait()
            patience = self._patience
            if rest.cancelled_caught and self._windows == 0:
                log.info("nobody has come for %g s", self._terms.idle)
                return

    @property
    def _patience(self) -> float | None:
        """How long to wait for another window, None for ever, as 0 is never everywhere."""
        return self._terms.idle or None

    async def _until_astray(self, mark: tuple[int, int]) -> None:
        """Stop when the socket is not there any more: a home that was taken away has other eyes."""
        there = True
        while there:
            await anyio.sleep(LOOK_EVERY)
            there = await anyio.to_thread.run_sync(self._door.is_marked, mark)
        log.warning("the socket is gone from %s", self._door.folder)
        self.stop()

    def _count(self, change: int) -> None:
        self._windows += change
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


@asynccontextmanager
async def _cancelled_at_the_end_of(client: Duplex) -> AsyncGenerator[None]:
    """Cancel the block when the client is gone, as its user interrupts it."""

    async def cancel() -> None:
        await client.ended.wait()
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancel)
        yield
        tasks.cancel_scope.cancel()


class _Visitor(Duplex):
    """Somebody at the door."""

    def __init__(self, host: DaemonServer, tasks: TaskGroup) -> None:
        super().__init__()
        self._host = host
        self._tasks = tasks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if isinstance(transport, asyncio.Transport):
            self._tasks.start_soon(self._host.receive, self, transport)
