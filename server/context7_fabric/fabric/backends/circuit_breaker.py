"""Circuit breaker around a backend that may hang."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backend import Backend, ForwardingBackend, WrittenKeys
from context7_fabric.fabric.change_feed import AnnouncingBackend

OPEN_SECONDS = 3.0
SLOW_SECONDS = 0.5
"""Least duration of a failure that opens the circuit; quick failures cost no waiting."""

_T = TypeVar("_T")


class CircuitBreakerBackend(ForwardingBackend):
    """Forwards to a backend; after a slow failure all calls fail at once for some seconds."""

    def __init__(
        self,
        backend: Backend,
        open_seconds: float = OPEN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Guard `backend`; the circuit stays open for `open_seconds` by `clock`."""
        self._backend = backend
        self._open_seconds = open_seconds
        self._clock = clock
        self._open_until = float("-inf")

    async def announcements(self) -> AsyncGenerator[WrittenKeys]:
        """Yield the announcements of the backend, if it makes any."""
        if isinstance(self._backend, AnnouncingBackend):
            async with aclosing(self._backend.announcements()) as announced:
                async for written in announced:
                    yield written

    def info(self) -> dict[str, object]:
        """Return facts about the medium."""
        return self._backend.info()

    def dbsize(self, prefix: str = "") -> int:
        """Return the number of entries below `prefix`."""
        return self._backend.dbsize(prefix)

    async def aclose(self) -> None:
        """Close the backend."""
        await self._backend.aclose()

    async def _forward(self, operation: str, call: Callable[[Backend], Awaitable[_T]]) -> _T:
        begun = self._clock()
        if begun < self._open_until:
            reason = f"circuit open after a time-out; retried within {self._open_seconds:g} s"
            raise StoreUnavailable(operation, reason)
        try:
            return await call(self._backend)
        except StoreUnavailable:
            if self._clock() - begun >= SLOW_SECONDS:
                self._open_until = self._clock() + self._open_seconds
            raise
