"""A backend on disk, over diskcache: several processes may share its folder.

diskcache pickles whatever it cannot store plainly, and unpickles whatever a row says is a pickle
(CVE-2025-69872, no fixed release). `PlainDisk` refuses both: text keys and bytes values only, and a
row that claims anything else is a corrupt entry.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio.to_thread
import diskcache
from diskcache.core import MODE_BINARY, MODE_RAW

from context7_fabric.errors import CorruptEntry, StoreClosed, StoreUnavailable
from context7_fabric.fabric.backends.base import Item

log = logging.getLogger(__name__)

SIZE_LIMIT = 512 * 2**20
BUSY_SECONDS = 5.0
_VALUE_FILE = re.compile(r"[0-9a-f]{2}[/\\][0-9a-f]{2}[/\\][0-9a-f]{28}\.val")
_T = TypeVar("_T")


class _ForeignRow(Exception):
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
            raise _ForeignRow("its key is not text")
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
        raise _ForeignRow(f"its mode is {mode!r}")

    def remove(self, file_path: Any) -> None:
        """Remove a value's file, and nothing else that a row may name."""
        if _VALUE_FILE.fullmatch(file_path):
            super().remove(file_path)

    def _contents(self, filename: str) -> bytes:
        if not _VALUE_FILE.fullmatch(filename):
            raise _ForeignRow("its file is none of the cache's")
        try:
            return (Path(self._directory) / filename).read_bytes()
        except FileNotFoundError:
            raise  # overwritten or deleted meanwhile: diskcache makes it a miss
        except OSError as error:
            raise _ForeignRow(f"its file cannot be read ({error.strerror})") from error


class DiskBackend:
    """diskcache behind the fabric's seam; every call runs in a worker thread."""

    def __init__(self, folder: Path, size_limit: int = SIZE_LIMIT) -> None:
        """Open (or make) the cache in `folder`, which holds at most about `size_limit` bytes.

        Raises:
            StoreUnavailable: The folder cannot be used.
        """
        try:
            _make_private(folder)
            self._cache = _opened(folder, size_limit)
        except (OSError, sqlite3.Error, diskcache.Timeout) as error:
            raise StoreUnavailable("open", str(error)) from error
        self._open = True

    async def get(self, key: str) -> bytes | None:
        """Return the bytes under `key`, or None."""
        return await self._run("get", key, partial(self._cache.get, key))

    async def put(self, key: str, value: bytes, *, expires_in: float | None = None) -> None:
        """Store `value` under `key`."""
        await self._run("put", key, partial(self._cache.set, key, value, expire=expires_in))

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` where nothing is, for `expires_in` seconds; one transaction."""
        add = partial(self._cache.add, key, value, expire=expires_in)
        return bool(await self._run("add", key, add))

    async def delete(self, key: str) -> bool:
        """Remove `key`; tell whether it was there."""
        return bool(await self._run("delete", key, partial(self._cache.delete, key)))

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`."""
        return await self._run("keys", prefix, partial(self._matching, prefix))

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[Item], str | None]:
        """Return the next readable entries whose keys begin with `prefix`; one query."""
        return await self._run("items", prefix, partial(self._page, prefix, after, limit))

    async def get_many(self, keys: Sequence[str]) -> list[Item]:
        """Return the readable entries under `keys`; one hop to a thread."""
        return await self._run("get", next(iter(keys), ""), partial(self._found, keys))

    async def put_many(self, entries: Mapping[str, bytes]) -> None:
        """Store all of `entries` in one transaction."""
        await self._run("put", next(iter(entries), ""), partial(self._put_all, entries))

    async def aclose(self) -> None:
        """Close the database."""
        if self._open:
            self._open = False
            await anyio.to_thread.run_sync(self._cache.close)

    def _put_all(self, entries: Mapping[str, bytes]) -> None:
        with self._cache.transact():
            for key, value in entries.items():
                self._cache.set(key, value)

    def _found(self, keys: Sequence[str]) -> list[Item]:
        found = []
        for key in keys:
            with suppress(_ForeignRow):
                value = self._cache.get(key)
                if value is not None:
                    found.append((key, value))
        return found

    def _page(self, prefix: str, after: str | None, limit: int) -> tuple[list[Item], str | None]:
        found = []
        rows = self._rows("key, mode, filename, value", prefix, after, limit)
        for key, mode, filename, value in rows:
            with suppress(_ForeignRow, FileNotFoundError):
                found.append((key, self._cache.disk.fetch(mode, filename, value, read=False)))
        return found, rows[-1][0] if len(rows) == limit else None

    def _matching(self, prefix: str) -> list[str]:
        return [key for (key,) in self._rows("key", prefix)]

    def _rows(
        self, columns: str, prefix: str, after: str | None = None, limit: int = -1
    ) -> list[tuple[Any, ...]]:
        """Ask the database itself: iterating over diskcache takes one query a hundred keys."""
        start = prefix if after is None else after + "\x00"  # the first key behind `after`
        beyond = prefix.encode() + b"\xff"  # texts compare as UTF-8, which has no such byte
        rows: list[tuple[Any, ...]] = self._cache._sql(  # noqa: SLF001  # its iterators cannot filter
            f"SELECT {columns} FROM Cache"  # noqa: S608  # our own two lists of columns
            " WHERE raw = 1 AND key >= ? AND key < CAST(? AS TEXT)"
            " AND (expire_time IS NULL OR expire_time > ?) ORDER BY key LIMIT ?",
            (start, beyond, time.time(), limit),
        ).fetchall()
        return [row for row in rows if isinstance(row[0], str)]

    async def _run(self, operation: str, key: str, work: Callable[[], _T]) -> _T:
        if not self._open:
            raise StoreClosed
        try:
            return await anyio.to_thread.run_sync(work)
        except _ForeignRow as error:
            raise CorruptEntry(key, str(error)) from error
        except UnicodeError as error:
            raise StoreUnavailable(operation, "the key is not valid Unicode") from error
        except (OSError, sqlite3.Error, diskcache.Timeout) as error:
            raise StoreUnavailable(operation, str(error) or type(error).__name__) from error


def _opened(folder: Path, size_limit: int) -> diskcache.Cache:
    """Open the cache; a database that is none any more is set aside, for whoever looks into it."""
    open_cache = partial(
        diskcache.Cache, str(folder), timeout=BUSY_SECONDS, disk=PlainDisk, size_limit=size_limit
    )
    try:
        return open_cache()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        log.warning("the store in %s is damaged (%s): it is set aside", folder, error)
    try:
        return open_cache()  # another process may have been first
    except sqlite3.DatabaseError:
        for name in ("cache.db", "cache.db-wal", "cache.db-shm"):
            with suppress(FileNotFoundError):
                (folder / name).replace(folder / f"damaged-{name}")
        _make_private(folder)
        return open_cache()


def _make_private(folder: Path) -> None:
    """Make folder and database, for this user alone: SQLite's other files follow the database."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = folder / "cache.db"
    database.touch(mode=0o600)
    with suppress(OSError):  # somebody else's, and still of use
        folder.chmod(0o700)
        database.chmod(0o600)
