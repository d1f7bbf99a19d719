"""Listening for HTTP: the port, and the server behind it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import anyio
import uvicorn
from starlette.types import ASGIApp

from context7_fabric.errors import PortError, SettingError
from context7_fabric.settings.values import WebSettings
from context7_fabric.web.connections import GuardedConnection

DEFAULT_PORT = 3000
PORTS_TRIED = 11
"""The port asked for and the next ten, as upstream does."""

ARRIVING = 0.02
"""How long those who are in already may take to ask, once nobody else comes in."""

LAST_BYTES = 0.3
"""How long an answer may still be on its way to a client at the end, once all are given."""


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
    """uvicorn without its signals, which are the command's business."""

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        """Serve `app`; logs go where the program's logging goes.

        Raises:
            SettingError: Certificate and key are no pair, or cannot be read.
        """
        config = uvicorn.Config(
            app,
            http=GuardedConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.proxies),
            forwarded_allow_ips=list(settings.proxies),
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.certificate_key,
        )
        try:
            config.load()
        except OSError as error:
            if settings.certificate is None:
                raise
            expected = f"a certificate in PEM whose key is in CONTEXT7_FABRIC_TLS_KEY: {error}"
            path = str(settings.certificate)
            raise SettingError("CONTEXT7_FABRIC_TLS_CERT", path, expected) from error
        super().__init__(config)
        self.servers = []

    async def finish(self, seconds: float) -> None:
        """Refuse whoever comes, close what idles, let what is being answered finish.

        That takes `seconds` at most; an answer closes its connection.
        """
        for listening in self.servers:
            listening.close()
        for each in self._heads():
            if not each.idle:
                each.shutdown()
        await asyncio.sleep(ARRIVING)
        heads = self._heads()
        answering = [each for each in heads if not each.idle]
        for each in heads:
            each.shutdown()
        with anyio.move_on_after(seconds):
            for task in tuple(self.server_state.tasks):
                await asyncio.wait([task])
            with anyio.move_on_after(LAST_BYTES):
                for each in answering:
                    await each.gone.wait()

    def _heads(self) -> list[GuardedConnection]:
        return [
            each for each in self.server_state.connections if isinstance(each, GuardedConnection)
        ]

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield
