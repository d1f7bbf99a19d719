"""What a fabric tells of itself: how often it had what was asked, how long it took, what failed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from context7_fabric.errors import CorruptEntry, StoreClosed, StoreError, StoreUnavailable

log = logging.getLogger(__name__)

WARN_EVERY = 60.0
"""Seconds after which a cause that lasts is worth another warning."""

MOST_CAUSES = 100
"""Causes that are remembered; with more, all of them are forgotten."""


@dataclass(slots=True)
class StoreErrors:
    """How often the store failed since the start, and how it last did; `clock` tells seconds."""

    clock: Callable[[], float] = time.monotonic
    count: int = 0
    last: str | None = None
    _failing: bool = False
    _warned: dict[str, float] = field(default_factory=dict)

    def note(self, error: StoreError) -> None:
        """Count and log `error`: the one place where a fault of the store ends.

        A cause is a warning when it is new since the store last worked, or has lasted another
        `WARN_EVERY` seconds; in between it is repeated at the level DEBUG.
        """
        self.count += 1
        self.last = str(error)
        self._failing |= isinstance(error, StoreUnavailable)
        log.log(self._level(error), "%s", error)

    def worked(self) -> None:
        """Hear that the store worked: should it fail again, that is a new cause."""
        # An entry that cannot be read is none the better for a store that works.
        if self._failing:
            self._failing = False
            self._warned.clear()

    def _level(self, error: StoreError) -> int:
        # What is still under way when the store is closed comes too late, and nothing is wrong.
        if isinstance(error, StoreClosed):
            return logging.DEBUG
        now, cause = self.clock(), _cause(error)
        if now - self._warned.get(cause, float("-inf")) <= WARN_EVERY:
            return logging.DEBUG
        if len(self._warned) >= MOST_CAUSES:
            self._warned.clear()
        self._warned[cause] = now
        return logging.WARNING


def _cause(error: StoreError) -> str:
    """Return why the store failed, whatever it was asked for."""
    return error.reason if isinstance(error, StoreUnavailable | CorruptEntry) else str(error)


@dataclass(slots=True)
class StoreStats:
    """Counts since the fabric was opened, for this process alone."""

    hits: int = 0
    misses: int = 0
    operations: int = 0
    seconds: float = 0.0

    @property
    def hit_rate(self) -> float:
        """The share of reads that found something, 0 to 1; 0 before the first."""
        return self.hits / max(1, self.hits + self.misses)

    @property
    def latency(self) -> float:
        """The mean time of an operation, in milliseconds; 0 before the first."""
        return 1000 * self.seconds / max(1, self.operations)

    def read(self, *, found: bool) -> None:
        """Count one read."""
        self.hits += found
        self.misses += not found

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count what happens in the block as one operation."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.took(start)

    def took(self, start: float) -> None:
        """Count one operation that began at `start` on the performance counter."""
        self.operations += 1
        self.seconds += time.perf_counter() - start
