"""A backend on disk, in diskcache's format: several processes may share its folder.

The file is watched: one that was removed or replaced is left, and one that is damaged is mended, so
that what is said to be stored is there for the next process.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio.to_thread

from context7_fabric.errors import CorruptEntry, StoreClosed, StoreUnavailable
from context7_fabric.fabric.backend import (
    AUTHORED_LIMIT,
    BackendEntry,
    EntryPosition,
    WriteRequest,
    human,
)
from context7_fabric.fabric.backends.disk.file import locked
from context7_fabric.fabric.backends.disk.repair import is_damage, mend
from context7_fabric.fabric.backends.disk.sql import PASSING
from context7_fabric.fabric.backends.disk.table import DiskTable, ForeignRow, SpaceFreed
from context7_fabric.relay.folders import UnusablePath, written_out

log = logging.getLogger(__name__)

SIZE_LIMIT = 512 * 2**20

LOOK_EVERY = 1.0
"""Seconds after which a read looks again whether the file is in its place; a write always does."""

TRY_EVERY = 60.0
"""Seconds after which a file that fails is opened again, or mended."""

_ATTEMPTS = 3
_T = TypeVar("_T")


class DiskBackend:
    """One table behind the fabric's seam; what may block runs in a worker thread."""

    def __init__(
        self,
        folder: Path,
        size_limit: int = SIZE_LIMIT,
        authored_limit: int = AUTHORED_LIMIT,
        passing: Sequence[str] = PASSING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open (or make) the store in `folder`, which holds at most about `size_limit` bytes.

        What is written below one of `passing` leaves the `revision` as it is. `clock` spaces the
        looks at the file.

        Raises:
            StoreUnavailable: The folder cannot be used.
        """
        self._clock = clock
        self._opening = threading.RLock()
        self._generation = 0
        self._next_look = self._next_mend = float("-inf")
        self._next_try = clock() + TRY_EVERY
        try:
            self._folder = Path(written_out("path", str(folder))).absolute()
            self._open_table = partial(DiskTable, self._folder, size_limit, authored_limit, passing)
            self._table = self._opened()
        except UnusablePath as error:
            told = f"{error.value!r} is not {error.expected}"
            raise StoreUnavailable("open", told) from error
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable("open", str(error)) from error
        self._open = True

    async def get(self, key: str) -> BackendEntry | None:
        """Return the entry under `key`, or None."""
        self._check()
        if self._is_current(self._table):
            told, entry = self._table.glance(key)
            if told:
                return entry
        return await self._run("get", key, lambda table: table.get(key))

    async def doubt(self, key: str) -> None:
        """Look into what is stored under `key` and cannot be read: an index may be damaged."""
        await self._run("get", key, lambda table: table.get(key))

    def revision(self) -> tuple[int, int] | None:
        """Return what differs once any process has written, None while that cannot be told.

        What lies below the constructor's `passing` does not count.
        """
        self._check()
        count = self._table.revision()
        return None if count is None else (self._generation, count)

    def trouble(self) -> str | None:
        """Return why nothing is kept, None when it is."""
        if self._table.writable:
            return None
        return f"the store in {self._folder} can be read, and takes no writes"

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`; one hop to a thread."""
        return await self._run("get", next(iter(keys), ""), lambda table: table.get_many(keys))

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        """Store and remove in one transaction."""
        first = next((put.key for put in puts), "")
        await self._write("put", first, lambda table: table.write(puts, deletes))

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` where nothing is, for `expires_in` seconds; one transaction."""
        return await self._write("add", key, lambda table: table.add(key, value, expires_in))

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        """Store `new` only where `old` is, or if it is None remove that; one transaction."""
        put = None if new is None else WriteRequest(key, new, expires_in=expires_in)
        return await self._write("swap", key, lambda table: table.swap(key, old, put))

    async def delete(self, key: str) -> bool:
        """Remove `key`; tell whether it was there."""
        return await self._write("delete", key, lambda table: table.delete(key))

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`."""
        return await self._run("keys", prefix, lambda table: table.keys(prefix))

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return the next readable entries whose keys begin with `prefix`; one query."""
        return await self._run("items", prefix, lambda table: table.items(prefix, after, limit))

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return the next places below `prefix`, the newest first."""
        return await self._run("query", prefix, lambda table: table.newest(prefix, after, limit))

    def info(self) -> dict[str, object]:
        """Tell of the folder, and how much room it takes."""
        size = self._guarded("info", "", DiskTable.volume)
        return {
            "backend": "disk",
            "memory": size,
            "memory_human": human(size),
            "folder": str(self._folder),
        }

    def dbsize(self, prefix: str = "") -> int:
        """Return how many entries have keys that begin with `prefix`."""
        return self._guarded("count", prefix, lambda table: table.count(prefix))

    async def aclose(self) -> None:
        """Close the database."""
        if self._open:
            self._open = False
            await anyio.to_thread.run_sync(self._table.close)

    async def _run(self, operation: str, key: str, work: Callable[[DiskTable], _T]) -> _T:
        self._check()
        return await anyio.to_thread.run_sync(partial(self._guarded, operation, key, work))

    async def _write(self, operation: str, key: str, work: Callable[[DiskTable], _T]) -> _T:
        self._check()
        writing = partial(self._guarded, operation, key, work, writes=True)
        return await anyio.to_thread.run_sync(writing)

    def _guarded(
        self, operation: str, key: str, work: Callable[[DiskTable], _T], *, writes: bool = False
    ) -> _T:
        self._check()
        try:
            return self._done(work, writes=writes)
        except ForeignRow as error:
            raise CorruptEntry(key, str(error)) from error
        except UnicodeError as error:
            raise StoreUnavailable(operation, "the key is not valid Unicode") from error
        except (OSError, sqlite3.Error) as error:
            self._check()  # closed meanwhile
            raise StoreUnavailable(operation, str(error) or type(error).__name__) from error

    def _done(self, work: Callable[[DiskTable], _T], *, writes: bool) -> _T:
        """Do `work` on the table that is in its place, once more where that changed meanwhile."""
        for _attempt in range(_ATTEMPTS):
            table = self._current(writes=writes)
            try:
                # As long as others may write, nobody replaces the file.
                with locked(self._folder, alone=False) if writes else nullcontext():
                    done = work(table)
                    if not writes or table.in_place():
                        break
            except ForeignRow:
                if not (table.misplaced and self._mended(table, "an index is damaged")):
                    raise
            except sqlite3.Error as error:
                if not self._recovered(table, error):
                    raise
        else:
            raise sqlite3.OperationalError("its file is taken away again and again")
        if table.misplaced:
            self._mended(table, "an index is damaged")
        return done

    def _current(self, *, writes: bool) -> DiskTable:
        """Return the table, opened anew if its file is not in its place any more."""
        table = self._table
        if writes:
            self._next_look = float("-inf")
        if self._is_current(table):
            return table
        with self._opening:
            return self._reopened() if table is self._table else self._table

    def _is_current(self, table: DiskTable) -> bool:
        """Tell whether `table` may be read; a look at the file, now and then, takes no time."""
        now = self._clock()
        if now < self._next_look:
            return True
        if not (table.in_place() and (table.writable or now < self._next_try)):
            return False
        self._next_look = now + LOOK_EVERY
        return True

    def _reopened(self) -> DiskTable:
        self._next_try = self._clock() + TRY_EVERY
        if self._table.is_same_file():  # what its log holds, which may be gone, goes into the file
            self._table.close()
        old, self._table = self._table, self._opened()
        self._generation += 1
        old.close()
        return self._table

    def _recovered(self, table: DiskTable, error: sqlite3.Error) -> bool:
        """Mend what is damaged, and open anew what has lost a table; tell whether to try again."""
        with self._opening:  # another thread may be at it
            if table is not self._table:
                return True
            if is_damage(error):
                return self._mended(table, str(error))
            lacks_table = "no such " in str(error) and self._clock() >= self._next_try
            if lacks_table or isinstance(error, SpaceFreed):
                self._reopened()
                return True
        return False

    def _mended(self, table: DiskTable, why: str) -> bool:
        """Mend the file behind `table`; False when that was tried just now, or is not possible."""
        with self._opening:
            if table is not self._table:
                return True
            table.misplaced = False
            now = self._clock()
            if now < self._next_mend or not table.writable:
                return False
            self._next_mend = now + TRY_EVERY
            table.close()
            try:
                mend(self._folder, why)
            finally:
                self._reopened()
            return True

    def _opened(self) -> DiskTable:
        """Open the table; a damaged file is mended first."""
        try:
            return self._open_table()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            mend(self._folder, str(error))
        return self._open_table()

    def _check(self) -> None:
        if not self._open:
            raise StoreClosed
