"""Serves an ASGI application on a free loopback port, from a thread of its own.

Uvicorn's protocol speaks HTTP; its server loop is left out, because that polls and would cost each
test a quarter of a second at the end.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anyio.from_thread import start_blocking_portal
from starlette.types import ASGIApp, Receive, Scope
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

LAST_WORDS = 1.0


@contextmanager
def serving(app: ASGIApp, port: int = 0) -> Iterator[int]:
    """Serve an application for the length of the block; yields the port, 0 is any free one.

    A request that the application has not answered by then loses its connection.
    """
    listener = _Listener(app, port)
    with start_blocking_portal(name="stand-in") as portal:
        try:
            yield portal.call(listener.start)
        finally:
            portal.call(listener.stop)


async def hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection of the request in hand, after what was already sent."""
    scope["state"]["transport"].close()
    while (await receive())["type"] != "http.disconnect":
        pass


class _Protocol(H11Protocol):
    """Hands its transport to the application, so that `hang_up` can close it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state: dict[str, Any] = {"transport": transport}


class _Listener:
    def __init__(self, app: ASGIApp, port: int) -> None:
        self._port = port
        self._config = Config(app, http=_Protocol, ws="none", lifespan="off", log_config=None)
        self._state = ServerState()

    async def start(self) -> int:
        self._config.load()
        address = socket.create_server(("127.0.0.1", self._port))
        address.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does not see to it
        self._server = await asyncio.get_running_loop().create_server(self._protocol, sock=address)
        port: int = address.getsockname()[1]
        return port

    async def stop(self) -> None:
        self._server.close()
        for connection in list(self._state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        if self._state.tasks:
            _, stuck = await asyncio.wait(self._state.tasks, timeout=LAST_WORDS)
            for task in stuck:
                task.cancel()
        await self._server.wait_closed()

    def _protocol(self) -> asyncio.Protocol:
        return _Protocol(self._config, self._state, {})
