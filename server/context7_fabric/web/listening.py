"""Listening for HTTP: the port, the server behind it, and clients that take their time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

import anyio
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from context7_fabric.errors import PortError, SettingError
from context7_fabric.web.settings import WebSettings

DEFAULT_PORT = 3000
PORTS_TRIED = 11
"""The port asked for and the next ten, as upstream does."""

HEAD_SECONDS = 10.0
"""How long a client may take for the head of a request, from its connection or first byte on."""

HEAD_BYTES = 2**16
"""How large the head of a request may be."""

ARRIVING = 0.02
"""How long those who are in already may take to ask, once nobody else comes in."""

LAST_BYTES = 0.3
"""How long an answer may still be on its way to a client at the end, once all are given."""


def raise_file_limit() -> None:
    """Let this process have as many files as it may at all: each open stream is one."""
    try:
        import resource  # noqa: PLC0415  # Windows has no such limit
    except ImportError:
        return
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems name a hard limit that they do not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


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


class GuardedHead(HttpToolsProtocol):
    """Ends connections over which no whole head comes in time; uvicorn would wait for ever."""

    gone: asyncio.Event
    """Set when all that was to be sent is sent, or the client has left."""

    _waiting: asyncio.TimerHandle | None = None
    _taken: int | None = None  # bytes of a head that is not whole yet

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait."""
        super().connection_made(transport)
        self.gone = asyncio.Event()
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Begin to wait also when blank lines come between requests; end heads without end."""
        if getattr(self.cycle, "response_complete", True):
            self._wait()
        super().data_received(data)
        if self._taken is not None:
            self._taken += len(data)
            if self._taken > HEAD_BYTES:
                self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a head."""
        super().on_message_begin()
        self._taken = 0
        self._wait()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header without the blanks behind it, which are no part of its value."""
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """Wait no more."""
        self._taken = None
        self._wait_no_more()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        super().connection_lost(exc)
        self.gone.set()

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return bool(getattr(self.cycle, "response_complete", True))

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(
                HEAD_SECONDS, self._end, HTTPStatus.REQUEST_TIMEOUT
            )

    def _end(self, status: HTTPStatus) -> None:
        head = f"HTTP/1.1 {status} {status.phrase}\r\nConnection: close\r\n"
        self.transport.write(f"{head}Content-Length: 0\r\n\r\n".encode())
        self.transport.close()

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


class HttpServer(uvicorn.Server):
    """uvicorn without its signals, which are the command's business."""

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        """Serve `app`; logs go where the program's logging goes.

        Raises:
            SettingError: Certificate and key are no pair, or cannot be read.
        """
        config = uvicorn.Config(
            app,
            http=GuardedHead,
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

    def _heads(self) -> list[GuardedHead]:
        return [each for each in self.server_state.connections if isinstance(each, GuardedHead)]

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield
