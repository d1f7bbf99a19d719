"""Daemon server: accepts this user's clients, reports its status, and ends when idle."""

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
    """The first line of a client; its environment may hold keys."""

    wish: str
    identity: dict[str, object]
    window: dict[str, str] = field(repr=False)
    directory: str = "/"
    api_key: str | None = field(default=None, repr=False)

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables that the client's settings are read from."""
        shared = self.identity.get("environment")
        return {**(shared if isinstance(shared, dict) else {}), **self.window}


_HANDSHAKE = TypeAdapter(Handshake)


def read_handshake(line: bytes) -> Handshake:
    """Return the handshake on `line`, a literal of Python.

    Raises:
        ValueError: It is not a handshake.
    """
    if len(line) > LONGEST:
        raise ValueError("the line is too long")
    try:
        return _HANDSHAKE.validate_python(ast.literal_eval(line.decode("ascii")))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("the line is not a handshake") from error


log = logging.getLogger(__name__)

LOOK_EVERY = 10.0
"""Seconds between checks of the socket's file."""

HELLO_SECONDS = 2.0
"""Seconds that a connection may take for its handshake."""

SPARE_FILES = 4
"""Files that must be free for a client to be accepted: for refusals, and for the store."""

OpenServer = Callable[[Handshake], AbstractAsyncContextManager[Server[Any]]]
"""Opens the MCP server of a client; raises a `FabricError` when its settings cannot be used."""

Reply = Callable[[bytes], Awaitable[bytes]]
"""Returns the reply to a command's request; both are lines without their ends."""

OpenCommands = Callable[[Handshake], AbstractAsyncContextManager[Reply]]
"""Opens the replies to commands; raises as `OpenServer` does."""


@dataclass(frozen=True, slots=True)
class DaemonTerms:
    """Identity that a daemon serves, and its seconds of waiting.

    `idle` is the wait for another client (0: no end), `handshake` the one for a connection's first
    line; the socket's file is checked `look_every` so many seconds.
    """

    identity: dict[str, object]
    idle: float
    handshake: float = HELLO_SECONDS
    look_every: float = LOOK_EVERY


class DaemonServer:
    """Serves the clients of one listening socket."""

    def __init__(
        self,
        endpoint: Endpoint,
        terms: DaemonTerms,
        open_server: OpenServer,
        open_commands: OpenCommands,
        figures: Callable[[], dict[str, Any]],
    ) -> None:
        """Serve sessions and commands by `terms`; `figures` are added to the status."""
        self._endpoint = endpoint
        self._terms = terms
        self._open_server = open_server
        self._open_commands = open_commands
        self._figures = figures
        self._since = time.time()
        self._clients = 0
        self._changed = anyio.Event()
        self._stopping = False

    async def serve(self, listener: socket.socket) -> None:
        """Accept clients at `listener` until the daemon is idle or is to stop."""
        socket_id = await anyio.to_thread.run_sync(self._endpoint.socket_id)
        async with anyio.create_task_group() as tasks:
            loop = asyncio.get_running_loop()
            server = await loop.create_unix_server(lambda: _Connection(self, tasks), sock=listener)
            tasks.start_soon(self._until_replaced, socket_id)
            await self._until_idle()
            with suppress(OSError):
                await anyio.to_thread.run_sync(self._endpoint.remove, socket_id)
            server.close()
            tasks.cancel_scope.cancel()

    def stop(self) -> None:
        """Let `serve` end."""
        self._stopping = True
        self._wake()

    async def receive(self, client: Duplex, transport: asyncio.Transport) -> None:
        """Serve a client, if it is this user's process."""
        writer = MessageWriter(transport, client)
        try:
            handshake = await self._handshake(client, transport)
            if handshake is not None:
                await self._grant(handshake, client, writer)
        except (OSError, anyio.BrokenResourceError) as error:
            log.info("a client is gone: %s", error)
        except Exception:
            log.exception("a client could not be served")
        finally:
            transport.close()

    async def _handshake(self, client: Duplex, transport: asyncio.Transport) -> Handshake | None:
        if peer(transport.get_extra_info("socket")) != os.getuid():
            log.warning("refused a connection of another user's process")
            return None
        with anyio.move_on_after(self._terms.handshake):
            line = await client.take()
            with suppress(ValueError):
                return read_handshake(line or b"")
        log.info("closed a connection without a valid handshake")
        return None

    async def _grant(
        self,
        handshake: Handshake,
        client: Duplex,
        writer: MessageWriter,
    ) -> None:
        if handshake.wish in (STATUS, STOP):
            writer.write_line(json.dumps(self._status()).encode())
            if handshake.wish == STOP:
                self.stop()
        elif handshake.wish in (SERVE, COMMAND) and handshake.identity == self._terms.identity:
            await self._serve(handshake, client, writer)
        else:
            writer.write_line(NOT_HERE)

    async def _serve(self, handshake: Handshake, client: Duplex, writer: MessageWriter) -> None:
        """Serve a client from its first request to its end, if there is room for one more."""
        if not can_open(SPARE_FILES):
            log.warning("refused a client: no more files can be opened (`ulimit -n`)")
            writer.write_line(FULL)
            return
        self._count(+1)
        try:
            if handshake.wish == SERVE:
                await self._serve_session(handshake, client, writer)
            else:
                await self._serve_commands(handshake, client, writer)
        except FabricError:
            writer.write_line(NOT_HERE)  # its own process reports the setting
        finally:
            self._count(-1)

    async def _serve_session(
        self, handshake: Handshake, client: Duplex, writer: MessageWriter
    ) -> None:
        async with self._open_server(handshake) as server:
            writer.write_line(WELCOME)
            options = server.create_initialization_options(PUSHED)
            await server.run(MessageReader(client, writer), writer, options)

    async def _serve_commands(
        self, handshake: Handshake, client: Duplex, writer: MessageWriter
    ) -> None:
        async with self._open_commands(handshake) as reply, _cancelled_at_the_end_of(client):
            writer.write_line(WELCOME)
            while (line := await client.take()) is not None:
                writer.write_line(await reply(line))
                await client.drain()

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "since": self._since,
            "windows": self._clients,
            "idle_seconds": self._terms.idle,
            "log": self._endpoint.log,
            **self._figures(),
        }

    async def _until_idle(self) -> None:
        # The first client, which started this process, connects within these seconds.
        patience = self._patience and max(self._patience, self._terms.handshake)
        while not self._stopping:
            changed = self._changed
            with anyio.move_on_after(patience if self._clients == 0 else None) as rest:
                await changed.wait()
            patience = self._patience
            if rest.cancelled_caught and self._clients == 0:
                log.info("idle for %g s", self._terms.idle)
                return

    @property
    def _patience(self) -> float | None:
        """Seconds to wait for another client, None for no end."""
        return self._terms.idle or None

    async def _until_replaced(self, socket_id: tuple[int, int]) -> None:
        """Stop when the socket is gone: no client can reach this daemon any more."""
        current = True
        while current:
            await anyio.sleep(self._terms.look_every)
            current = await anyio.to_thread.run_sync(self._endpoint.is_current, socket_id)
        log.warning("the socket is gone from %s", self._endpoint.folder)
        self.stop()

    def _count(self, change: int) -> None:
        self._clients += change
        self._wake()

    def _wake(self) -> None:
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


class _Connection(Duplex):
    """Connection of one client."""

    def __init__(self, server: DaemonServer, tasks: TaskGroup) -> None:
        super().__init__()
        self._server = server
        self._tasks = tasks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if isinstance(transport, asyncio.Transport):
            self._tasks.start_soon(self._server.receive, self, transport)
