"""Serving over HTTP: `/mcp` (streamable HTTP, both eras), `/sse` with `/messages/` (legacy)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.sse import SseServerTransport
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from context7_fabric.errors import PortError
from context7_fabric.protocol.notices import PUSHED

DEFAULT_PORT = 3000
PORTS_TRIED = 11
"""The port asked for and the next ten, as upstream does."""

STOP_SECONDS = 1
MAX_BODY = 2**20
_LOOPBACK = TransportSecuritySettings(
    enable_dns_rebinding_protection=True,
    allowed_hosts=["127.0.0.1:*", "localhost:*", "[::1]:*"],
    allowed_origins=["http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*"],
)


def http_app(server: Server[Any]) -> Starlette:
    """Return the ASGI application that serves `server` to clients on this machine."""
    events = SseServerTransport("/messages/", _LOOPBACK, MAX_BODY)
    options = server.create_initialization_options(PUSHED)

    async def serve_events(request: Request) -> Response:
        async with events.connect_sse(request.scope, request.receive, request._send) as streams:  # noqa: SLF001  # the SDK's documented way
            await server.run(streams[0], streams[1], options)
        return Response()

    return server.streamable_http_app(
        stateless_http=True,
        max_request_body_size=MAX_BODY,
        transport_security=_LOOPBACK,
        custom_starlette_routes=[
            Route("/sse", serve_events, methods=["GET"]),
            Mount("/messages/", events.handle_post_message),  # type: ignore[list-item]  # any route will do
            Route("/ping", _ping),
        ],
    )


async def _ping(_request: Request) -> Response:
    return JSONResponse({"status": "ok", "message": "pong"})


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket on `port`, or on the first free of the next ten.

    Raises:
        PortError: None of them can be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last = min(port + PORTS_TRIED - 1, 65535)
    for candidate in range(port, last):
        with suppress(OSError):
            return _listening(host, candidate, family)
    try:
        return _listening(host, last, family)
    except OSError as error:
        raise PortError(host, port, last, error.strerror or str(error)) from error


def _listening(host: str, port: int, family: socket.AddressFamily) -> socket.socket:
    """Listen without Nagle's delay: asyncio leaves it on for sockets that it did not make."""
    listening = socket.create_server((host, port), family=family)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


class HttpServer(uvicorn.Server):
    """uvicorn, stopped by us: signals are the command's business."""

    def __init__(self, app: Starlette) -> None:
        """Serve `app`; logs go where the program's logging goes."""
        super().__init__(
            uvicorn.Config(
                app, log_config=None, access_log=False, timeout_graceful_shutdown=STOP_SECONDS
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    def stop(self) -> None:
        """Let `serve` return once open requests are done or out of time."""
        self.should_exit = True
