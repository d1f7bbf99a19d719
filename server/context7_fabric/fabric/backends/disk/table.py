"""The table of the backend on disk: diskcache's, asked in SQL, which its own methods cannot say.

Every function here blocks. Of diskcache's columns, `store_time` holds an entry's time, `tag` its
version (negative: it is disposable; none: also, and written by an earlier release), `access_time`
when it was last used, give or take `TOUCH_SECONDS`.
"""

from __future__ import annotations

import errno
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import diskcache
from diskcache.core import MODE_BINARY, MODE_RAW

from context7_fabric.errors import TooManyAuthored, TooMuchAuthored
from context7_fabric.fabric.backend import (
    CLOCK_SLACK,
    SEALED,
    BackendEntry,
    EntryPosition,
    WriteRequest,
    authored_room,
)
from context7_fabric.fabric.backends.disk.file import Database, locked
from context7_fabric.fabric.backends.disk.sql import (
    ALIVE,
    AUTHORED,
    BELOW,
    CHANGED,
    COUNTED,
    COUNTED_UP_TO,
    DISPOSABLE,
    FEW,
    FILENAME,
    FOUND,
    FOUND_FOR_CERTAIN,
    ITEMS,
    KEYS_AT_ONCE,
    ROWS_AT_ONCE,
    TABLES,
    TAKEN,
    among,
    bounds,
    name_of,
    newest,
    schema,
    upsert,
    version_of,
)

SMALL = 2**15
"""Bytes from which a value lies in a file of its own, as diskcache has it."""

VALUE_FILE = re.compile(r"[0-9a-f]{2}[/\\][0-9a-f]{2}[/\\][0-9a-f]{28}\.val")


class ForeignRow(Exception):
    """A row that this package did not write."""


class PlainDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache ships no types
    """diskcache's serialisation, narrowed to text keys and bytes values."""

    def put(self, key: Any) -> tuple[str, bool]:
        """Return the database form of `key`, which must be text."""
        if not isinstance(key, str):
            raise TypeError(f"a key is text, not {type(key).__name__}")
        return key, True

    def get(self, key: Any, raw: Any) -> str:
        """Return the key that a row holds, which must be text."""
        if not raw or not isinstance(key, str):
            raise ForeignRow("its key is not text")
        return key

    def store(self, value: Any, read: Any, key: Any = diskcache.UNKNOWN) -> Any:
        """Return the database form of `value`, which must be bytes."""
        if read or type(value) is not bytes:  # of a subclass diskcache would store the pickle
            raise TypeError(f"a value is bytes, not {type(value).__name__}")
        return super().store(value, read=False, key=key)

    def fetch(self, mode: Any, filename: Any, value: Any, read: Any) -> bytes:
        """Return the bytes that a row holds, and never unpickle."""
        if mode == MODE_RAW and isinstance(value, bytes):
            return value
        if mode == MODE_BINARY and isinstance(filename, str) and not read:
            return self._contents(filename)
        raise ForeignRow(f"its mode is {mode!r}")

    def remove(self, file_path: Any) -> None:
        """Remove a value's file, and nothing else that a row may name."""
        if isinstance(file_path, str) and VALUE_FILE.fullmatch(file_path):
            super().remove(file_path)

    def _contents(self, filename: str) -> bytes:
        if not VALUE_FILE.fullmatch(filename):
            raise ForeignRow("its file is none of the cache's")
        try:
            return (Path(self._directory) / filename).read_bytes()
        except FileNotFoundError:
            raise  # overwritten or deleted meanwhile: diskcache makes it a miss
        except OSError as error:
            raise ForeignRow(f"its file cannot be read ({error.strerror})") from error


TOUCH_SECONDS = 3600.0
"""How old the time of last use may grow before a read writes it anew."""

EVICTED_AT_ONCE = 64
FEW_DELETES = 20
"""Entries that are removed at once where the disk is full, so that the log needs little room."""

_MARK = len(SEALED)
_UNSURE = (False, None)
_T = TypeVar("_T")


class ForeignDatabase(sqlite3.DatabaseError):
    """A database that is another program's."""


class SpaceFreed(sqlite3.OperationalError):
    """A file on a full disk takes writes again when it is opened anew."""


class DiskTable:
    """The rows of one folder; several processes may have it open."""

    def __init__(
        self, folder: Path, size_limit: int, authored_limit: int, passing: Sequence[str]
    ) -> None:
        """Open or make the database; what lies below `passing` leaves its revision as it is.

        Raises:
            sqlite3.Error, OSError: It cannot be had.
        """
        self._size_limit = size_limit
        self._authored_limit = authored_limit
        self._disk = PlainDisk(str(folder), min_file_size=SMALL)
        self._file = Database(folder)
        self.misplaced = False
        """Whether an index has told of a row that bears another key."""
        try:
            self._prepare(folder, passing)
            self._reader = self._file.reader()
            self._reader.execute(CHANGED).fetchall()
        except BaseException:
            self._file.close()
            raise
        self._file.take_place()
        self._version = 0
        self._changes: object = None

    @property
    def writable(self) -> bool:
        """Tell whether the file system takes writes."""
        return self._file.writable

    def in_place(self) -> bool:
        """Tell whether the folder still holds the file that is open here."""
        return self._file.in_place()

    def is_same_file(self) -> bool:
        """Tell whether at least the database itself is in its place."""
        return self._file.is_same_file()

    def close(self) -> None:
        """Close the database."""
        self._file.close()

    def glance(self, key: str) -> tuple[bool, BackendEntry | None]:
        """Look for `key` without ever waiting: for a lock, for a file, for a write of last use.

        Returns whether that was enough to tell, and the entry. It takes a tenth of the time of a
        hop to a worker thread (tests/bench/fabric.py), so the event loop is held for less.
        """
        try:
            rows = self._reader.execute(FOUND, (key, time.time())).fetchall()
        except (sqlite3.Error, UnicodeError):
            return False, None
        if not rows:
            return True, None
        mode, _filename, value, tag, used = rows[0]
        if mode != MODE_RAW or type(value) is not bytes or _to_be_touched(tag, used):
            return False, None
        # What has no checksum over its key is compared with the row's.
        return (
            (True, BackendEntry(key, value, version_of(tag)))
            if value[:_MARK] == SEALED
            else _UNSURE
        )

    def revision(self) -> int | None:
        """Return what differs once anybody has written, without ever waiting; None: not now."""
        try:
            ((version,),) = self._reader.execute("PRAGMA data_version").fetchall()
            if version != self._version:
                ((self._changes,),) = self._reader.execute(CHANGED).fetchall()
                self._version = version
        except sqlite3.Error:
            return None
        # One that is damaged may stay as it is with the next write.
        return self._changes if isinstance(self._changes, int) else None

    def get(self, key: str) -> BackendEntry | None:
        """Return the entry under `key`, None when there is none.

        Raises:
            ForeignRow: The row is none that we wrote.
        """
        rows = self._sql(FOUND_FOR_CERTAIN, key, time.time())
        for mode, filename, value, tag, used, own in rows:
            if not own:
                self.misplaced = True
                raise ForeignRow("its row bears another key")
            if _to_be_touched(tag, used):
                self._touch(key)
            with suppress(FileNotFoundError):  # overwritten or deleted meanwhile
                return BackendEntry(key, self._fetch(mode, filename, value), version_of(tag))
        return None

    def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`."""
        found = []
        for key in keys:
            with suppress(ForeignRow):
                entry = self.get(key)
                if entry:
                    found.append(entry)
        return found

    def add(self, key: str, value: bytes, expires_in: float) -> bool:
        """Store `value` where nothing is."""
        with self._file.transact():
            now = time.time()
            latest = now + max(expires_in, 0.0) + CLOCK_SLACK
            for (until,) in self._sql(TAKEN, key):
                if until is None or now < until <= latest:
                    return False
            self.write([WriteRequest(key, value, expires_in=expires_in)], [])
        return True

    def swap(self, key: str, old: bytes, put: WriteRequest | None) -> bool:
        """Store `put` where its `key` holds `old`, or if it is None remove that."""
        with self._file.transact():
            is_there = [entry.value for entry in self.get_many([key])] == [old]
            if is_there and put:
                self.write([put], [])
            elif is_there:
                self.delete(key)
        return is_there

    def delete(self, key: str) -> bool:
        """Remove `key`; tell whether it was there."""
        rows = self._sql(f"SELECT 1 FROM Cache WHERE {among([key])} AND {ALIVE}", key, time.time())
        if rows:
            self.write([], [key])
        return bool(rows)

    def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str]) -> None:
        """Store and remove in one transaction; then make room, if need be.

        On a full disk, what is only removed is removed all the same, a few at a time.

        Raises:
            TooManyAuthored, TooMuchAuthored: As the seam says.
        """
        try:
            self._write(puts, deletes)
        except (sqlite3.OperationalError, OSError) as error:
            if puts or (self.writable and not is_full(error)):
                raise
            freed = self._file.use_reserve()
            if not self.writable:
                raise (SpaceFreed(str(error)) if freed else error) from error
            for some in _portions(deletes, FEW_DELETES):
                self._write([], some)
                self._file.shorten_log()

    def _write(self, puts: Sequence[WriteRequest], deletes: Sequence[str]) -> None:
        rows: list[tuple[Any, ...]] = []
        try:
            rows += (self._row(put) for put in {put.key: put for put in puts}.values())
            with self._file.transact():
                gone = self._files([*(put.key for put in puts), *deletes])
                for some in _portions(rows, ROWS_AT_ONCE):
                    values = (value for row in some for value in row)
                    self._sql(upsert(len(some)), *values, time.time())
                for keys in _portions(deletes, KEYS_AT_ONCE):
                    self._sql(f"DELETE FROM Cache WHERE {among(keys)}", *keys)
                if any(not put.disposable for put in puts):
                    self._check_authored()
        except BaseException:
            self._remove_files(row[FILENAME] for row in rows)
            raise
        self._remove_files(gone)
        if puts:
            self._make_room()

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below `prefix`."""
        rows = self._sql(
            f"SELECT key FROM Cache WHERE {BELOW} AND {ALIVE}", *bounds(prefix), time.time()
        )
        return [key for (key,) in rows if isinstance(key, str)]

    def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return a page of the readable entries below `prefix`, by key."""
        start, beyond = bounds(prefix)
        rows = self._sql(
            ITEMS,
            start if after is None else after + "\x00",  # the first key behind `after`
            beyond,
            time.time(),
            limit,
        )
        found = []
        for key, mode, filename, value, tag, own in rows:
            if not own:
                self.misplaced = True
                continue
            if mode == MODE_RAW and type(value) is bytes:  # nearly all are
                found.append(BackendEntry(key, value, version_of(tag)))
                continue
            with suppress(ForeignRow, FileNotFoundError):
                found.append(BackendEntry(key, self._fetch(mode, filename, value), version_of(tag)))
        return found, rows[-1][0] if len(rows) == limit else None

    def newest(self, prefix: str, after: EntryPosition | None, limit: int) -> list[EntryPosition]:
        """Return a page of the places below `prefix`, the newest first."""
        ((count,),) = self._sql(COUNTED_UP_TO, *bounds(prefix), FEW)
        statement = newest(few=count < FEW, behind=after is not None)
        rows = self._sql(statement, *bounds(prefix), time.time(), *(after or ()), limit)
        return [EntryPosition(at, key) for at, key in rows if isinstance(key, str)]

    def count(self, prefix: str) -> int:
        """Return how many rows there are below `prefix`."""
        ((count,),) = self._sql(COUNTED, *bounds(prefix), time.time())
        return int(count)

    def volume(self) -> int:
        """Return how many bytes the folder takes."""
        ((pages,),) = self._sql("PRAGMA page_count")
        ((page,),) = self._sql("PRAGMA page_size")
        return int(pages) * int(page) + self._files_size()

    def _files_size(self) -> int:
        """Return how many bytes the values' files take; a count that cannot be is made anew."""
        for (size,) in self._sql("SELECT value FROM Settings WHERE key = 'size'"):
            if isinstance(size, int | float) and 0 <= size <= 2 * self._size_limit:
                return int(size)
        ((size,),) = self._sql("SELECT CAST(total(size) AS INTEGER) FROM Cache")
        with suppress(sqlite3.Error):
            self._sql("INSERT OR REPLACE INTO Settings VALUES ('size', ?)", size)
        return int(size)

    def _row(self, put: WriteRequest) -> tuple[Any, ...]:
        """Return what `UPSERT` takes for one entry; a large value lies in its file from now on."""
        now = time.time()
        key, _raw = self._disk.put(put.key)
        size, mode, filename, value = self._disk.store(put.value, read=False)
        until = None if put.expires_in is None else now + put.expires_in
        tag = -1 if put.disposable else 1
        return key, put.at, until, now, tag, size, mode, filename, value

    def _files(self, keys: Sequence[str]) -> list[str]:
        """Return the files of the values under `keys`."""
        found = []
        for part in _portions(keys, KEYS_AT_ONCE):
            found += self._sql(
                f"SELECT filename FROM Cache WHERE {among(part)} AND filename IS NOT NULL", *part
            )
        return [name for (name,) in found]

    def _check_authored(self) -> None:
        ((count, size),) = self._sql(AUTHORED)
        if count > self._authored_limit:
            raise TooManyAuthored(self._authored_limit)
        if size > authored_room(self._size_limit):
            raise TooMuchAuthored(int(size), authored_room(self._size_limit))

    def _make_room(self) -> None:
        """Drop what has ended, and while there is too much what was used longest ago.

        Half of the bound is for what may be dropped, however much of the rest there is.
        """
        ended = "expire_time IS NOT NULL AND expire_time <= ? ORDER BY expire_time"
        self._evict(ended, time.time(), room=sys.maxsize)
        excess = self.volume() - self._size_limit
        if excess > 0:
            ((_count, authored),) = self._sql(AUTHORED)
            excess -= max(0, int(authored) - self._size_limit // 2)
        if excess > 0:
            self._evict(f"{DISPOSABLE} ORDER BY access_time", room=excess)

    def _evict(self, which: str, *values: object, room: int) -> None:
        """Remove the first rows of `which`, until about `room` bytes are free."""
        with self._file.transact():
            chosen = []
            for rowid, filename, size in self._sql(
                "SELECT rowid, filename, coalesce(size, 0) + coalesce(length(value), 0)"
                f" FROM Cache WHERE {which} LIMIT {EVICTED_AT_ONCE}",
                *values,
            ):
                if room > 0:
                    room -= size
                    chosen.append((rowid, filename))
            for rowid, _ in chosen:
                self._sql("DELETE FROM Cache WHERE rowid = ?", rowid)
        self._remove_files(filename for _, filename in chosen)

    def _remove_files(self, names: Iterable[str | None]) -> None:
        for name in names:
            if name is not None:
                self._disk.remove(name)

    def _touch(self, key: str) -> None:
        with suppress(sqlite3.Error):  # a full disk can still be read
            self._sql(
                "UPDATE Cache SET access_time = ? WHERE key = ? AND raw = 1", time.time(), key
            )

    def _fetch(self, mode: object, filename: object, value: object) -> bytes:
        data: bytes = self._disk.fetch(mode, filename, value, read=False)
        return data

    def _sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self._file.sql(statement, *values)

    def _prepare(self, folder: Path, passing: Sequence[str]) -> None:
        """Make what the schema lacks; a whole one is opened without a write."""
        statements = schema(passing)
        wanted = {name for name in map(name_of, statements) if name}
        there = {name for (name,) in self._sql("SELECT name FROM sqlite_master")}
        check_ours(self._sql)
        if wanted <= there or not self.writable:
            return
        with locked(folder, alone=True):
            if not there:
                self._sql("PRAGMA auto_vacuum = 1")
            self._sql("PRAGMA journal_mode = wal")
            with self._file.transact():
                for statement in statements:
                    self._sql(statement)


def check_ours(sql: Callable[[str], list[tuple[Any, ...]]]) -> None:
    """Refuse a database that `sql` finds to be another program's.

    Raises:
        ForeignDatabase: It has other tables, or in ours other columns.
    """
    there = sql("SELECT CAST(name AS BLOB) FROM sqlite_master WHERE type = 'table'")
    names = {name.decode(errors="replace") for (name,) in there}
    if names and names.isdisjoint(TABLES):
        raise ForeignDatabase("it is another program's database")
    for table in names & TABLES.keys():
        rows = sql(f"SELECT CAST(name AS BLOB) FROM pragma_table_info('{table}')")
        if not {name.decode(errors="replace") for (name,) in rows} >= TABLES[table]:
            raise ForeignDatabase(f"its table {table} is another program's")


def is_full(error: Exception) -> bool:
    """Tell whether `error` says that the disk is full, or the user's share of it."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        return code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _portions(items: Sequence[_T], most: int) -> Iterator[Sequence[_T]]:
    return (items[first : first + most] for first in range(0, len(items), most))


def _to_be_touched(tag: object, used: object) -> bool:
    authored = isinstance(tag, int) and tag > 0
    if authored:
        return False
    now = time.time()
    return not (isinstance(used, float) and now - TOUCH_SECONDS < used < now + CLOCK_SLACK)
