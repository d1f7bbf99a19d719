"""Forwarder between a client's pipes and a daemon; it survives the daemon's end."""

from __future__ import annotations

import _thread
import os
import select
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 65536

LONGEST_LINE = 2**24
"""Bytes of the longest line from a client; the daemon gets one byte more, and refuses it."""

_STDIN, _STDOUT = 0, 1
_MOST_MUTE = 3
"""Daemons in a row that may end without output; the next is started by a request alone."""

LAST_WORDS = 1.0
"""Seconds for the daemon's last output when the client has left, those of a restart included."""

ANSWER_SECONDS = 60.0
"""Seconds that requests have for their answers if they were piped in; clients wait a minute."""

_LOOK_EVERY = 0.02


class _LineSplitter:
    """Splits a stream into lines, in time linear in its length."""

    def __init__(self, longest: int | None = None) -> None:
        """Keep the first `longest` bytes of a line, and one more of a longer one."""
        self._longest = longest
        self._parts: list[bytes] = []
        self.size = 0

    def lines(self, data: bytes) -> list[bytes]:
        """Return the lines that end in `data`, and keep the rest."""
        *ends, rest = data.split(b"\n")
        lines = [self._finished(end) for end in ends]
        self._add(rest)
        return lines

    def _add(self, part: bytes) -> None:
        if self._longest is not None:
            part = part[: self._longest + 1 - self.size]
        if part:
            self._parts.append(part)
            self.size += len(part)

    def _finished(self, end: bytes) -> bytes:
        self._add(end)
        line = b"".join((*self._parts, b"\n"))
        self._parts.clear()
        self.size = 0
        return line


class Forwarder:
    """Connects one client to a daemon, and to the next when that ends."""

    def __init__(self, connection: socket.socket, connect: Callable[[], socket.socket]) -> None:
        """Begin with `connection`; `connect` returns another when that breaks."""
        from context7_fabric.relay.replay import ReplayBuffer  # its imports delay the handshake

        self._calls = ReplayBuffer()
        self._first = connection
        self._connection: socket.socket | None = connection
        self._connect = connect
        self._lock = _thread.allocate_lock()
        self._ended = _thread.allocate_lock()
        self._leaving = False
        self._heard = False
        self._piped = False

    def run(self) -> None:
        """Forward until the client closes its end or a signal interrupts."""
        self._ended.acquire()
        _thread.start_new_thread(self._receive_all, (self._first,))
        try:
            self._send_all()
            self._await_answers()
        except KeyboardInterrupt:
            pass
        self._close()

    def _send_all(self) -> None:
        splitter = _LineSplitter(LONGEST_LINE)
        while data := _read(_STDIN):
            self._piped = not self._heard
            for line in splitter.lines(data):
                self._forward(line)

    def _forward(self, line: bytes) -> None:
        with self._lock:
            self._calls.sent(line)
            if self._connection is None:
                _thread.start_new_thread(self._receive_all, (self._renew(),))
            else:
                _send(self._connection, line)

    def _await_answers(self) -> None:
        """Wait for the answers where all requests were sent before any reply came: by a script.

        A client that has read replies has left with the end of its input.
        """
        deadline = time.monotonic() + ANSWER_SECONDS
        while self._piped and self._calls.is_awaited and self._connection is not None:
            if time.monotonic() > deadline:
                return
            time.sleep(_LOOK_EVERY)

    def _close(self) -> None:
        """Show the daemon the end of the input, and wait for its last output."""
        end = time.monotonic() + LAST_WORDS
        if not self._lock.acquire(timeout=LAST_WORDS):
            return  # the lock is held while another daemon starts
        connection, self._leaving = self._connection, True
        self._lock.release()
        if connection is None:
            return
        try:
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            return
        self._ended.acquire(timeout=max(0.0, end - time.monotonic()))

    def _receive_all(self, connection: socket.socket) -> None:
        """Write the output of the daemon, and of those that replace it, to the client."""
        mute = 0
        while True:
            mute = 0 if self._receive_from(connection) else mute + 1
            with self._lock:
                if self._leaving:
                    self._ended.release()
                    return
                if not self._calls.is_awaited or mute >= _MOST_MUTE:
                    self._connection = None
                    return
                connection = self._renew()

    def _receive_from(self, connection: socket.socket) -> bool:
        """Write whole lines to stdout until the connection breaks; return whether any came."""
        splitter, calls, heard = _LineSplitter(), self._calls, False
        while data := _receive(connection):
            heard = self._heard = True
            if (
                not splitter.size
                and data.find(b"\n") == len(data) - 1
                and not calls.expects_duplicates
            ):
                _write(data)  # one line, as nearly always: the client has it before it is noted
                calls.received(data)
                continue
            _write(b"".join(line for line in splitter.lines(data) if calls.received(line)))
        connection.close()
        return heard

    def _renew(self) -> socket.socket:
        """Connect again, and send the requests without a response once more."""
        lines, failed = self._calls.replay()
        connection = self._connection = self._connect()
        for line in lines:
            _send(connection, line)
        _write(b"".join(failed))
        return connection


def _send(connection: socket.socket, line: bytes) -> None:
    """Send `line`; a broken connection shows when it is read."""
    try:
        connection.sendall(line)
    except OSError:
        pass


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(_CHUNK)
    except OSError:
        return b""


def _read(fd: int) -> bytes:
    """Read what is available, also from a pipe that its owner made non-blocking."""
    while True:
        try:
            return os.read(fd, _CHUNK)
        except BlockingIOError:
            select.select([fd], [], [])
        except OSError:
            return b""


def _write(data: bytes) -> None:
    """Write all of `data` to the client; without a client the process ends."""
    while data:
        try:
            data = data[os.write(_STDOUT, data) :]
        except BlockingIOError:
            select.select([], [_STDOUT], [])
        except OSError:
            os._exit(0)
