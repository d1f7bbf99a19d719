"""Listening for HTTP: the port, and the server behind it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
"""How long a client may take for the head of a request, from its connection or first byte on."""

HEAD_BYTES = 2**16
"""How large the head of a request may be."""

MOST_HEADERS = 200
"""Headers of one request: many small ones take far more memory than one large."""

MOST_CONNECTIONS = 1200
"""Connections at once; for one more, one without a request ends."""

MOST_UNSENT = 2**26
"""Bytes of answers that may wait for all clients together; who waits for more is cut off."""

READING_SECONDS = 30.0
"""Seconds in which a client has to read something of its answer."""

_FILES_BESIDE = 100
"""Files that the process needs beside its connections."""

_AROUND_A_HEADER = 4
_END_OF_HEAD = b"\r\n\r\n"


@cache
def most_connections() -> int:
    """Return how many connections there may be, as far as this process may have files."""
    files = file_limit(2 * MOST_CONNECTIONS)
    return min(MOST_CONNECTIONS, max(files // 2, files - _FILES_BESIDE))


@dataclass(slots=True)
class _Head:
    """How much of a head has come."""

    size: int = 0
    headers: int = 0


class LimitedConnection(HttpToolsProtocol):
    """A connection whose client cannot make the server wait, or keep more than a little, for it.

    uvicorn alone waits for ever for a whole head, and reads requests without end before it has
    answered those before them.
    """

    gone: asyncio.Event
    """Set when all that was to be sent is sent, or the client has left."""

    since = 0.0
    """When the connection was made, by the clock of the event loop."""

    _waiting: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _head = _Head()
    _taken: int | None = None  # bytes of a head that is not whole yet
    _quiet = 0  # bytes since the parser had something to tell
    _heard = False
    _refusal: HTTPStatus | None = None
    _unread = b""  # what comes behind a request that is not answered yet
    _read = 0  # bytes of it that the parser has had

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait, where there is room for one more."""
        super().connection_made(transport)
        self.gone = asyncio.Event()
        self.since = self.loop.time()
        self._wait()
        if len(self.connections) > most_connections():
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Read up to the end of one request; the rest waits until that is answered."""
        self._unread, self._read = self._unread[self._read :] + data, 0
        self._read_on()

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a head."""
        super().on_message_begin()
        self._head = _Head()
        self._taken = 0
        self._wait()

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header without the blanks behind it, which are no part of its value."""
        self._heard = True
        self._head.headers += 1
        self._count(name, value)
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """Wait no more."""
        self._taken = None
        self._wait_no_more()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._heard = True
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Read the next request, if it is here already."""
        super().on_response_complete()
        if self._unread and not self.transport.is_closing():
            self._read_on()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or a head that is too large."""
        if self._refusal is None:
            super().send_400_response(msg)
        else:
            self._end(self._refusal)

    def pause_writing(self) -> None:
        """Wait for the client to read, but not for ever, and not for too many at once."""
        super().pause_writing()
        if sum(each.transport.get_write_buffer_size() for each in _of(self)) > MOST_UNSENT:
            self.transport.abort()
        elif self._stalled is None:
            self._look_later()

    def resume_writing(self) -> None:
        """Stop watching the client's reading."""
        super().resume_writing()
        self._forget_stall()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        self._forget_stall()
        self._unread = b""
        super().connection_lost(exc)
        self.gone.set()

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return bool(getattr(self.cycle, "response_complete", True))

    @property
    def is_evictable(self) -> bool:
        """Whether it is open, and no request is being answered."""
        return self.idle and not self.transport.is_closing()

    def _read_on(self) -> None:
        """Hand the parser what is here, up to a request that is not answered at once."""
        while self._unread and not self.transport.is_closing():
            if self._is_answering:
                self.flow.pause_reading()
                return
            if self.idle:
                self._wait()
            part = self._next_part()
            self._heard = False
            super().data_received(part)
            self._count_unfinished(len(part))

    def _count_unfinished(self, size: int) -> None:
        """Count what the parser keeps without a word: a head, or a line behind a body's chunk."""
        self._quiet = 0 if self._heard else self._quiet + size
        if self._taken is not None:
            self._taken += size
        if max(self._quiet, self._taken or 0) > HEAD_BYTES and not self.transport.is_closing():
            self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _next_part(self) -> bytes:
        """Take what is here up to the end of a head, or all of it where no head ends."""
        end = self._unread.find(_END_OF_HEAD, self._read) + len(_END_OF_HEAD)
        if end < len(_END_OF_HEAD):
            end = len(self._unread)
        part = self._unread[self._read : end]
        self._read = end
        if end == len(self._unread):
            self._unread, self._read = b"", 0
        return part

    @property
    def _is_answering(self) -> bool:
        """Tell whether a request is here as a whole, and not answered yet."""
        return not self.idle and not self.cycle.more_body

    def _count(self, *parts: bytes) -> None:
        """Count what a head has so far, and what stands behind a body in its form.

        Raises:
            ValueError: It is too large, which ends the parser's work.
        """
        self._head.size += sum(map(len, parts)) + _AROUND_A_HEADER
        if self._head.size > HEAD_BYTES or self._head.headers > MOST_HEADERS:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise ValueError("the head is too large")

    def _make_room(self) -> None:
        """End the oldest connection without a request, or this one where all have one."""
        others = [each for each in _of(self) if each is not self and each.is_evictable]
        oldest = min(others, key=lambda each: each.since, default=self)
        oldest._end(HTTPStatus.SERVICE_UNAVAILABLE)  # noqa: SLF001  # one of us

    def _look_later(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(READING_SECONDS, self._look, unsent)

    def _look(self, before: int) -> None:
        """End a connection whose client has read nothing since so much was unsent."""
        if self.transport.get_write_buffer_size() >= before:
            self.transport.abort()
        else:
            self._look_later()

    def _forget_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

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


def _of(connection: LimitedConnection) -> list[LimitedConnection]:
    """Return all connections of the same server."""
    return [each for each in connection.connections if isinstance(each, LimitedConnection)]


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

    def _heads(self) -> list[LimitedConnection]:
        return [
            each for each in self.server_state.connections if isinstance(each, LimitedConnection)
        ]

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield
