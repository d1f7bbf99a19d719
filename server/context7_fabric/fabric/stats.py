"""Statistics of a fabric: store errors, hits and misses, latency."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from context7_fabric.errors import CorruptEntry, StoreClosed, StoreError, StoreUnavailable

log = logging.getLogger(__name__)

WARN_EVERY = 60.0
"""Seconds after which a lasting cause is logged as a warning again."""

MOST_CAUSES = 100
"""Causes that are remembered; with more, all of them are dropped."""


@dataclass(slots=True)
class StoreErrors:
    """Number of store errors since the start, and the last one; `clock` returns seconds."""

    clock: Callable[[], float] = time.monotonic
    count: int = 0
    last: str | None = None
    _failing: bool = False
    _warned: dict[str, float] = field(default_factory=dict)

    def note(self, error: StoreError) -> None:
        """Count and log `error`: all store errors that are not raised end here.

        A cause is logged as a warning when it is new since the store last worked, and again every
        `WARN_EVERY` seconds; otherwise at the level DEBUG.
        """
        self.count += 1
        self.last = str(error)
        self._failing |= isinstance(error, StoreUnavailable)
        log.log(self._level(error), "%s", error)

    def note_success(self) -> None:
        """Note that the store works: its next failure is a new cause."""
        # An unreadable entry stays unreadable in a store that works.
        if self._failing:
            self._failing = False
            self._warned.clear()

    def _level(self, error: StoreError) -> int:
        # Calls in progress when the store is closed are expected to fail.
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
    """Return the cause of a store error, without its key or operation."""
    return error.reason if isinstance(error, StoreUnavailable | CorruptEntry) else str(error)


@dataclass(slots=True)
class StoreStats:
    """Counts of this process since the fabric was opened."""

    hits: int = 0
    misses: int = 0
    operations: int = 0
    seconds: float = 0.0

    @property
    def hit_rate(self) -> float:
        """The share of reads that found a context, 0 to 1; 0 before the first."""
        return self.hits / max(1, self.hits + self.misses)

    @property
    def latency(self) -> float:
        """The mean duration of an operation, in milliseconds; 0 before the first."""
        return 1000 * self.seconds / max(1, self.operations)

    def count_read(self, *, found: bool) -> None:
        """Count a read."""
        self.hits += found
        self.misses += not found

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the block as one operation."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.count_operation(start)

    def count_operation(self, start: float) -> None:
        """Count an operation that began at `start` on the performance counter."""
        self.operations += 1
        self.seconds += time.perf_counter() - start
