"""A backend on disk, over diskcache: several processes may share its folder."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
import diskcache

from context7_fabric.errors import CorruptEntry, StoreClosed, StoreUnavailable
from context7_fabric.fabric.backends.base import AUTHORED_LIMIT, Entry, Place, Put, human
from context7_fabric.fabric.backends.disk_sql import PASSING
from context7_fabric.fabric.backends.disk_table import Table
from context7_fabric.fabric.backends.plain_disk import ForeignRow

log = logging.getLogger(__name__)

SIZE_LIMIT = 512 * 2**20
_T = TypeVar("_T")


class DiskBackend:
    """diskcache behind the fabric's seam; what may block runs in a worker thread."""

    def __init__(
        self,
        folder: Path,
        size_limit: int = SIZE_LIMIT,
        authored_limit: int = AUTHORED_LIMIT,
        passing: Sequence[str] = PASSING,
    ) -> None:
        """Open (or make) the store in `folder`, which holds at most about `size_limit` bytes.

        What is written below one of `passing` leaves the `revision` as it is.

        Raises:
            StoreUnavailable: The folder cannot be used.
        """
        self._folder = folder
        try:
            _make_private(folder)
            self._table = _opened(folder, size_limit, authored_limit, passing)
        except (OSError, sqlite3.Error, diskcache.Timeout) as error:
            raise StoreUnavailable("open", str(error)) from error
        self._open = True

    async def get(self, key: str) -> Entry | None:
        """Return the entry under `key`, or None."""
        self._check()
        told, entry = self._table.glance(key)
        return entry if told else await self._run("get", key, partial(self._table.get, key))

    def revision(self) -> int | None:
        """Return what differs once any process has written, None while that cannot be told.

        What lies below the constructor's `passing` does not count.
        """
        self._check()
        return self._table.revision()

    async def get_many(self, keys: Sequence[str]) -> list[Entry]:
        """Return the readable entries under `keys`; one hop to a thread."""
        return await self._run("get", next(iter(keys), ""), partial(self._table.get_many, keys))

    async def write(self, puts: Sequence[Put], deletes: Sequence[str] = ()) -> None:
        """Store and remove in one transaction."""
        first = next((put.key for put in puts), "")
        await self._run("put", first, partial(self._table.write, puts, deletes))

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` where nothing is, for `expires_in` seconds; one transaction."""
        return await self._run("add", key, partial(self._table.add, key, value, expires_in))

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        """Store `new` only where `old` is, or if it is None remove that; one transaction."""
        put = None if new is None else Put(key, new, expires_in=expires_in)
        return await self._run("swap", key, partial(self._table.swap, key, old, put))

    async def delete(self, key: str) -> bool:
        """Remove `key`; tell whether it was there."""
        return await self._run("delete", key, partial(self._table.delete, key))

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`."""
        return await self._run("keys", prefix, partial(self._table.keys, prefix))

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[Entry], str | None]:
        """Return the next readable entries whose keys begin with `prefix`; one query."""
        return await self._run("items", prefix, partial(self._table.items, prefix, after, limit))

    async def newest(self, prefix: str, after: Place | None, limit: int) -> list[Place]:
        """Return the next places below `prefix`, the newest first."""
        return await self._run("query", prefix, partial(self._table.newest, prefix, after, limit))

    def info(self) -> dict[str, object]:
        """Tell of the folder, and how much room it takes."""
        size = self._guarded("info", "", self._table.volume)
        return {
            "backend": "disk",
            "memory": size,
            "memory_human": human(size),
            "folder": str(self._folder),
        }

    def dbsize(self, prefix: str = "") -> int:
        """Return how many entries have keys that begin with `prefix`."""
        return self._guarded("count", prefix, partial(self._table.count, prefix))

    async def aclose(self) -> None:
        """Close the database."""
        if self._open:
            self._open = False
            await anyio.to_thread.run_sync(self._table.close)

    async def _run(self, operation: str, key: str, work: Callable[[], _T]) -> _T:
        self._check()
        return await anyio.to_thread.run_sync(partial(self._guarded, operation, key, work))

    def _guarded(self, operation: str, key: str, work: Callable[[], _T]) -> _T:
        self._check()
        try:
            return work()
        except ForeignRow as error:
            raise CorruptEntry(key, str(error)) from error
        except UnicodeError as error:
            raise StoreUnavailable(operation, "the key is not valid Unicode") from error
        except (OSError, sqlite3.Error, diskcache.Timeout) as error:
            raise StoreUnavailable(operation, str(error) or type(error).__name__) from error

    def _check(self) -> None:
        if not self._open:
            raise StoreClosed


def _opened(folder: Path, size_limit: int, authored_limit: int, passing: Sequence[str]) -> Table:
    """Open the table; a database that is none any more is set aside, for whoever looks into it."""
    open_table = partial(Table, folder, size_limit, authored_limit, passing)
    try:
        return open_table()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        log.warning("the store in %s is damaged (%s): it is set aside", folder, error)
    try:
        return open_table()  # another process may have been first
    except sqlite3.DatabaseError:
        for name in ("cache.db", "cache.db-wal", "cache.db-shm"):
            with suppress(FileNotFoundError):
                (folder / name).replace(folder / f"damaged-{name}")
        _make_private(folder)
        return open_table()


def _make_private(folder: Path) -> None:
    """Make folder and database, for this user alone: SQLite's other files follow the database."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = folder / "cache.db"
    database.touch(mode=0o600)
    with suppress(OSError):  # somebody else's, and still of use
        folder.chmod(0o700)
        database.chmod(0o600)
