"""`serve`: run the MCP server, with the options of upstream's command."""

from __future__ import annotations

import argparse
import os
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskStatus

from context7_fabric.cli.text import CommandParser, print_note
from context7_fabric.mcp_server.server import build_client_server
from context7_fabric.process import leave, prepare_server, set_up_logging
from context7_fabric.relay.handshake import working_directory
from context7_fabric.relay.usage import suggestion
from context7_fabric.runtime.home_migration import settled
from context7_fabric.runtime.runtime import Runtime, open_runtime
from context7_fabric.settings import Settings, read_settings
from context7_fabric.settings.reader import is_host

if TYPE_CHECKING:
    from context7_fabric.http_server.app import HttpSite
    from context7_fabric.http_server.listener import HttpServer

TRANSPORTS = ("stdio", "http", "sse")
CALLS_FINISH = 2.0
"""Seconds that calls over HTTP may take at shutdown; streams end at once."""

CLOSE_SECONDS = 0.35
"""Seconds that closing may take at shutdown; then the process ends."""


def run(words: list[str]) -> int:
    """Serve until the client disconnects or a signal comes; then end the process."""
    options, _ignored = _parser().parse_known_args(words)
    problem = _conflict(options)
    if problem is not None:
        print_note(problem)
        return 2
    directory = Path(working_directory())
    settings = read_settings(os.environ, api_key=options.api_key, directory=directory)
    set_up_logging(settings.log_level)
    settings = settled(settings)
    if options.transport == "stdio":
        anyio.run(_stdio, settings)
    else:
        host = str(options.host or settings.web.host)
        anyio.run(_http, settings, host, _port(options.port) or 0)
    return leave()


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "context7-fabric serve",
        description="Serve MCP. Options of upstream's command that are not listed are ignored.",
    )
    parser.add_argument("--transport", default="stdio", metavar="|".join(TRANSPORTS))
    parser.add_argument("--port", metavar="N", help="HTTP and SSE only; 3000, or the next free one")
    parser.add_argument(
        "--host", metavar="ADDRESS", help="HTTP and SSE only; 127.0.0.1, others need tokens"
    )
    parser.add_argument("--api-key", metavar="KEY", help="stdio only; or set CONTEXT7_API_KEY")
    return parser


def _conflict(options: argparse.Namespace) -> str | None:
    """Return an error in the options, in upstream's wording where it has one."""
    transport = options.transport
    if transport not in TRANSPORTS:
        listed = ", ".join(TRANSPORTS)
        hint = suggestion(transport, TRANSPORTS)
        return f"Invalid --transport value: '{transport}'. Must be one of: {listed}{hint or '.'}"
    if transport == "stdio" and options.port is not None:
        return "The --port flag is not allowed when using --transport stdio."
    if transport != "stdio" and options.api_key is not None:
        return (
            f"The --api-key flag is not allowed when using --transport {transport}."
            " Set CONTEXT7_API_KEY for the server instead."
        )
    if options.port is not None and _port(options.port) is None:
        return f"--port: {options.port!r} is not a port number (1 to 65535)."
    if options.host is not None and not is_host(options.host):
        return f"--host: {options.host!r} is not an address or the name of a host."
    return None


def _port(text: str | None) -> int | None:
    """Return the port in `text`, 0 for any free one, None if it is invalid."""
    from context7_fabric.http_server.listener import DEFAULT_PORT

    if text is None:
        return DEFAULT_PORT
    return int(text) if text.isascii() and text.isdigit() and int(text) < 2**16 else None


def serve_here(connection: socket.socket, environ: Mapping[str, str], api_key: str | None) -> None:
    """Serve one client over `connection` in a thread, by the settings in `environ`."""
    settings = read_settings(environ, api_key=api_key, directory=Path(working_directory()))
    set_up_logging(settings.log_level)
    Thread(target=anyio.run, args=(_connection, settled(settings), connection), daemon=True).start()


async def _connection(settings: Settings, connection: socket.socket) -> None:
    from context7_fabric.mcp_server.stdio import serve_socket

    async with open_runtime(settings, traced=True) as runtime, runtime.app(settings) as app:
        await serve_socket(build_client_server(app.services, app.principal, settings), connection)


async def _stdio(settings: Settings) -> None:
    from context7_fabric.mcp_server.stdio import serve_stdio

    prepare_server()
    async with (
        open_runtime(settings, traced=True) as runtime,
        _ended_by_signal(partial(_close, runtime)),
        runtime.app(settings) as app,
    ):
        await serve_stdio(build_client_server(app.services, app.principal, settings))
        await _close(runtime)
        leave()


async def _http(settings: Settings, host: str, port: int) -> None:
    from context7_fabric.http_server.app import build_site, read_tokens
    from context7_fabric.http_server.listener import HttpServer, bound_socket
    from context7_fabric.runtime.health import watch_loop
    from context7_fabric.telemetry.metrics import Metrics

    prepare_server()
    tokens, metrics = read_tokens(settings.web, host), Metrics()
    async with (
        open_runtime(settings, observers=[metrics], traced=True) as runtime,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(watch_loop, metrics.loop_was_late)
        site = build_site(runtime, settings, tokens, tasks, metrics)
        server = HttpServer(site.app, settings.web)
        listening = bound_socket(host, port)
        scheme = "http" if settings.web.certificate is None else "https"
        async with _ended_by_signal(partial(_finish, site, server, runtime)):
            _announce(scheme, host, listening.getsockname()[1])
            await server.serve(sockets=[listening])


def _announce(scheme: str, host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    address = f"{scheme}://{shown}:{port}"
    print_note(f"context7-fabric serves MCP at {address}/mcp and /sse")


async def _finish(site: HttpSite, server: HttpServer, runtime: Runtime) -> None:
    site.close_streams()
    await server.finish(CALLS_FINISH)
    await _close(runtime)


@asynccontextmanager
async def _ended_by_signal(end: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Run `end` and exit at SIGTERM or SIGINT; exit at once at the second signal."""
    async with anyio.create_task_group() as tasks:
        await tasks.start(_wait_for_signals, end)
        yield
        tasks.cancel_scope.cancel()


async def _wait_for_signals(
    end: Callable[[], Awaitable[None]], *, task_status: TaskStatus[None]
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async with anyio.create_task_group() as tasks:
            await anext(signals)
            tasks.start_soon(_end_and_leave, end)
            await anext(signals)
            leave()


async def _end_and_leave(end: Callable[[], Awaitable[None]]) -> None:
    await end()
    leave()


async def _close(runtime: Runtime) -> None:
    with anyio.move_on_after(CLOSE_SECONDS, shield=True):
        await runtime.aclose()
