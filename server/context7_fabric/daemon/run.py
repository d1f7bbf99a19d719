"""Being the daemon: the household, its host, and the end of both."""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import socket
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import anyio
from mcp.server.lowlevel import Server

from context7_fabric.daemon.commands import AppCommands, reply_to
from context7_fabric.daemon.logs import DaemonLogHandler, remove_old_logs
from context7_fabric.daemon.server import DaemonServer, DaemonTerms, Handshake, Reply
from context7_fabric.errors import DaemonAlreadyRunning, FabricError, StoreUnavailable
from context7_fabric.mcp_server.server import build_server
from context7_fabric.process import leave, raise_file_limit, set_up_logging
from context7_fabric.relay.endpoint import Endpoint
from context7_fabric.relay.handshake import NOT_HERE, identity
from context7_fabric.runtime.app import App
from context7_fabric.runtime.runtime import Runtime, open_runtime
from context7_fabric.settings import Settings, read_settings

log = logging.getLogger(__name__)

LAST_WORDS = 2.0
"""Seconds that closing may take at the end; after that the process goes all the same."""


def run_daemon(door: Endpoint, environ: Mapping[str, str], inherited: int | None) -> NoReturn:
    """Serve windows until there is no more need.

    The listening socket is the descriptor `inherited` of whoever started us, who reads no log on
    stderr, or one of our own.

    Raises:
        SettingError: A variable of `environ` holds something that cannot be used.
        DaemonRuns: It has one already.
        StoreUnavailable: The home cannot be used.
    """
    try:
        settings = read_settings(environ)
    except FabricError:
        turn_away(inherited)
        raise
    level = "info" if settings.log_level == "warning" else settings.log_level  # nobody is disturbed
    set_up_logging(level, None if inherited is None else DaemonLogHandler(Path(door.log)))
    listener = socket.socket(fileno=inherited) if inherited is not None else _own_listener(door)
    remove_old_logs(Path(door.folder), time.time())
    terms = DaemonTerms(identity(environ), settings.daemon.idle)
    anyio.run(_serve, door, terms, settings, listener)
    leave()


def turn_away(listener: int | None) -> None:
    """Tell whoever waits at the descriptor `listener` that there is nobody to serve it."""
    if listener is None:
        return
    with socket.socket(fileno=listener) as waiting, suppress(OSError):
        waiting.settimeout(0)
        while True:
            waiting.accept()[0].sendall(NOT_HERE + b"\n")


def _own_listener(door: Endpoint) -> socket.socket:
    try:
        return door.claim()
    except FileExistsError as error:
        raise DaemonAlreadyRunning(door.home) from error
    except OSError as error:
        raise StoreUnavailable("open", error.strerror or str(error)) from error


async def _serve(
    door: Endpoint, terms: DaemonTerms, settings: Settings, listener: socket.socket
) -> None:
    raise_file_limit()
    async with open_runtime(settings, linger=terms.idle or None, traced=True) as household:
        host = DaemonServer(
            door,
            terms,
            partial(_server_for, household),
            partial(_commands_for, household),
            partial(_figures, household),
        )
        log.info("the daemon %d serves %s", os.getpid(), settings.home)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_wait_for_signal, host)
            gc.freeze()
            await host.serve(listener)
            log.info("the daemon %d ends", os.getpid())
            with anyio.move_on_after(LAST_WORDS, shield=True):
                await household.aclose()
            # Its windows find their calls unanswered, and ask the next daemon.
            leave()


async def _wait_for_signal(host: DaemonServer) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _signal in signals:
            host.stop()


@asynccontextmanager
async def _server_for(runtime: Runtime, handshake: Handshake) -> AsyncGenerator[Server[Any]]:
    """Open the MCP server for one window."""
    settings = _settings_of(handshake)
    async with _open_app(runtime, settings) as app:
        yield build_server(app.desk, app.principal, meta=settings.meta)


@asynccontextmanager
async def _commands_for(runtime: Runtime, handshake: Handshake) -> AsyncGenerator[Reply]:
    """Open the replies to the requests of one command."""
    async with _open_app(runtime, _settings_of(handshake)) as app:
        yield partial(reply_to, AppCommands(app))


@asynccontextmanager
async def _open_app(runtime: Runtime, settings: Settings) -> AsyncGenerator[App]:
    async with runtime.app(settings) as app:
        yield app
        await app.flush()


def _settings_of(handshake: Handshake) -> Settings:
    """Read the settings from the client's own environment."""
    directory = Path(handshake.directory)
    return read_settings(handshake.environ, api_key=handshake.api_key, directory=directory)


def _figures(household: Runtime) -> dict[str, Any]:
    """Return how many upstreams are served, and the resident memory in bytes, 0 if not told."""
    return {"apps": len(household.open_apps), "memory": _resident()}


def _resident() -> int:
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()
