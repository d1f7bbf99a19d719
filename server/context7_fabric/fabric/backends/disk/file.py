"""The database file of the backend on disk: private, in its place, and a connection a thread."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from context7_fabric.fabric.backends.disk.sql import (
    CHECKPOINT_PAGES,
    MAPPED_BYTES,
    PAGES_IN_MEMORY,
)
from context7_fabric.relay.folders import make_private

DATABASE = "cache.db"
FILES = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")
RESERVE = "reserve"
RESERVE_BYTES = 2**20
"""Room that is kept for removing entries when the disk is full."""

_PLENTY = 64
"""Multiple of the reserve that has to be free before one is made."""

BUSY_SECONDS = 5.0
_TRY_EVERY = 0.01

Mark: TypeAlias = tuple[tuple[int, int] | None, ...]
"""Device and inode of each of `FILES`, None for one that is not there."""

_PRAGMAS = (
    "PRAGMA synchronous = 1",
    f"PRAGMA cache_size = {PAGES_IN_MEMORY}",
    f"PRAGMA mmap_size = {MAPPED_BYTES}",
    f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}",
)
_MODES = ("mode=rw", "mode=ro", "immutable=1")
"""Ways to open the file; without the last nothing can be read on a file system that takes no write,
where SQLite cannot make the file that its connections share."""


class Database:
    """Connections to the one file of a folder, each thread's own."""

    def __init__(self, folder: Path) -> None:
        """Open the file for reading and writing, or where it takes no write, for reading.

        Raises:
            sqlite3.Error, OSError: It cannot be opened, or it is not this user's alone.
        """
        self._folder = folder
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._is_open = True
        prepare(folder)
        self._uri = self._usable()
        self.writable = self._uri.endswith(_MODES[0])
        self._mark = mark_of(folder)
        if self.writable:
            _make_reserve(folder / RESERVE)

    def take_place(self) -> None:
        """Take the files that are there now for those that are open here."""
        self._mark = mark_of(self._folder)

    def reader(self) -> sqlite3.Connection:
        """Return one more connection, which never waits and only reads."""
        connection = self._connected(self._uri, timeout=0)
        connection.execute("PRAGMA query_only = 1")
        return connection

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what one statement gives on the connection of this thread."""
        return self._connection().execute(statement, values).fetchall()

    @contextmanager
    def transact(self) -> Iterator[None]:
        """Make one transaction of the block, alone with the file; a block inside is part of it."""
        connection = self._connection()
        if connection.in_transaction:
            yield
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # where SQLite has done so, there is no transaction
                connection.execute("ROLLBACK")
            raise

    def in_place(self) -> bool:
        """Tell whether the folder still holds the file that is open here."""
        return self._is_open and mark_of(self._folder) == self._mark

    def is_same_file(self) -> bool:
        """Tell whether at least the database itself is in its place."""
        return mark_of(self._folder)[0] == self._mark[0]

    def use_reserve(self) -> bool:
        """Free room on a full disk, so that entries can be removed; tell whether there was some."""
        self.shorten_log()
        try:
            (self._folder / RESERVE).unlink()
        except OSError:
            return False
        return True

    def shorten_log(self) -> None:
        """Copy SQLite's log into the database, and begin it anew."""
        with suppress(sqlite3.Error):
            self.sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connections of all threads."""
        self._is_open = False
        while self._open:
            self._open.pop().close()

    def _usable(self) -> str:
        """Return the first way to open the file in which it can be read."""
        failure: sqlite3.Error | None = None
        for mode in _MODES:
            uri = f"{(self._folder / DATABASE).absolute().as_uri()}?{mode}"
            try:
                self._connection_by(uri).execute("SELECT count(*) FROM sqlite_master").fetchall()
            except sqlite3.OperationalError as error:
                failure = failure or error
                self._forget()
            except sqlite3.Error:
                self._forget()
                raise
            else:
                return uri
        raise failure or sqlite3.OperationalError("unable to open database file")

    def _connection(self) -> sqlite3.Connection:
        return self._connection_by(self._uri)

    def _connection_by(self, uri: str) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connected(uri, timeout=BUSY_SECONDS)
            for pragma in _PRAGMAS:
                connection.execute(pragma)
        return connection

    def _connected(self, uri: str, timeout: float) -> sqlite3.Connection:
        if not self._is_open:
            raise sqlite3.ProgrammingError("the database is closed")
        connection = sqlite3.connect(
            uri, timeout=timeout, isolation_level=None, check_same_thread=False, uri=True
        )
        self._open.append(connection)
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        return connection

    def _forget(self) -> None:
        while self._open:
            self._open.pop().close()
        self._local = threading.local()


def _make_reserve(path: Path) -> None:
    """Keep room to give up when the disk is full, for a purge needs some; never its last."""
    if sys.platform == "win32" or path.exists():
        return
    with suppress(OSError):
        free = os.statvfs(path.parent)
        if free.f_bavail * free.f_frsize < _PLENTY * RESERVE_BYTES:
            return
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.write(file, os.urandom(RESERVE_BYTES))  # what no file system can compress
        finally:
            os.close(file)


def mark_of(folder: Path) -> Mark:
    """Return what tells the files of `folder` from those that take their place."""
    return tuple(_identity(f"{folder}/{name}") for name in FILES)


def prepare(folder: Path) -> None:
    """Make folder and file where they are not there, for this user alone.

    SQLite gives its other files the mode of the database.

    Raises:
        OSError: They cannot be had, are another user's, or a link stands in the place of one.
    """
    make_private(str(folder))
    if sys.platform == "win32":
        (folder / DATABASE).touch()
        return
    for name in FILES:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.lstat(folder / name).st_mode):
                raise PermissionError(f"{folder / name} is no file of its own, but a link or such")
    try:
        file = os.open(folder / DATABASE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        file = os.open(folder / DATABASE, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        status = os.fstat(file)
        if status.st_uid != os.getuid():
            raise PermissionError(f"{folder / DATABASE} is another user's")
        if stat.S_IMODE(status.st_mode) & 0o077:
            with suppress(OSError):  # a file system that takes no write
                os.fchmod(file, 0o600)
    finally:
        os.close(file)


@contextmanager
def locked(folder: Path, *, alone: bool) -> Iterator[None]:
    """Hold the folder's lock for the block: who replaces the file does so `alone`, others share it.

    Raises:
        TimeoutError: Others have kept it for `BUSY_SECONDS`.
    """
    if sys.platform == "win32":  # where a file that is open cannot be replaced
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _lock(descriptor, alone=alone)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, alone: bool) -> None:
    import fcntl  # noqa: PLC0415  # not there on Windows

    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                told = f"another process has kept it locked for {BUSY_SECONDS:g} s"
                raise TimeoutError(told) from error
            time.sleep(_TRY_EVERY)
        except OSError:
            return  # a file system without locks
        else:
            return


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116  # before each write: a Path takes twice as long
    except OSError:
        return None
    return status.st_dev, status.st_ino
