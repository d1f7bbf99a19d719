"""Backend on disk in diskcache's format; several processes may share its folder.

It watches its file: a removed or replaced file is reopened, and a damaged one is repaired, so that
the next process finds every entry that was reported as stored.
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
    human_size,
)
from context7_fabric.fabric.backends.disk.file import locked
from context7_fabric.fabric.backends.disk.repair import is_damage, repair
from context7_fabric.fabric.backends.disk.schema import UNCOUNTED, ForeignRow
from context7_fabric.fabric.backends.disk.table import DiskTable, SpaceFreed
from context7_fabric.relay.folders import UnusablePath, written_out

log = logging.getLogger(__name__)

SIZE_LIMIT = 512 * 2**20

LOOK_SECONDS = 1.0
"""Seconds between looks of reads at the identity of the file; writes always look."""

RETRY_SECONDS = 60.0
"""Seconds between attempts to reopen or repair a failing file."""

_ATTEMPTS = 3
_T = TypeVar("_T")


class DiskBackend:
    """The table of a folder as a backend; blocking calls run in a worker thread."""

    def __init__(
        self,
        folder: Path,
        size_limit: int = SIZE_LIMIT,
        authored_limit: int = AUTHORED_LIMIT,
        uncounted: Sequence[str] = UNCOUNTED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open or create the store in `folder`, which takes about `size_limit` bytes at most.

        Writes below `uncounted` prefixes do not change the `revision`. `clock` times the looks at
        the file.

        Raises:
            StoreUnavailable: The folder cannot be used.
        """
        self._clock = clock
        self._opening = threading.RLock()
        self._generation = 0
        self._next_look = self._next_repair = float("-inf")
        self._next_try = clock() + RETRY_SECONDS
        try:
            self._folder = Path(written_out("path", str(folder))).absolute()
            self._open_table = partial(
                DiskTable, self._folder, size_limit, authored_limit, uncounted
            )
            self._table = self._opened()
        except UnusablePath as error:
            reason = f"{error.value!r} is not {error.expected}"
            raise StoreUnavailable("open", reason) from error
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable("open", str(error)) from error
        self._open = True

    async def get(self, key: str) -> BackendEntry | None:
        """Return the entry under `key`, or None."""
        self._check_open()
        if self._is_current(self._table):
            is_certain, entry = self._table.get_at_once(key)
            if is_certain:
                return entry
        return await self._run("get", key, lambda table: table.get(key))

    async def check_entry(self, key: str) -> None:
        """Read the entry under `key`, which repairs a damaged index."""
        await self._run("get", key, lambda table: table.get(key))

    def revision(self) -> tuple[int, int] | None:
        """Return a value that differs after a write of any process, None if unknown now.

        Writes below `uncounted` prefixes do not change it.
        """
        self._check_open()
        count = self._table.revision()
        return None if count is None else (self._generation, count)

    def trouble(self) -> str | None:
        """Return why nothing is kept, None when entries are kept."""
        if self._table.file.writable:
            return None
        return f"the store in {self._folder} can be read, and takes no writes"

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`; one hop to a thread."""
        return await self._run("get", next(iter(keys), ""), lambda table: table.get_many(keys))

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        """Store and remove in one transaction."""
        first = next((put.key for put in puts), "")
        await self._run("put", first, lambda table: table.write(puts, deletes), writes=True)

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` under a free `key` for `expires_in` seconds; one transaction."""
        return await self._run(
            "add", key, lambda table: table.add(key, value, expires_in), writes=True
        )

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        """Replace the value `old` by `new`, or remove it if `new` is None; one transaction."""
        put = None if new is None else WriteRequest(key, new, expires_in=expires_in)
        return await self._run("swap", key, lambda table: table.swap(key, old, put), writes=True)

    async def delete(self, key: str) -> bool:
        """Remove `key`; return whether it existed."""
        return await self._run("delete", key, lambda table: table.delete(key), writes=True)

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`."""
        return await self._run("keys", prefix, lambda table: table.keys(prefix))

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return a page of readable entries whose keys begin with `prefix`; one query."""
        return await self._run("items", prefix, lambda table: table.items(prefix, after, limit))

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return a page of positions below `prefix`, the newest first."""
        return await self._run("query", prefix, lambda table: table.newest(prefix, after, limit))

    def info(self) -> dict[str, object]:
        """Return facts about the folder and its size."""
        size = self._guarded("info", "", DiskTable.volume)
        return {
            "backend": "disk",
            "memory": size,
            "memory_human": human_size(size),
            "folder": str(self._folder),
        }

    def dbsize(self, prefix: str = "") -> int:
        """Return the number of entries whose keys begin with `prefix`."""
        return self._guarded("count", prefix, lambda table: table.count(prefix))

    async def aclose(self) -> None:
        """Close the database."""
        if self._open:
            self._open = False
            await anyio.to_thread.run_sync(self._table.file.close)

    async def _run(
        self, operation: str, key: str, work: Callable[[DiskTable], _T], *, writes: bool = False
    ) -> _T:
        self._check_open()
        guarded = partial(self._guarded, operation, key, work, writes=writes)
        return await anyio.to_thread.run_sync(guarded)

    def _guarded(
        self, operation: str, key: str, work: Callable[[DiskTable], _T], *, writes: bool = False
    ) -> _T:
        self._check_open()
        try:
            return self._done(work, writes=writes)
        except ForeignRow as error:
            raise CorruptEntry(key, str(error)) from error
        except UnicodeError as error:
            raise StoreUnavailable(operation, "the key is not valid Unicode") from error
        except (OSError, sqlite3.Error) as error:
            self._check_open()  # it may have been closed meanwhile
            raise StoreUnavailable(operation, str(error) or type(error).__name__) from error

    def _done(self, work: Callable[[DiskTable], _T], *, writes: bool) -> _T:
        """Do `work` on the current table, and again where the file is replaced meanwhile."""
        for _attempt in range(_ATTEMPTS):
            table = self._current(writes=writes)
            try:
                # The shared lock keeps other processes from replacing the file.
                with locked(self._folder, alone=False) if writes else nullcontext():
                    done = work(table)
                    if not writes or table.file.in_place():
                        break
            except ForeignRow:
                if not (table.index_damaged and self._repaired(table, "an index is damaged")):
                    raise
            except sqlite3.Error as error:
                if not self._recovered(table, error):
                    raise
        else:
            raise sqlite3.OperationalError("its file is removed again and again")
        if table.index_damaged:
            self._repaired(table, "an index is damaged")
        return done

    def _current(self, *, writes: bool) -> DiskTable:
        """Return the table, reopened if its file is not in its place any more."""
        table = self._table
        if writes:
            self._next_look = float("-inf")
        if self._is_current(table):
            return table
        with self._opening:
            return self._reopened() if table is self._table else self._table

    def _is_current(self, table: DiskTable) -> bool:
        """Return whether `table` may be read; looks at the file now and then."""
        now = self._clock()
        if now < self._next_look:
            return True
        if not (table.file.in_place() and (table.file.writable or now < self._next_try)):
            return False
        self._next_look = now + LOOK_SECONDS
        return True

    def _reopened(self) -> DiskTable:
        self._next_try = self._clock() + RETRY_SECONDS
        if self._table.file.is_same_file():  # its log, which may be gone, is copied into the file
            self._table.file.close()
        old, self._table = self._table, self._opened()
        self._generation += 1
        old.file.close()
        return self._table

    def _recovered(self, table: DiskTable, error: sqlite3.Error) -> bool:
        """Repair damage, and reopen a file that lacks a table; return whether to try again."""
        with self._opening:  # another thread may do it
            if table is not self._table:
                return True
            if is_damage(error):
                return self._repaired(table, str(error))
            lacks_table = "no such " in str(error) and self._clock() >= self._next_try
            if lacks_table or isinstance(error, SpaceFreed):
                self._reopened()
                return True
        return False

    def _repaired(self, table: DiskTable, why: str) -> bool:
        """Repair the file of `table`; return False if that is impossible or was just tried."""
        with self._opening:
            if table is not self._table:
                return True
            table.index_damaged = False
            now = self._clock()
            if now < self._next_repair or not table.file.writable:
                return False
            self._next_repair = now + RETRY_SECONDS
            table.file.close()
            try:
                repair(self._folder, why)
            finally:
                self._reopened()
            return True

    def _opened(self) -> DiskTable:
        """Open the table; a damaged file is repaired first."""
        try:
            return self._open_table()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            repair(self._folder, str(error))
        return self._open_table()

    def _check_open(self) -> None:
        if not self._open:
            raise StoreClosed
