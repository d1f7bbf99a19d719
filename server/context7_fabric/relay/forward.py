"""The pump between a client's pipes and the daemon; it outlives a daemon that dies."""

from __future__ import annotations

import _thread
import os
import select
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 65536

LONGEST_LINE = 2**24
"""Bytes of a line from a client; of a longer one the daemon gets so many that it refuses it."""

_STDIN, _STDOUT = 0, 1
_MOST_MUTE = 3
"""Daemons in a row that end without a word before no other is started behind the client's back."""

LAST_WORDS = 1.0
"""Seconds that the daemon has for what it still says when the client is gone."""


class _Cut:
    """Cuts a stream into lines, in time that grows with its length alone."""

    def __init__(self, longest: int | None = None) -> None:
        """Keep the first `longest` bytes of a line and one more, by which it is known as longer."""
        self._longest = longest
        self._parts: list[bytes] = []
        self.size = 0

    def lines(self, data: bytes) -> list[bytes]:
        """Return the lines that end in `data`; what stands behind them waits for its end."""
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
    """One client, and whichever daemon it has at the moment."""

    def __init__(self, connection: socket.socket, connect: Callable[[], socket.socket]) -> None:
        """Begin with `connection`; `connect` gives another when that breaks."""
        from context7_fabric.relay.replay import (
            ReplayBuffer,  # behind the hand-shake, not before it
        )

        self._calls = ReplayBuffer()
        self._first = connection
        self._connection: socket.socket | None = connection
        self._connect = connect
        self._lock = _thread.allocate_lock()
        self._ended = _thread.allocate_lock()
        self._leaving = False

    def run(self) -> None:
        """Pump until the client closes its end, or we are interrupted."""
        self._ended.acquire()
        _thread.start_new_thread(self._bring, (self._first,))
        try:
            self._take()
        except KeyboardInterrupt:
            pass
        self._take_leave()

    def _take(self) -> None:
        cut = _Cut(LONGEST_LINE)
        while data := _read(_STDIN):
            for line in cut.lines(data):
                self._pass_on(line)

    def _pass_on(self, line: bytes) -> None:
        with self._lock:
            self._calls.said(line)
            if self._connection is None:
                _thread.start_new_thread(self._bring, (self._renew(),))
            else:
                _send(self._connection, line)

    def _take_leave(self) -> None:
        """Let the daemon see the end, and hear it out."""
        if not self._lock.acquire(timeout=LAST_WORDS):
            return  # another daemon is being waited for
        connection, self._leaving = self._connection, True
        self._lock.release()
        if connection is None:
            return
        try:
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            return
        self._ended.acquire(timeout=LAST_WORDS)

    def _bring(self, connection: socket.socket) -> None:
        """Bring the client what the daemon says, also the next daemon's if there has to be one."""
        mute = 0
        while True:
            mute = 0 if self._bring_from(connection) else mute + 1
            with self._lock:
                if self._leaving:
                    self._ended.release()
                    return
                if not self._calls.wanted or mute >= _MOST_MUTE:
                    self._connection = None
                    return
                connection = self._renew()

    def _bring_from(self, connection: socket.socket) -> bool:
        """Write whole lines to stdout until the connection breaks; tell whether there was one."""
        cut, calls, heard = _Cut(), self._calls, False
        while data := _receive(connection):
            heard = True
            if not cut.size and data.find(b"\n") == len(data) - 1 and not calls.repeated:
                _write(data)  # one answer, as nearly always: the client need not wait for our books
                calls.heard(data)
                continue
            _write(b"".join(line for line in cut.lines(data) if calls.heard(line)))
        connection.close()
        return heard

    def _renew(self) -> socket.socket:
        """Get another connection, and say there what was not answered yet."""
        again, failed = self._calls.again()
        connection = self._connection = self._connect()
        for line in again:
            _send(connection, line)
        _write(b"".join(failed))
        return connection


def _send(connection: socket.socket, line: bytes) -> None:
    """Send `line`; if the other end is gone, whoever reads from it will notice."""
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
    """Read what there is, also from a pipe that its maker does not want to be waited for."""
    while True:
        try:
            return os.read(fd, _CHUNK)
        except BlockingIOError:
            select.select([fd], [], [])
        except OSError:
            return b""


def _write(data: bytes) -> None:
    """Write all of `data` to the client; without one there is nothing left to do."""
    while data:
        try:
            data = data[os.write(_STDOUT, data) :]
        except BlockingIOError:
            select.select([], [_STDOUT], [])
        except OSError:
            os._exit(0)
