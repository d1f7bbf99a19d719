"""HTTP stand-ins: an ASGI application on a free loopback port, and ways to hold its requests.

An application is served from a thread of its own. Uvicorn's protocol speaks HTTP; its server loop
polls, which would cost each test a quarter of a second at the end, and is left out.
"""

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from threading import Condition
from typing import Any

from anyio import to_thread
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
    listener = Listener(app, port)
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
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state: dict[str, Any] = {"transport": transport}


class Listener:
    """An application at a port, in the loop that starts it."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._port = port
        self._config = Config(app, http=_Protocol, ws="none", lifespan="off", log_config=None)
        self._state = ServerState()

    async def start(self) -> int:
        self._config.load()
        address = socket.create_server(("127.0.0.1", self._port))
        address.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does not see to it
        protocol = lambda: _Protocol(self._config, self._state, {})  # noqa: E731
        self._server = await asyncio.get_running_loop().create_server(protocol, sock=address)
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


class Latch:
    """Closed until any thread opens it; requests wait for it inside the stand-in's loop."""

    def __init__(self) -> None:
        self._opened: Future[None] = Future()

    def open(self) -> None:
        with suppress(InvalidStateError):  # it is open
            self._opened.set_result(None)

    async def passed(self, seconds: float | None = None) -> None:
        await asyncio.wait([asyncio.wrap_future(self._opened)], timeout=seconds)


class Arrivals:
    """A count of requests; tests wait for it, with a loop of their own or without."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = Condition()

    def add(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def reset(self) -> None:
        with self._changed:
            self._count = 0

    def wait_for(self, count: int, seconds: float = 30) -> None:
        """Block until so many have arrived; raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._count >= count, seconds):
                raise TimeoutError(f"{self._count} of {count} requests after {seconds} s")

    async def arrived(self, count: int, seconds: float = 30) -> None:
        await to_thread.run_sync(self.wait_for, count, seconds)


class Gate(Arrivals):
    """Holds every request that arrives until the release."""

    def __init__(self) -> None:
        super().__init__()
        self._latch = Latch()

    def release(self) -> None:
        self._latch.open()

    async def pass_through(self) -> None:
        self.add()
        await self._latch.passed()
