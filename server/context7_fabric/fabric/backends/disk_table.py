"""The table of the backend on disk: diskcache's, asked in SQL, which its own methods cannot say.

Every function here blocks. Of diskcache's columns, `store_time` holds an entry's time, `tag` its
version (negative: it is disposable; none: also, and written by an earlier release), `access_time`
when it was last used, give or take `TOUCH_SECONDS`.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import diskcache
from diskcache.core import MODE_RAW

from context7_fabric.errors import TooManyAuthored
from context7_fabric.fabric.backends.base import Entry, Place, Put
from context7_fabric.fabric.backends.disk_sql import (
    ALIVE,
    BELOW,
    CHANGED,
    CHECKPOINT_PAGES,
    COUNTED,
    COUNTED_UP_TO,
    DISPOSABLE,
    FEW,
    FILENAME,
    FOUND,
    KEYS_AT_ONCE,
    MAPPED_BYTES,
    PAGES_IN_MEMORY,
    ROWS_AT_ONCE,
    among,
    bounds,
    newest,
    schema,
    upsert,
    version_of,
)
from context7_fabric.fabric.backends.plain_disk import ForeignRow, PlainDisk

BUSY_SECONDS = 5.0
TOUCH_SECONDS = 3600.0
"""How old the time of last use may grow before a read writes it anew."""

EVICTED_AT_ONCE = 64
_T = TypeVar("_T")


class Table:
    """The rows of one folder; several processes may have it open."""

    def __init__(
        self, folder: Path, size_limit: int, authored_limit: int, passing: Sequence[str]
    ) -> None:
        """Open or make the database; what lies below `passing` leaves its revision as it is.

        Raises:
            sqlite3.Error, OSError, diskcache.Timeout: It cannot be had.
        """
        self._cache = diskcache.Cache(
            str(folder),
            timeout=BUSY_SECONDS,
            disk=PlainDisk,
            size_limit=size_limit,
            eviction_policy="none",  # ours knows what may go
            sqlite_wal_autocheckpoint=CHECKPOINT_PAGES,
            sqlite_cache_size=PAGES_IN_MEMORY,
            sqlite_mmap_size=MAPPED_BYTES,
        )
        self._size_limit = size_limit
        self._authored_limit = authored_limit
        for statement in schema(passing):
            self._sql(statement)
        self._reader = sqlite3.connect(
            folder / "cache.db", timeout=0, isolation_level=None, check_same_thread=False
        )
        self._reader.execute("PRAGMA query_only = 1")
        self._version = self._changes = 0

    def close(self) -> None:
        """Close the database."""
        self._reader.close()
        self._cache.close()

    def glance(self, key: str) -> tuple[bool, Entry | None]:
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
        return True, Entry(key, value, version_of(tag))

    def revision(self) -> int | None:
        """Return what differs once anybody has written, without ever waiting; None: not now."""
        try:
            ((version,),) = self._reader.execute("PRAGMA data_version").fetchall()
            if version != self._version:
                ((self._changes,),) = self._reader.execute(CHANGED).fetchall()
                self._version = version
        except sqlite3.Error:
            return None
        return self._changes

    def get(self, key: str) -> Entry | None:
        """Return the entry under `key`, None when there is none.

        Raises:
            ForeignRow: The row is none that we wrote.
        """
        for mode, filename, value, tag, used in self._sql(FOUND, key, time.time()):
            if _to_be_touched(tag, used):
                self._touch(key)
            with suppress(FileNotFoundError):  # overwritten or deleted meanwhile
                return Entry(key, self._fetch(mode, filename, value), version_of(tag))
        return None

    def get_many(self, keys: Sequence[str]) -> list[Entry]:
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
        return bool(self._cache.add(key, value, expire=expires_in))

    def swap(self, key: str, old: bytes, put: Put | None) -> bool:
        """Store `put` where its `key` holds `old`, or if it is None remove that."""
        with self._cache.transact():
            is_there = [entry.value for entry in self.get_many([key])] == [old]
            if is_there and put:
                self.write([put], [])
            elif is_there:
                self.delete(key)
        return is_there

    def delete(self, key: str) -> bool:
        """Remove `key`; tell whether it was there."""
        return bool(self._cache.delete(key))

    def write(self, puts: Sequence[Put], deletes: Sequence[str]) -> None:
        """Store and remove in one transaction; then make room, if need be.

        Raises:
            TooManyAuthored: As the seam says.
        """
        rows = [self._row(put) for put in {put.key: put for put in puts}.values()]
        try:
            with self._cache.transact():
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
        self._make_room()

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below `prefix`."""
        rows = self._sql(
            f"SELECT key FROM Cache WHERE {BELOW} AND {ALIVE}", *bounds(prefix), time.time()
        )
        return [key for (key,) in rows if isinstance(key, str)]

    def items(self, prefix: str, after: str | None, limit: int) -> tuple[list[Entry], str | None]:
        """Return a page of the readable entries below `prefix`, by key."""
        start, beyond = bounds(prefix)
        rows = self._sql(
            f"SELECT key, mode, filename, value, tag FROM Cache WHERE {BELOW} AND {ALIVE}"
            " ORDER BY key LIMIT ?",
            start if after is None else after + "\x00",  # the first key behind `after`
            beyond,
            time.time(),
            limit,
        )
        found = []
        for key, mode, filename, value, tag in rows:
            if mode == MODE_RAW and type(value) is bytes:  # nearly all are
                found.append(Entry(key, value, version_of(tag)))
                continue
            with suppress(ForeignRow, FileNotFoundError):
                found.append(Entry(key, self._fetch(mode, filename, value), version_of(tag)))
        return found, rows[-1][0] if len(rows) == limit else None

    def newest(self, prefix: str, after: Place | None, limit: int) -> list[Place]:
        """Return a page of the places below `prefix`, the newest first."""
        ((count,),) = self._sql(COUNTED_UP_TO, *bounds(prefix), FEW)
        statement = newest(few=count < FEW, behind=after is not None)
        rows = self._sql(statement, *bounds(prefix), time.time(), *(after or ()), limit)
        return [Place(at, key) for at, key in rows if isinstance(key, str)]

    def count(self, prefix: str) -> int:
        """Return how many rows there are below `prefix`."""
        ((count,),) = self._sql(COUNTED, *bounds(prefix), time.time())
        return int(count)

    def volume(self) -> int:
        """Return how many bytes the folder takes."""
        return int(self._cache.volume())

    def _row(self, put: Put) -> tuple[Any, ...]:
        """Return what `UPSERT` takes for one entry; a large value lies in its file from now on."""
        now = time.time()
        key, _raw = self._cache.disk.put(put.key)
        size, mode, filename, value = self._cache.disk.store(put.value, read=False)
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
        ((count,),) = self._sql("SELECT count(*) FROM Cache WHERE tag > 0")
        if count > self._authored_limit:
            raise TooManyAuthored(self._authored_limit)

    def _make_room(self) -> None:
        """Drop what has ended, and while there is too much what was used longest ago."""
        ended = "expire_time IS NOT NULL AND expire_time <= ? ORDER BY expire_time"
        self._evict(ended, time.time(), room=sys.maxsize)
        excess = self.volume() - self._size_limit
        if excess > 0:
            self._evict(f"{DISPOSABLE} ORDER BY access_time", room=excess)

    def _evict(self, which: str, *values: object, room: int) -> None:
        """Remove the first rows of `which`, until about `room` bytes are free."""
        with self._cache.transact():
            chosen = []
            for rowid, filename, size in self._sql(
                "SELECT rowid, filename, size + coalesce(length(value), 0)"
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
                self._cache.disk.remove(name)

    def _touch(self, key: str) -> None:
        with suppress(sqlite3.Error, diskcache.Timeout):  # a full disk can still be read
            self._sql(
                "UPDATE Cache SET access_time = ? WHERE key = ? AND raw = 1", time.time(), key
            )

    def _fetch(self, mode: object, filename: object, value: object) -> bytes:
        data: bytes = self._cache.disk.fetch(mode, filename, value, read=False)
        return data

    def _sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        execute: Callable[..., Any] = self._cache._sql  # noqa: SLF001  # the thread's connection
        rows: list[tuple[Any, ...]] = execute(statement, values).fetchall()
        return rows


def _portions(items: Sequence[_T], most: int) -> Iterator[Sequence[_T]]:
    return (items[first : first + most] for first in range(0, len(items), most))


def _to_be_touched(tag: object, used: object) -> bool:
    authored = isinstance(tag, int) and tag > 0
    return not authored and not (isinstance(used, float) and used > time.time() - TOUCH_SECONDS)
