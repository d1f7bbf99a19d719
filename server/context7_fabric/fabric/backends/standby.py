"""Memory in place of a store on disk that cannot be opened, until it can."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from anyio import to_thread

from context7_fabric.errors import CorruptEntry, StoreError, StoreUnavailable
from context7_fabric.fabric.backend import (
    Backend,
    BackendEntry,
    EntryPosition,
    ForwardingBackend,
    WriteRequest,
)
from context7_fabric.fabric.backends.disk.backend import RETRY_SECONDS, DiskBackend
from context7_fabric.fabric.backends.memory import MemoryBackend

log = logging.getLogger(__name__)

_T = TypeVar("_T")


class OverlayBackend:
    """Writes to memory, and reads missing entries from a store below that cannot be changed."""

    def __init__(self, below: DiskBackend) -> None:
        """Lie above `below`, which is closed with this backend."""
        self._below = below
        self._memory = MemoryBackend()

    def puts(self) -> list[WriteRequest]:
        """Return everything that was written here."""
        return self._memory.puts()

    async def check_entry(self, key: str) -> None:
        """Look for damage at the entry below under `key`."""
        await self._below.check_entry(key)

    async def get(self, key: str) -> BackendEntry | None:
        """Return the entry under `key`."""
        return await self._memory.get(key) or await self._below.get(key)

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`."""
        above = {entry.key: entry for entry in await self._memory.get_many(keys)}
        below = {entry.key: entry for entry in await self._below.get_many(keys)}
        found = below | above
        return [found[key] for key in keys if key in found]

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        """Store and remove, unless an entry to be removed lies below."""
        for key in deletes:
            await self._check_removal(key)
        await self._memory.write(puts, deletes)

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` under a free `key`."""
        if await self._value_below(key) is not None:
            return False
        return await self._memory.add(key, value, expires_in=expires_in)

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        """Replace or remove the value `old`."""
        if new is None:
            await self._check_removal(key)
        elif await self._memory.get(key) is None:
            if await self._value_below(key) != old:
                return False
            await self._memory.write([WriteRequest(key, new, expires_in=expires_in)])
            return True
        return await self._memory.swap(key, old, new, expires_in=expires_in)

    async def delete(self, key: str) -> bool:
        """Remove `key`, unless it lies below; return whether it existed."""
        await self._check_removal(key)
        return await self._memory.delete(key)

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`."""
        return list({*await self._memory.keys(prefix), *await self._below.keys(prefix)})

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return a page of readable entries below `prefix`, by key."""
        above, above_end = await self._memory.items(prefix, after, limit)
        below, below_end = await self._below.items(prefix, after, limit)
        end = min((key for key in (above_end, below_end) if key is not None), default=None)
        found = {entry.key: entry for entry in (*below, *above)}
        return [found[key] for key in sorted(found) if end is None or key <= end], end

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return a page of positions below `prefix`, the newest first."""
        above = await self._memory.newest(prefix, after, limit)
        below = await self._newest_below(prefix, after, limit)
        return sorted((*above, *below), reverse=True)[:limit]

    def info(self) -> dict[str, object]:
        """Return facts about the store below."""
        return self._below.info()

    def dbsize(self, prefix: str = "") -> int:
        """Return the number of entries below `prefix`; one that hides another counts twice."""
        return self._memory.dbsize(prefix) + self._below.dbsize(prefix)

    async def aclose(self) -> None:
        """Close both."""
        await self._memory.aclose()
        await self._below.aclose()

    async def _newest_below(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return the next positions below that no entry in memory hides."""
        seen: list[EntryPosition] = []
        while len(seen) < limit and (page := await self._below.newest(prefix, after, limit)):
            above = await self._memory.get_many([place.key for place in page])
            hidden = {entry.key for entry in above}
            seen += [place for place in page if place.key not in hidden]
            after = page[-1]
        return seen

    async def _value_below(self, key: str) -> bytes | None:
        """Return the value below under `key`; an unreadable one counts as no bytes."""
        try:
            entry = await self._below.get(key)
        except CorruptEntry:
            return b""
        return entry.value if entry else None

    async def _check_removal(self, key: str) -> None:
        if await self._value_below(key) is not None:
            reason = self._below.trouble() or "it lies in another store"
            raise StoreUnavailable("delete", reason)


class StandbyBackend(ForwardingBackend):
    """Keeps disposable entries in memory and refuses authored ones, which would be lost.

    It retries to open the store every minute, and then moves its entries there.
    """

    def __init__(
        self,
        open_store: Callable[[], DiskBackend],
        why: str,
        clock: Callable[[], float] = time.monotonic,
        readable: DiskBackend | None = None,
    ) -> None:
        """Stand in for the store that `open_store` failed to open, for the reason `why`.

        Entries of `readable`, which takes no writes, are read as well.
        """
        self._open_store = open_store
        self._why = why
        self._clock = clock
        self._next_try = clock() + RETRY_SECONDS
        self._memory = MemoryBackend() if readable is None else OverlayBackend(readable)
        self._disk: DiskBackend | None = None

    def trouble(self) -> str | None:
        """Return why nothing is kept, None when entries are kept."""
        return self._why if self._disk is None else self._disk.trouble()

    def revision(self) -> object | None:
        """Return the revision of the store, None while there is none."""
        return None if self._disk is None else self._disk.revision()

    async def check_entry(self, key: str) -> None:
        """Look for damage at the entry under `key`, and repair it."""
        backend = await self._backend()
        if not isinstance(backend, MemoryBackend):
            await backend.check_entry(key)

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        """Store and remove."""
        backend = await self._backend()
        if self._disk is None and any(not put.disposable for put in puts):
            raise StoreUnavailable("put", self._why)
        await backend.write(puts, deletes)

    def info(self) -> dict[str, object]:
        """Return facts about the medium in use."""
        return (self._disk or self._memory).info()

    def dbsize(self, prefix: str = "") -> int:
        """Return the number of entries below `prefix`."""
        return (self._disk or self._memory).dbsize(prefix)

    async def aclose(self) -> None:
        """Close both."""
        await self._memory.aclose()
        if self._disk is not None:
            await self._disk.aclose()

    async def _forward(self, operation: str, call: Callable[[Backend], Awaitable[_T]]) -> _T:  # noqa: ARG002  # errors name it already
        return await call(await self._backend())

    async def _backend(self) -> DiskBackend | MemoryBackend | OverlayBackend:
        if self._disk is None and self._clock() >= self._next_try:
            self._next_try = self._clock() + RETRY_SECONDS
            await self._retry()
        return self._disk or self._memory

    async def _retry(self) -> None:
        try:
            disk = await to_thread.run_sync(self._open_store)
        except StoreUnavailable as error:
            self._why = error.reason
            return
        if (trouble := disk.trouble()) is not None:
            self._why = trouble
            await disk.aclose()
            return
        try:
            await disk.write(self._memory.puts())
        except StoreError as error:
            log.warning("the entries held in memory cannot be stored: %s", error)
        self._disk = disk
        log.warning("the store can be used again: entries are kept from now on")
