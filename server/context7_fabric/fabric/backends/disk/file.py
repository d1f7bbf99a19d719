"""The database file of the backend on disk, private to its user, with a connection per thread."""

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

from context7_fabric.relay.folders import make_private

DATABASE = "cache.db"
FILES = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")
RESERVE = "reserve"
RESERVE_BYTES = 2**20
"""Size of a file that is given up on a full disk, so that entries can be removed."""

_PLENTY = 64
"""Multiple of the reserve that must be free for one to be created."""

BUSY_SECONDS = 5.0
_TRY_EVERY = 0.01

Identities: TypeAlias = tuple[tuple[int, int] | None, ...]
"""Device and inode of each of `FILES`, None for a missing one."""

_PRAGMAS = (
    "PRAGMA synchronous = 1",
    "PRAGMA cache_size = 256",
    "PRAGMA mmap_size = 0",
    "PRAGMA wal_autocheckpoint = 4000",
)
"""Settings of SQLite, whose cache is no better than the system's own.

With diskcache's 8,192 pages and 64 MiB a server grows with its store (tests/bench/peers.py). The
log is copied into the database after 16 MB, four times SQLite's default.
"""

_MODES = ("mode=rw", "mode=ro", "immutable=1")
"""Ways to open the file. The last one reads from a file system that takes no writes, where SQLite
cannot create the file that its connections share."""


class Database:
    """The database in a folder, with a connection for each thread."""

    def __init__(self, folder: Path) -> None:
        """Open the file for reading and writing, or only for reading where it takes no writes.

        Raises:
            sqlite3.Error, OSError: It cannot be opened, or is not private to this user.
        """
        self._folder = folder
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._is_open = True
        prepare(folder)
        self._uri = self._usable()
        self.writable = self._uri.endswith(_MODES[0])
        self._identities = _identities(folder)
        if self.writable:
            _make_reserve(folder / RESERVE)

    def note_files(self) -> None:
        """Take the files in the folder now for those that are open here."""
        self._identities = _identities(self._folder)

    def reader(self) -> sqlite3.Connection:
        """Return another connection, which only reads and never waits."""
        connection = self._connected(self._uri, timeout=0)
        connection.execute("PRAGMA query_only = 1")
        return connection

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a statement on the connection of this thread."""
        return self._connection().execute(statement, values).fetchall()

    @contextmanager
    def transact(self) -> Iterator[None]:
        """Run the block as an exclusive transaction; a nested block is part of it."""
        connection = self._connection()
        if connection.in_transaction:
            yield
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite may have rolled back itself
                connection.execute("ROLLBACK")
            raise

    def in_place(self) -> bool:
        """Return whether the folder still has the files that are open here."""
        return self._is_open and _identities(self._folder) == self._identities

    def is_same_file(self) -> bool:
        """Return whether the folder still has at least the database that is open here."""
        return _identities(self._folder)[0] == self._identities[0]

    def use_reserve(self) -> bool:
        """Remove the reserve, so that entries can be removed; return whether there was one."""
        self.shorten_log()
        try:
            (self._folder / RESERVE).unlink()
        except OSError:
            return False
        return True

    def shorten_log(self) -> None:
        """Copy SQLite's log into the database and truncate it."""
        with suppress(sqlite3.Error):
            self.sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connections of all threads."""
        self._is_open = False
        self._close_all()

    def _usable(self) -> str:
        """Return the first URI by which the file can be read."""
        failure: sqlite3.Error | None = None
        for mode in _MODES:
            uri = f"{(self._folder / DATABASE).absolute().as_uri()}?{mode}"
            try:
                self._connection(uri).execute("SELECT count(*) FROM sqlite_master").fetchall()
            except sqlite3.OperationalError as error:
                failure = failure or error
                self._close_all()
            except sqlite3.Error:
                self._close_all()
                raise
            else:
                return uri
        raise failure or sqlite3.OperationalError("unable to open database file")

    def _connection(self, uri: str | None = None) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connected(uri or self._uri, timeout=BUSY_SECONDS)
            self._local.connection = connection
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

    def _close_all(self) -> None:
        while self._open:
            self._open.pop().close()
        self._local = threading.local()


def _make_reserve(path: Path) -> None:
    """Create the reserve, unless the disk is nearly full already."""
    if sys.platform == "win32" or path.exists():
        return
    with suppress(OSError):
        free = os.statvfs(path.parent)
        if free.f_bavail * free.f_frsize < _PLENTY * RESERVE_BYTES:
            return
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.write(file, os.urandom(RESERVE_BYTES))  # file systems cannot compress it
        finally:
            os.close(file)


def _identities(folder: Path) -> Identities:
    """Return the identities of the files of `folder`, which differ after a replacement."""
    return tuple(_identity(f"{folder}/{name}") for name in FILES)


def prepare(folder: Path) -> None:
    """Create folder and file where they are missing, private to this user.

    SQLite gives its other files the mode of the database.

    Raises:
        OSError: They cannot be used, belong to another user, or one of them is a link.
    """
    make_private(str(folder))
    if sys.platform == "win32":
        (folder / DATABASE).touch()
        return
    for name in FILES:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.lstat(folder / name).st_mode):
                raise PermissionError(f"{folder / name} is not a regular file")
    try:
        file = os.open(folder / DATABASE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        file = os.open(folder / DATABASE, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        status = os.fstat(file)
        if status.st_uid != os.getuid():
            raise PermissionError(f"{folder / DATABASE} belongs to another user")
        if stat.S_IMODE(status.st_mode) & 0o077:
            with suppress(OSError):  # a file system that takes no writes
                os.fchmod(file, 0o600)
    finally:
        os.close(file)


@contextmanager
def locked(folder: Path, *, alone: bool) -> Iterator[None]:
    """Hold the lock of the folder for the block, `alone` to replace the file, else shared.

    Raises:
        TimeoutError: Other processes held it for `BUSY_SECONDS`.
    """
    if sys.platform == "win32":  # an open file cannot be replaced there
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _lock(descriptor, alone=alone)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, alone: bool) -> None:
    import fcntl  # noqa: PLC0415  # missing on Windows

    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                message = f"another process has kept it locked for {BUSY_SECONDS:g} s"
                raise TimeoutError(message) from error
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
