"""The daemon's process: its runtime, its server, and the end of both."""

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
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import anyio
from mcp.server.lowlevel import Server

from context7_fabric.daemon.app_commands import AppCommands
from context7_fabric.daemon.commands import reply_to
from context7_fabric.daemon.logs import DaemonLogHandler, remove_old_logs
from context7_fabric.daemon.server import DaemonServer, DaemonTerms, Handshake, Reply
from context7_fabric.errors import DaemonAlreadyRunning, FabricError, StoreUnavailable
from context7_fabric.mcp_server.server import build_client_server
from context7_fabric.process import leave, prepare_server, set_up_logging
from context7_fabric.relay.endpoint import Endpoint
from context7_fabric.relay.handshake import NOT_HERE, identity
from context7_fabric.runtime.app import App
from context7_fabric.runtime.home_migration import settled
from context7_fabric.runtime.runtime import Runtime, open_runtime
from context7_fabric.settings import Settings, read_settings

log = logging.getLogger(__name__)

LAST_WORDS = 2.0
"""Seconds that closing may take at the end; after that the process goes all the same."""


def run_daemon(endpoint: Endpoint, environ: Mapping[str, str], inherited: int | None) -> NoReturn:
    """Serve clients until the daemon is idle.

    A client that starts the daemon passes the listening socket as the descriptor `inherited`; the
    log goes to a file then. Without one the daemon listens by itself, and logs to stderr.

    Raises:
        SettingError: A variable of `environ` holds something that cannot be used.
        DaemonAlreadyRunning: A daemon serves the home already.
        StoreUnavailable: The home cannot be used.
    """
    try:
        settings = read_settings(environ)
    except FabricError:
        refuse_waiting(inherited)
        raise
    level = "info" if settings.log_level == "warning" else settings.log_level
    set_up_logging(level, None if inherited is None else DaemonLogHandler(Path(endpoint.log)))
    listener = socket.socket(fileno=inherited) if inherited is not None else _own_listener(endpoint)
    remove_old_logs(Path(endpoint.folder), time.time())
    settings = settled(settings)
    terms = DaemonTerms(identity(environ), settings.daemon.idle)
    anyio.run(_serve, endpoint, terms, settings, listener)
    leave()


def refuse_waiting(listener: int | None) -> None:
    """Refuse the clients that wait at the descriptor `listener`: their processes serve them."""
    if listener is None:
        return
    with socket.socket(fileno=listener) as waiting, suppress(OSError):
        waiting.settimeout(0)
        while True:
            waiting.accept()[0].sendall(NOT_HERE + b"\n")


def _own_listener(endpoint: Endpoint) -> socket.socket:
    try:
        return endpoint.listen()
    except FileExistsError as error:
        raise DaemonAlreadyRunning(endpoint.home) from error
    except OSError as error:
        raise StoreUnavailable("open", error.strerror or str(error)) from error


async def _serve(
    endpoint: Endpoint, terms: DaemonTerms, settings: Settings, listener: socket.socket
) -> None:
    prepare_server()
    async with open_runtime(settings, linger=terms.idle or None, traced=True) as runtime:
        server = DaemonServer(
            endpoint,
            terms,
            partial(_server_for, runtime, settings.stays),
            partial(_commands_for, runtime, settings.stays),
            partial(_figures, runtime),
        )
        log.info("daemon %d serves %s", os.getpid(), settings.store_home)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_wait_for_signal, server)
            gc.freeze()
            await server.serve(listener)
            log.info("daemon %d ends", os.getpid())
            with anyio.move_on_after(LAST_WORDS, shield=True):
                await runtime.aclose()
            # Relays send requests without a response to the next daemon.
            leave()


async def _wait_for_signal(server: DaemonServer) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _signal in signals:
            server.stop()


@asynccontextmanager
async def _server_for(
    runtime: Runtime, stays: str | None, handshake: Handshake
) -> AsyncGenerator[Server[Any]]:
    """Open the MCP server for one window."""
    settings = _settings_of(handshake, stays)
    async with _open_app(runtime, settings) as app:
        yield build_client_server(app.services, app.principal, settings)


@asynccontextmanager
async def _commands_for(
    runtime: Runtime, stays: str | None, handshake: Handshake
) -> AsyncGenerator[Reply]:
    """Open the replies to the requests of one command."""
    settings = _settings_of(handshake, stays)
    async with _open_app(runtime, settings) as app:
        yield partial(reply_to, AppCommands(app, settings, repeats=True))


@asynccontextmanager
async def _open_app(runtime: Runtime, settings: Settings) -> AsyncGenerator[App]:
    async with runtime.app(settings) as app:
        yield app
        await app.flush()


def _settings_of(handshake: Handshake, stays: str | None) -> Settings:
    """Read the settings from the client's own environment; `stays` is the daemon's."""
    directory = Path(handshake.directory)
    settings = read_settings(handshake.environ, api_key=handshake.api_key, directory=directory)
    return replace(settings, stays=stays)


def _figures(runtime: Runtime) -> dict[str, Any]:
    """Return the number of open apps, and the resident memory in bytes, 0 if unknown."""
    return {"apps": len(runtime.open_apps), "memory": _resident()}


def _resident() -> int:
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()
