"""What a fabric tells of itself: how often it had what was asked, how long it took, what failed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from context7_fabric.errors import StoreClosed, StoreError

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Faults:
    """How often the store failed since the start, and how it last did."""

    count: int = 0
    last: str | None = None

    def note(self, error: StoreError) -> None:
        """Count and log `error`: the one place where a fault of the store ends."""
        self.count += 1
        self.last = str(error)
        # What is still under way when the store is closed comes too late, and nothing is wrong.
        level = logging.DEBUG if isinstance(error, StoreClosed) else logging.WARNING
        log.log(level, "%s", error)


@dataclass(slots=True)
class Gauge:
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
