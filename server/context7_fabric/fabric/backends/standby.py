"""Memory in the place of a store on disk that cannot be opened, until it can."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from anyio import to_thread

from context7_fabric.errors import StoreError, StoreUnavailable
from context7_fabric.fabric.backends.base import Entry, Place, Put
from context7_fabric.fabric.backends.disk.backend import TRY_EVERY, DiskBackend
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.backends.overlay import Overlay

log = logging.getLogger(__name__)


class Standby:
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
        self._memory = MemoryBackend() if readable is None else Overlay(readable)
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

    async def get(self, key: str) -> Entry | None:
        """Return what is stored under `key`."""
        return await (await self._backend()).get(key)

    async def get_many(self, keys: Sequence[str]) -> list[Entry]:
        """Return the readable entries under `keys`."""
        return await (await self._backend()).get_many(keys)

    async def write(self, puts: Sequence[Put], deletes: Sequence[str] = ()) -> None:
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
    ) -> tuple[list[Entry], str | None]:
        """Return the next readable entries below `prefix`, by key."""
        return await (await self._backend()).items(prefix, after, limit)

    async def newest(self, prefix: str, after: Place | None, limit: int) -> list[Place]:
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

    async def _backend(self) -> DiskBackend | MemoryBackend | Overlay:
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
