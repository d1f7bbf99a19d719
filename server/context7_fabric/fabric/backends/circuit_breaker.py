"""A backend that hangs is left alone for a while: one caller waits in vain, not each."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import ParamSpec, TypeVar

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backend import (
    Backend,
    BackendEntry,
    EntryPosition,
    WriteRequest,
    Written,
)
from context7_fabric.fabric.change_feed import AnnouncingBackend

REST_SECONDS = 3.0
SLOW_SECONDS = 0.5
"""A failure that took this long is waiting in vain; a quicker one costs nobody anything."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class CircuitBreakerBackend:
    """Passes everything on to a backend; after a slow failure it fails at once for some seconds."""

    def __init__(
        self,
        backend: Backend,
        rest: float = REST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Leave `backend` alone for `rest` seconds by `clock` after a failure that took long."""
        self._backend = backend
        self._rest = rest
        self._clock = clock
        self._until = float("-inf")

    async def get(self, key: str) -> BackendEntry | None:
        """Return what is stored under `key`."""
        return await self._tried("get", self._backend.get, key)

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`."""
        return await self._tried("get", self._backend.get_many, keys)

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        """Store and remove."""
        await self._tried("put", self._backend.write, puts, deletes)

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` where nothing is."""
        return await self._tried("add", self._backend.add, key, value, expires_in=expires_in)

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        """Store `new` only where `old` is, or if it is None remove that."""
        return await self._tried("swap", self._backend.swap, key, old, new, expires_in=expires_in)

    async def delete(self, key: str) -> bool:
        """Remove `key`; tell whether it was there."""
        return await self._tried("delete", self._backend.delete, key)

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`."""
        return await self._tried("keys", self._backend.keys, prefix)

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return the next readable entries below `prefix`, by key."""
        return await self._tried("items", self._backend.items, prefix, after, limit)

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return the next places below `prefix`, the newest first."""
        return await self._tried("query", self._backend.newest, prefix, after, limit)

    async def announcements(self) -> AsyncGenerator[Written]:
        """Yield what is written to the backend, if it tells."""
        if isinstance(self._backend, AnnouncingBackend):
            async with aclosing(self._backend.announcements()) as announced:
                async for written in announced:
                    yield written

    def info(self) -> dict[str, object]:
        """Tell of the medium."""
        return self._backend.info()

    def dbsize(self, prefix: str = "") -> int:
        """Return how many entries have keys that begin with `prefix`."""
        return self._backend.dbsize(prefix)

    async def aclose(self) -> None:
        """Close the backend."""
        await self._backend.aclose()

    async def _tried(
        self,
        operation: str,
        work: Callable[_P, Awaitable[_T]],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _T:
        begun = self._clock()
        if begun < self._until:
            raise StoreUnavailable(operation, "it did not answer lately, and is left alone for now")
        try:
            return await work(*args, **kwargs)
        except StoreUnavailable:
            if self._clock() - begun >= SLOW_SECONDS:
                self._until = self._clock() + self._rest
            raise
