"""Memory in the place of a store on disk that cannot be opened, until it can."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from anyio import to_thread

from context7_fabric.errors import CorruptEntry, StoreError, StoreUnavailable
from context7_fabric.fabric.backend import BackendEntry, EntryPosition, WriteRequest
from context7_fabric.fabric.backends.disk.backend import TRY_EVERY, DiskBackend
from context7_fabric.fabric.backends.memory import MemoryBackend


class OverlayBackend:
    """Writes to memory, and reads what is not there from below; what lies below cannot go."""

    def __init__(self, below: DiskBackend) -> None:
        """Lie above `below`, which is closed with this."""
        self._below = below
        self._memory = MemoryBackend()

    def puts(self) -> list[WriteRequest]:
        """Return all that was written here."""
        return self._memory.puts()

    async def doubt(self, key: str) -> None:
        """Look for damage behind the entry below under `key`."""
        await self._below.doubt(key)

    async def get(self, key: str) -> BackendEntry | None:
        """Return what is stored under `key`."""
        return await self._memory.get(key) or await self._below.get(key)

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`."""
        above = {entry.key: entry for entry in await self._memory.get_many(keys)}
        below = {entry.key: entry for entry in await self._below.get_many(keys)}
        found = below | above
        return [found[key] for key in keys if key in found]

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        """Store and remove, unless something to be removed lies below."""
        for key in deletes:
            await self._check_removal(key)
        await self._memory.write(puts, deletes)

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` where nothing is."""
        if await self._value_below(key) is not None:
            return False
        return await self._memory.add(key, value, expires_in=expires_in)

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        """Store `new` only where `old` is, or if it is None remove that."""
        if new is None:
            await self._check_removal(key)
        elif await self._memory.get(key) is None:
            if await self._value_below(key) != old:
                return False
            await self._memory.write([WriteRequest(key, new, expires_in=expires_in)])
            return True
        return await self._memory.swap(key, old, new, expires_in=expires_in)

    async def delete(self, key: str) -> bool:
        """Remove `key`, unless it lies below; tell whether it was there."""
        await self._check_removal(key)
        return await self._memory.delete(key)

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`."""
        return list({*await self._memory.keys(prefix), *await self._below.keys(prefix)})

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return the next readable entries below `prefix`, by key."""
        above, above_end = await self._memory.items(prefix, after, limit)
        below, below_end = await self._below.items(prefix, after, limit)
        end = min((key for key in (above_end, below_end) if key is not None), default=None)
        found = {entry.key: entry for entry in (*below, *above)}
        return [found[key] for key in sorted(found) if end is None or key <= end], end

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return the next places below `prefix`, the newest first."""
        above = await self._memory.newest(prefix, after, limit)
        below = await self._newest_below(prefix, after, limit)
        return sorted((*above, *below), reverse=True)[:limit]

    def info(self) -> dict[str, object]:
        """Tell of the store below."""
        return self._below.info()

    def dbsize(self, prefix: str = "") -> int:
        """Return how many entries lie below `prefix`; one that hides another counts twice."""
        return self._memory.dbsize(prefix) + self._below.dbsize(prefix)

    async def aclose(self) -> None:
        """Let go of both."""
        await self._memory.aclose()
        await self._below.aclose()

    async def _newest_below(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return the next places below that no entry above hides."""
        seen: list[EntryPosition] = []
        while len(seen) < limit and (page := await self._below.newest(prefix, after, limit)):
            above = await self._memory.get_many([place.key for place in page])
            hidden = {entry.key for entry in above}
            seen += [place for place in page if place.key not in hidden]
            after = page[-1]
        return seen

    async def _value_below(self, key: str) -> bytes | None:
        """Return what lies below under `key`; of what cannot be read, that it has no bytes."""
        try:
            entry = await self._below.get(key)
        except CorruptEntry:
            return b""
        return entry.value if entry else None

    async def _check_removal(self, key: str) -> None:
        if await self._value_below(key) is not None:
            raise StoreUnavailable("delete", self._below.trouble() or "it lies in another store")


log = logging.getLogger(__name__)


class StandbyBackend:
    """Holds disposable entries in memory and refuses authored ones, which would not last.

    Opening the store is tried again each minute; then what was held goes there.
    """

    def __init__(
        self,
        open_store: Callable[[], DiskBackend],
        why: str,
        clock: Callable[[], float] = time.monotonic,
        readable: DiskBackend | None = None,
    ) -> None:
        """Stand in for what `open_store` has just failed to open, because of `why`.

        What lies in `readable`, which takes no writes, is read as well.
        """
        self._open_store = open_store
        self._why = why
        self._clock = clock
        self._next_try = clock() + TRY_EVERY
        self._memory = MemoryBackend() if readable is None else OverlayBackend(readable)
        self._disk: DiskBackend | None = None

    def trouble(self) -> str | None:
        """Return why nothing is kept, None when it is."""
        return self._why if self._disk is None else self._disk.trouble()

    def revision(self) -> object | None:
        """Return the revision of the store, None while there is none."""
        return None if self._disk is None else self._disk.revision()

    async def doubt(self, key: str) -> None:
        """Look for damage behind the entry under `key`, and mend it."""
        backend = await self._backend()
        if not isinstance(backend, MemoryBackend):
            await backend.doubt(key)

    async def get(self, key: str) -> BackendEntry | None:
        """Return what is stored under `key`."""
        return await (await self._backend()).get(key)

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`."""
        return await (await self._backend()).get_many(keys)

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        """Store and remove."""
        backend = await self._backend()
        if self._disk is None and any(not put.disposable for put in puts):
            raise StoreUnavailable("put", self._why)
        await backend.write(puts, deletes)

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` where nothing is."""
        return await (await self._backend()).add(key, value, expires_in=expires_in)

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        """Store `new` only where `old` is, or if it is None remove that."""
        return await (await self._backend()).swap(key, old, new, expires_in=expires_in)

    async def delete(self, key: str) -> bool:
        """Remove `key`; tell whether it was there."""
        return await (await self._backend()).delete(key)

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`."""
        return await (await self._backend()).keys(prefix)

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return the next readable entries below `prefix`, by key."""
        return await (await self._backend()).items(prefix, after, limit)

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return the next places below `prefix`, the newest first."""
        return await (await self._backend()).newest(prefix, after, limit)

    def info(self) -> dict[str, object]:
        """Tell of the medium that is in use."""
        return (self._disk or self._memory).info()

    def dbsize(self, prefix: str = "") -> int:
        """Return how many entries have keys that begin with `prefix`."""
        return (self._disk or self._memory).dbsize(prefix)

    async def aclose(self) -> None:
        """Let go of both."""
        await self._memory.aclose()
        if self._disk is not None:
            await self._disk.aclose()

    async def _backend(self) -> DiskBackend | MemoryBackend | OverlayBackend:
        if self._disk is None and self._clock() >= self._next_try:
            self._next_try = self._clock() + TRY_EVERY
            await self._try_again()
        return self._disk or self._memory

    async def _try_again(self) -> None:
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
            log.warning("what was held in memory could not be stored: %s", error)
        self._disk = disk
        log.warning("the store can be used again: what is stored from now on is kept")
