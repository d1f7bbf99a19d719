"""Listening socket and uvicorn server, with limits for slow, greedy and broken clients."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http import HTTPStatus

import anyio
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from context7_fabric.errors import PortError, SettingError
from context7_fabric.process import file_limit
from context7_fabric.settings.values import WebSettings

HEAD_SECONDS = 10.0
"""Seconds for the head of a request, from the connection or its first byte on."""

HEAD_BYTES = 2**16
"""Bytes of the head of a request."""

MOST_HEADERS = 200
"""Headers of one request: many small ones take far more memory than one large."""

MOST_CONNECTIONS = 1200
"""Connections at once; one more closes one that has no request."""

MOST_UNSENT = 2**26
"""Bytes of answers that wait for all clients together; a client that would wait for more is cut
off."""

READING_SECONDS = 30.0
"""Seconds in which a client has to read something of its answer."""

_FILES_BESIDE = 100
"""Files that the process needs beside its connections."""

_AROUND_A_HEADER = 4
_END_OF_HEAD = b"\r\n\r\n"


@cache
def most_connections() -> int:
    """Return the most connections that this process has file descriptors for."""
    files = file_limit(2 * MOST_CONNECTIONS)
    return min(MOST_CONNECTIONS, max(files // 2, files - _FILES_BESIDE))


class LimitedConnection(HttpToolsProtocol):
    """A connection whose client can make the server neither wait nor keep much for it.

    uvicorn alone waits for ever for a whole head, and reads requests without end before it has
    answered the earlier ones.
    """

    gone: asyncio.Event
    """Set when everything is sent, or the client has left."""

    since = 0.0
    """Time of the connection, by the clock of the event loop."""

    _head_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None
    _head_size = 0  # as the parser reports it
    _head_headers = 0
    _head_fed: int | None = None  # bytes given to the parser for a head that is incomplete
    _quiet = 0  # bytes given to the parser since it last reported something
    _reported = False
    _refusal: HTTPStatus | None = None
    _pending = b""  # received behind a request that is not answered yet
    _fed = 0  # bytes of it that the parser has had

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Wait for a head; close a connection without a request where there are too many."""
        super().connection_made(transport)
        self.gone = asyncio.Event()
        self.since = self.loop.time()
        self._start_head_timer()
        if len(self.connections) > most_connections():
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Read up to the end of one request; the rest waits for its answer."""
        self._pending, self._fed = self._pending[self._fed :] + data, 0
        self._feed()

    def on_message_begin(self) -> None:
        """Wait for the rest of a head."""
        super().on_message_begin()
        self._head_size = self._head_headers = self._head_fed = 0
        self._start_head_timer()

    def on_url(self, url: bytes) -> None:
        """Count a part of the address."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header; the blanks behind it are no part of its value."""
        self._reported = True
        self._head_headers += 1
        self._count(name, value)
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """Stop waiting for the head."""
        self._head_fed = None
        self._stop_head_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._reported = True
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Read the next request, if it is pending."""
        super().on_response_complete()
        if self._pending and not self.transport.is_closing():
            self._feed()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or a head that is too large."""
        if self._refusal is None:
            super().send_400_response(msg)
        else:
            self._end(self._refusal)

    def pause_writing(self) -> None:
        """Wait a limited time for the client to read; cut it off where too much is unsent."""
        super().pause_writing()
        connections = _limited(self.connections)
        if sum(each.transport.get_write_buffer_size() for each in connections) > MOST_UNSENT:
            self.transport.abort()
        elif self._read_timer is None:
            self._start_read_timer()

    def resume_writing(self) -> None:
        """Stop watching the client's reading."""
        super().resume_writing()
        self._stop_read_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self._stop_head_timer()
        self._stop_read_timer()
        self._pending = b""
        super().connection_lost(exc)
        self.gone.set()

    @property
    def idle(self) -> bool:
        """No request is being answered."""
        return bool(getattr(self.cycle, "response_complete", True))

    @property
    def is_evictable(self) -> bool:
        """The connection is open, and no request is being answered."""
        return self.idle and not self.transport.is_closing()

    def _feed(self) -> None:
        """Give the parser what is pending, up to a request that is not answered at once."""
        while self._pending and not self.transport.is_closing():
            if not self.idle and not self.cycle.more_body:
                self.flow.pause_reading()
                return
            if self.idle:
                self._start_head_timer()
            part = self._next_part()
            self._reported = False
            super().data_received(part)
            self._count_unreported(len(part))

    def _count_unreported(self, size: int) -> None:
        """Count what the parser keeps silently: a head, or a line behind a chunk of a body."""
        self._quiet = 0 if self._reported else self._quiet + size
        if self._head_fed is not None:
            self._head_fed += size
        if max(self._quiet, self._head_fed or 0) > HEAD_BYTES and not self.transport.is_closing():
            self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _next_part(self) -> bytes:
        """Take what is pending up to the end of a head, or all of it where no head ends."""
        found = self._pending.find(_END_OF_HEAD, self._fed)
        end = len(self._pending) if found < 0 else found + len(_END_OF_HEAD)
        part = self._pending[self._fed : end]
        self._fed = end
        if end == len(self._pending):
            self._pending, self._fed = b"", 0
        return part

    def _count(self, *parts: bytes) -> None:
        """Count the bytes of a head, and of the trailers behind a body.

        Raises:
            ValueError: There are too many, which stops the parser.
        """
        self._head_size += sum(map(len, parts)) + _AROUND_A_HEADER
        if self._head_size > HEAD_BYTES or self._head_headers > MOST_HEADERS:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise ValueError("the head is too large")

    def _make_room(self) -> None:
        """Close the oldest connection without a request, or this one where all have one."""
        others = [
            each for each in _limited(self.connections) if each is not self and each.is_evictable
        ]
        oldest = min(others, key=lambda each: each.since, default=self)
        oldest._end(HTTPStatus.SERVICE_UNAVAILABLE)  # noqa: SLF001  # of the same class

    def _start_read_timer(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        self._read_timer = self.loop.call_later(READING_SECONDS, self._check_reading, unsent)

    def _check_reading(self, before: int) -> None:
        """Cut off a client that has read nothing since `before` bytes were unsent."""
        if self.transport.get_write_buffer_size() >= before:
            self.transport.abort()
        else:
            self._start_read_timer()

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(
                HEAD_SECONDS, self._end, HTTPStatus.REQUEST_TIMEOUT
            )

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end(self, status: HTTPStatus) -> None:
        head = f"HTTP/1.1 {status} {status.phrase}\r\nConnection: close\r\n"
        self.transport.write(f"{head}Content-Length: 0\r\n\r\n".encode())
        self.transport.close()


def _limited(connections: Iterable[object]) -> list[LimitedConnection]:
    return [each for each in connections if isinstance(each, LimitedConnection)]


DEFAULT_PORT = 3000
PORTS_TRIED = 11
"""The port asked for and the next ten, as upstream does."""

ARRIVING = 0.02
"""Seconds for requests on open connections to arrive, once no new connection is accepted."""

LAST_BYTES = 0.3
"""Seconds for answers to reach their clients at shutdown, once all are made."""


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket on `port`, or on the first free of the next ten.

    Raises:
        PortError: All of them are in use or forbidden.
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
    """Listen without Nagle's delay: asyncio keeps it for sockets that it did not create."""
    listening = socket.create_server((host, port), family=family)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


class HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers; the command has its own."""

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        """Serve `app`; log through the program's logging.

        Raises:
            SettingError: Certificate and key do not match, or cannot be read.
        """
        config = uvicorn.Config(
            app,
            http=LimitedConnection,
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
        """Refuse new connections, close idle ones, and wait up to `seconds` for open answers.

        Each answer then closes its connection.
        """
        for listening in self.servers:
            listening.close()
        for each in _limited(self.server_state.connections):
            if not each.idle:
                each.shutdown()
        await asyncio.sleep(ARRIVING)
        connections = _limited(self.server_state.connections)
        answering = [each for each in connections if not each.idle]
        for each in connections:
            each.shutdown()
        with anyio.move_on_after(seconds):
            for task in tuple(self.server_state.tasks):
                await asyncio.wait([task])
            with anyio.move_on_after(LAST_BYTES):
                for each in answering:
                    await each.gone.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: the command handles the signals."""
        yield
