"""The rows of the backend on disk: diskcache's table, used by SQL. Every function here blocks."""

from __future__ import annotations

import errno
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from context7_fabric.errors import TooManyAuthored, TooMuchAuthored
from context7_fabric.fabric.backend import (
    CHECKED_START,
    CLOCK_SLACK,
    BackendEntry,
    EntryPosition,
    WriteRequest,
    authored_room,
)
from context7_fabric.fabric.backends.disk.file import Database, locked
from context7_fabric.fabric.backends.disk.schema import (
    ALIVE,
    AUTHORED_TOTAL,
    BELOW,
    CHANGED,
    COUNTED,
    COUNTED_UP_TO,
    DISPOSABLE,
    FEW,
    FILENAME,
    FOUND,
    FOUND_AND_CHECKED,
    ITEMS,
    KEYS_AT_ONCE,
    MODE_RAW,
    ROWS_AT_ONCE,
    SMALL,
    TAKEN,
    TOUCH,
    TOUCH_SECONDS,
    ForeignRow,
    PlainDisk,
    among,
    bounds,
    check_ours,
    created_by,
    evictable,
    newest,
    schema,
    upsert,
    version_of,
)

FEW_DELETES = 20
"""Entries that are removed at once on a full disk, so that the log needs little room."""

_CHECKED_LENGTH = len(CHECKED_START)
_T = TypeVar("_T")


class SpaceFreed(sqlite3.OperationalError):
    """There is room again on a full disk: a reopened file takes writes."""


class DiskTable:
    """The rows of one folder; several processes may have it open."""

    def __init__(
        self, folder: Path, size_limit: int, authored_limit: int, uncounted: Sequence[str]
    ) -> None:
        """Open or create the database; writes below `uncounted` do not change its revision.

        Raises:
            sqlite3.Error, OSError: It cannot be used.
        """
        self._size_limit = size_limit
        self._authored_limit = authored_limit
        self._disk = PlainDisk(str(folder), min_file_size=SMALL)
        self.file = Database(folder)
        self.index_damaged = False
        """True if an index has named a row that has another key."""
        try:
            self._prepare(folder, uncounted)
            self._reader = self.file.reader()
            self._reader.execute(CHANGED).fetchall()
        except BaseException:
            self.file.close()
            raise
        self.file.note_files()
        self._version = 0
        self._changes: object = None

    def get_at_once(self, key: str) -> tuple[bool, BackendEntry | None]:
        """Look for `key` without waiting for a lock or a file, and without a write.

        Returns whether that was enough, and the entry. It takes a tenth of the time of a hop to a
        worker thread (tests/bench/fabric.py), so it blocks the event loop for less time.
        """
        try:
            rows = self._reader.execute(FOUND, (key, time.time())).fetchall()
        except (sqlite3.Error, UnicodeError):
            return False, None
        if not rows:
            return True, None
        mode, _filename, value, tag, used = rows[0]
        if mode != MODE_RAW or type(value) is not bytes or _is_touch_due(tag, used):
            return False, None
        if value[:_CHECKED_LENGTH] != CHECKED_START:  # the key in the row must be compared
            return False, None
        return True, BackendEntry(key, value, version_of(tag))

    def revision(self) -> int | None:
        """Return the count of writes by all processes without waiting, None if unknown now."""
        try:
            ((version,),) = self._reader.execute("PRAGMA data_version").fetchall()
            if version != self._version:
                ((self._changes,),) = self._reader.execute(CHANGED).fetchall()
                self._version = version
        except sqlite3.Error:
            return None
        # A damaged count may not change with the next write.
        return self._changes if isinstance(self._changes, int) else None

    def get(self, key: str) -> BackendEntry | None:
        """Return the entry under `key`, None when there is none.

        Raises:
            ForeignRow: We did not write the row.
        """
        rows = self._sql(FOUND_AND_CHECKED, key, time.time())
        for mode, filename, value, tag, used, has_key in rows:
            if not has_key:
                self.index_damaged = True
                raise ForeignRow("its row has another key")
            if _is_touch_due(tag, used):
                with suppress(sqlite3.Error):  # a full disk can still be read
                    self._sql(TOUCH, time.time(), key)
            with suppress(FileNotFoundError):  # overwritten or deleted meanwhile
                return self._entry(key, mode, filename, value, tag)
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
        """Store `value` under a free `key`."""
        with self.file.transact():
            now = time.time()
            latest = now + max(expires_in, 0.0) + CLOCK_SLACK
            for (until,) in self._sql(TAKEN, key):
                if until is None or now < until <= latest:
                    return False
            self.write([WriteRequest(key, value, expires_in=expires_in)], [])
        return True

    def swap(self, key: str, old: bytes, put: WriteRequest | None) -> bool:
        """Replace the value `old` by `put`, or remove it if `put` is None."""
        with self.file.transact():
            is_there = [entry.value for entry in self.get_many([key])] == [old]
            if is_there and put:
                self.write([put], [])
            elif is_there:
                self.delete(key)
        return is_there

    def delete(self, key: str) -> bool:
        """Remove `key`; return whether it existed."""
        rows = self._sql(f"SELECT 1 FROM Cache WHERE {among([key])} AND {ALIVE}", key, time.time())
        if rows:
            self.write([], [key])
        return bool(rows)

    def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str]) -> None:
        """Store and remove in one transaction; then evict if need be.

        On a full disk removals without puts still succeed, a few at a time.

        Raises:
            TooManyAuthored, TooMuchAuthored: There is no room for the authored entries.
        """
        try:
            self._write(puts, deletes)
        except (sqlite3.OperationalError, OSError) as error:
            if puts or (self.file.writable and not _is_full(error)):
                raise
            freed = self.file.use_reserve()
            if not self.file.writable:
                raise (SpaceFreed(str(error)) if freed else error) from error
            for some in _portions(deletes, FEW_DELETES):
                self._write([], some)
                self.file.shorten_log()

    def _write(self, puts: Sequence[WriteRequest], deletes: Sequence[str]) -> None:
        rows: list[tuple[Any, ...]] = []
        try:
            rows += (self._row(put) for put in {put.key: put for put in puts}.values())
            with self.file.transact():
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
            self._evict_excess()

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
        for key, mode, filename, value, tag, has_key in rows:
            if not has_key:
                self.index_damaged = True
                continue
            if mode == MODE_RAW and type(value) is bytes:  # nearly all are
                found.append(BackendEntry(key, value, version_of(tag)))
                continue
            with suppress(ForeignRow, FileNotFoundError):
                found.append(self._entry(key, mode, filename, value, tag))
        return found, rows[-1][0] if len(rows) == limit else None

    def newest(self, prefix: str, after: EntryPosition | None, limit: int) -> list[EntryPosition]:
        """Return a page of positions below `prefix`, the newest first."""
        ((count,),) = self._sql(COUNTED_UP_TO, *bounds(prefix), FEW)
        statement = newest(few=count < FEW, behind=after is not None)
        rows = self._sql(statement, *bounds(prefix), time.time(), *(after or ()), limit)
        return [EntryPosition(at, key) for at, key in rows if isinstance(key, str)]

    def count(self, prefix: str) -> int:
        """Return the number of rows below `prefix`."""
        ((count,),) = self._sql(COUNTED, *bounds(prefix), time.time())
        return int(count)

    def volume(self) -> int:
        """Return the size of the folder in bytes."""
        ((pages,),) = self._sql("PRAGMA page_count")
        ((page,),) = self._sql("PRAGMA page_size")
        return int(pages) * int(page) + self._files_size()

    def _files_size(self) -> int:
        """Return the size of the values' files in bytes; an impossible count is corrected."""
        for (size,) in self._sql("SELECT value FROM Settings WHERE key = 'size'"):
            if isinstance(size, int | float) and 0 <= size <= 2 * self._size_limit:
                return int(size)
        ((size,),) = self._sql("SELECT CAST(total(size) AS INTEGER) FROM Cache")
        with suppress(sqlite3.Error):
            self._sql("INSERT OR REPLACE INTO Settings VALUES ('size', ?)", size)
        return int(size)

    def _row(self, put: WriteRequest) -> tuple[Any, ...]:
        """Return the values of `upsert` for one entry; a large value is written to its file."""
        now = time.time()
        key, _raw = self._disk.put(put.key)
        size, mode, filename, value = self._disk.store(put.value, read=False)
        until = None if put.expires_in is None else now + put.expires_in
        tag = -1 if put.disposable else 1
        return key, put.at, until, now, tag, size, mode, filename, value

    def _entry(
        self, key: str, mode: object, filename: object, value: object, tag: object
    ) -> BackendEntry:
        data: bytes = self._disk.fetch(mode, filename, value, read=False)
        return BackendEntry(key, data, version_of(tag))

    def _files(self, keys: Sequence[str]) -> list[str]:
        """Return the files of the values under `keys`."""
        found = []
        for part in _portions(keys, KEYS_AT_ONCE):
            found += self._sql(
                f"SELECT filename FROM Cache WHERE {among(part)} AND filename IS NOT NULL", *part
            )
        return [name for (name,) in found]

    def _check_authored(self) -> None:
        ((count, size),) = self._sql(AUTHORED_TOTAL)
        if count > self._authored_limit:
            raise TooManyAuthored(self._authored_limit)
        if size > authored_room(self._size_limit):
            raise TooMuchAuthored(int(size), authored_room(self._size_limit))

    def _evict_excess(self) -> None:
        """Remove ended entries, and while there is too much, those used longest ago.

        Disposable entries keep half of the limit, whatever the size of the authored ones.
        """
        ended = "expire_time IS NOT NULL AND expire_time <= ? ORDER BY expire_time"
        self._evict(ended, time.time(), room=sys.maxsize)
        excess = self.volume() - self._size_limit
        if excess > 0:
            ((_count, authored),) = self._sql(AUTHORED_TOTAL)
            excess -= max(0, int(authored) - self._size_limit // 2)
        if excess > 0:
            self._evict(f"{DISPOSABLE} ORDER BY access_time", room=excess)

    def _evict(self, where: str, *values: object, room: int) -> None:
        """Remove the first rows of `where`, until about `room` bytes are free."""
        with self.file.transact():
            chosen = []
            for rowid, filename, size in self._sql(evictable(where), *values):
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

    def _sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self.file.sql(statement, *values)

    def _prepare(self, folder: Path, uncounted: Sequence[str]) -> None:
        """Create missing parts of the schema; a whole database is opened without a write."""
        statements = schema(uncounted)
        there = {name for (name,) in self._sql("SELECT name FROM sqlite_master")}
        check_ours(self._sql)
        if created_by(statements) <= there or not self.file.writable:
            return
        with locked(folder, alone=True):
            if not there:
                self._sql("PRAGMA auto_vacuum = 1")
            self._sql("PRAGMA journal_mode = wal")
            with self.file.transact():
                for statement in statements:
                    self._sql(statement)


def _is_full(error: Exception) -> bool:
    """Return whether `error` means that the disk, or the user's quota of it, is full."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        return code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _portions(items: Sequence[_T], most: int) -> Iterator[Sequence[_T]]:
    return (items[first : first + most] for first in range(0, len(items), most))


def _is_touch_due(tag: object, used: object) -> bool:
    if isinstance(tag, int) and tag > 0:  # authored entries are not evicted
        return False
    now = time.time()
    return not (isinstance(used, float) and now - TOUCH_SECONDS < used < now + CLOCK_SLACK)
