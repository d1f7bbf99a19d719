"""Ways to wait without sleeping: a latch that opens once, a count of arrivals, a gate that is both.

The stand-in waits for latches inside its loop; any thread opens them. Tests wait for arrivals.
"""

import asyncio
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from threading import Condition

from anyio import to_thread


class Latch:
    """Closed until `open` is called; then everybody passes, for ever."""

    def __init__(self) -> None:
        self._opened: Future[None] = Future()

    def open(self) -> None:
        """Let everybody through; opening twice does nothing."""
        with suppress(InvalidStateError):
            self._opened.set_result(None)

    async def passed(self, seconds: float | None = None) -> None:
        """Wait until the latch opens, or for so many seconds."""
        await asyncio.wait([asyncio.wrap_future(self._opened)], timeout=seconds)


class Arrivals:
    """Counts, and lets tests wait for a count; counted in one thread, waited for in others."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = Condition()

    def add(self) -> None:
        """Count one more."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def reset(self) -> None:
        """Start again from none."""
        with self._changed:
            self._count = 0

    def wait_for(self, count: int, seconds: float = 10) -> None:
        """Block until so many have arrived; from a test without a loop of its own.

        Raises:
            TimeoutError: fewer had arrived after so many seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._count >= count, seconds):
                raise TimeoutError(f"{self._count} of {count} requests after {seconds} s")

    async def arrived(self, count: int, seconds: float = 10) -> None:
        """As `wait_for`, from an async test."""
        await to_thread.run_sync(self.wait_for, count, seconds)


class Gate(Arrivals):
    """Holds every request that arrives until the release, and tells how many have come."""

    def __init__(self) -> None:
        super().__init__()
        self._latch = Latch()

    def release(self) -> None:
        """Let the held requests, and later ones, go on."""
        self._latch.open()

    async def pass_through(self) -> None:
        """Count one arrival and wait for the release; called by the stand-in."""
        self.add()
        await self._latch.passed()
