"""The table of the backend on disk: diskcache's, asked in SQL, which its own methods cannot say.

Every function here blocks. Of diskcache's columns, `store_time` holds an entry's time, `tag` its
version (negative: it is disposable; none: also, and written by an earlier release), `access_time`
when it was last used, give or take `TOUCH_SECONDS`.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import diskcache
from diskcache.core import MODE_RAW

from context7_fabric.errors import TooManyAuthored
from context7_fabric.fabric.backends.base import Entry, Place, Put
from context7_fabric.fabric.backends.plain_disk import ForeignRow, PlainDisk

BUSY_SECONDS = 5.0
TOUCH_SECONDS = 3600.0
"""How old the time of last use may grow before a read writes it anew."""

EVICTED_AT_ONCE = 64
FEW = 2000
"""Keys below a prefix up to which sorting them beats walking all entries in the order of time."""

_ALIVE = "(expire_time IS NULL OR expire_time > ?)"
_DISPOSABLE = "(tag IS NULL OR tag < 0)"
_BELOW = "raw = 1 AND key >= ? AND key < CAST(? AS TEXT)"
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS Fabric_newest ON Cache (store_time, key)",
    f"CREATE INDEX IF NOT EXISTS Fabric_last_use ON Cache (access_time) WHERE {_DISPOSABLE}",
    "CREATE INDEX IF NOT EXISTS Fabric_authored ON Cache (tag) WHERE tag > 0",
)
_FOUND = (
    "SELECT mode, filename, value, tag, access_time FROM Cache"
    f" WHERE key = ? AND raw = 1 AND {_ALIVE}"
)
_UPSERT = f"""
INSERT INTO Cache (key, raw, store_time, expire_time, access_time, access_count, tag, size, mode,
                   filename, value)
VALUES (?, 1, ?, ?, ?, 0, ?, ?, ?, ?, ?)
ON CONFLICT (key, raw) DO UPDATE SET
  tag = excluded.tag * CASE WHEN {_ALIVE} THEN abs(coalesce(tag, -1)) + 1 ELSE 1 END,
  store_time = excluded.store_time, expire_time = excluded.expire_time,
  access_time = excluded.access_time, size = excluded.size, mode = excluded.mode,
  filename = excluded.filename, value = excluded.value
"""


class Table:
    """The rows of one folder; several processes may have it open."""

    def __init__(self, folder: Path, size_limit: int, authored_limit: int) -> None:
        """Open or make the database.

        Raises:
            sqlite3.Error, OSError, diskcache.Timeout: It cannot be had.
        """
        self._cache = diskcache.Cache(
            str(folder),
            timeout=BUSY_SECONDS,
            disk=PlainDisk,
            size_limit=size_limit,
            eviction_policy="none",  # ours knows what is disposable
        )
        self._size_limit = size_limit
        self._authored_limit = authored_limit
        for statement in _INDEXES:
            self._sql(statement)
        self._reader = sqlite3.connect(
            folder / "cache.db", timeout=0, isolation_level=None, check_same_thread=False
        )
        self._reader.execute("PRAGMA query_only = 1")

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
            rows = self._reader.execute(_FOUND, (key, time.time())).fetchall()
        except (sqlite3.Error, UnicodeError):
            return False, None
        if not rows:
            return True, None
        mode, _filename, value, tag, used = rows[0]
        if mode != MODE_RAW or type(value) is not bytes or _to_be_touched(tag, used):
            return False, None
        return True, Entry(key, value, _version(tag))

    def get(self, key: str) -> Entry | None:
        """Return the entry under `key`, None when there is none.

        Raises:
            ForeignRow: The row is none that we wrote.
        """
        for mode, filename, value, tag, used in self._sql(_FOUND, key, time.time()):
            if _to_be_touched(tag, used):
                self._touch(key)
            with suppress(FileNotFoundError):  # overwritten or deleted meanwhile
                return Entry(key, self._fetch(mode, filename, value), _version(tag))
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

    def delete(self, key: str) -> bool:
        """Remove `key`; tell whether it was there."""
        return bool(self._cache.delete(key))

    def write(self, puts: Sequence[Put], deletes: Sequence[str]) -> None:
        """Store and remove in one transaction; then make room, if need be.

        Raises:
            TooManyAuthored: As the seam says.
        """
        made: list[str | None] = []
        try:
            with self._cache.transact():
                gone = [self._put(put, made) for put in puts]
                gone += [self._removed(key) for key in deletes]
                if any(not put.disposable for put in puts):
                    self._check_authored()
        except BaseException:
            self._remove_files(made)
            raise
        self._remove_files(gone)
        self._make_room()

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below `prefix`."""
        rows = self._sql(
            f"SELECT key FROM Cache WHERE {_BELOW} AND {_ALIVE}", *_range(prefix), time.time()
        )
        return [key for (key,) in rows if isinstance(key, str)]

    def items(self, prefix: str, after: str | None, limit: int) -> tuple[list[Entry], str | None]:
        """Return a page of the readable entries below `prefix`, by key."""
        start, beyond = _range(prefix)
        rows = self._sql(
            f"SELECT key, mode, filename, value, tag FROM Cache WHERE {_BELOW} AND {_ALIVE}"
            " ORDER BY key LIMIT ?",
            start if after is None else after + "\x00",  # the first key behind `after`
            beyond,
            time.time(),
            limit,
        )
        found = []
        for key, mode, filename, value, tag in rows:
            with suppress(ForeignRow, FileNotFoundError):
                found.append(Entry(key, self._fetch(mode, filename, value), _version(tag)))
        return found, rows[-1][0] if len(rows) == limit else None

    def newest(self, prefix: str, after: Place | None, limit: int) -> list[Place]:
        """Return a page of the places below `prefix`, the newest first."""
        few = self._count(prefix, FEW) < FEW
        order = "+store_time" if few else "store_time"  # the sign keeps SQLite from that index
        below = _BELOW if few else _BELOW.replace("key", "+key")
        behind = "" if after is None else f"AND ({order}, key) < (?, ?)"
        rows = self._sql(
            f"SELECT store_time, key FROM Cache WHERE {below} AND {_ALIVE} {behind}"
            f" ORDER BY {order} DESC, key DESC LIMIT ?",
            *_range(prefix),
            time.time(),
            *(after or ()),
            limit,
        )
        return [Place(at, key) for at, key in rows if isinstance(key, str)]

    def count(self, prefix: str) -> int:
        """Return how many rows there are below `prefix`."""
        return self._count(prefix, -1)

    def volume(self) -> int:
        """Return how many bytes the folder takes."""
        return int(self._cache.volume())

    def _count(self, prefix: str, limit: int) -> int:
        rows = self._sql(
            f"SELECT count(*) FROM (SELECT 1 FROM Cache WHERE {_BELOW} AND {_ALIVE} LIMIT ?)",
            *_range(prefix),
            time.time(),
            limit,
        )
        return int(rows[0][0])

    def _put(self, put: Put, made: list[str | None]) -> str | None:
        """Store one entry, noting the file that it `made`; return the file that it replaces."""
        now = time.time()
        key, _raw = self._cache.disk.put(put.key)
        size, mode, filename, value = self._cache.disk.store(put.value, read=False)
        made.append(filename)
        known = self._sql("SELECT filename FROM Cache WHERE key = ? AND raw = 1", key)
        until = None if put.expires_in is None else now + put.expires_in
        tag = -1 if put.disposable else 1
        self._sql(_UPSERT, key, put.at, until, now, tag, size, mode, filename, value, now)
        return known[0][0] if known else None

    def _removed(self, key: str) -> str | None:
        """Remove one row; return its file, which goes when the transaction is through."""
        known = self._sql("SELECT filename FROM Cache WHERE key = ? AND raw = 1", key)
        self._sql("DELETE FROM Cache WHERE key = ? AND raw = 1", key)
        return known[0][0] if known else None

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
            self._evict(f"{_DISPOSABLE} ORDER BY access_time", room=excess)

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


def _range(prefix: str) -> tuple[str, bytes]:
    """Return where keys that begin with `prefix` start and end: UTF-8 has no such last byte."""
    return prefix, prefix.encode() + b"\xff"


def _version(tag: object) -> int:
    return abs(tag) if isinstance(tag, int) and tag else 1


def _to_be_touched(tag: object, used: object) -> bool:
    authored = isinstance(tag, int) and tag > 0
    return not authored and not (isinstance(used, float) and used > time.time() - TOUCH_SECONDS)
