"""How many requests each token may make: a bucket a name, which time fills up again."""

from __future__ import annotations

import time

from context7_fabric.errors import RateLimited
from context7_fabric.models import Clock

MOST_NAMES = 2000
"""Buckets that are kept: twice as many as there can be tokens."""

_LEAST_BURST = 10


def burst_of(per_minute: int) -> int:
    """Return how many requests may come at once: a tenth of a minute's.

    It is no fewer than ten, which a client needs to start with, and no more than a minute's.
    """
    return min(per_minute, max(_LEAST_BURST, per_minute // 10))


class RateLimits:
    """The requests that are left to each name. Bounded: who came last longest ago is forgotten."""

    def __init__(self, per_minute: int, clock: Clock = time.monotonic) -> None:
        """Allow `per_minute` requests, at least 1; `clock` gives seconds and never goes back."""
        self._burst = burst_of(per_minute)
        self._per_second = per_minute / 60
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        """Return how many names are remembered."""
        return len(self._left)

    def take(self, name: str) -> None:
        """Count one request of `name`.

        Raises:
            RateLimited: None is left; one that is refused does not count.
        """
        now = self._clock()
        left = self._left_at(now, name)
        if left < 1:
            raise RateLimited((1 - left) / self._per_second)
        self._left[name] = (left - 1, now)
        if len(self._left) > MOST_NAMES:
            del self._left[next(iter(self._left))]

    def _left_at(self, now: float, name: str) -> float:
        """Return what `name` has left, and put the name behind all others."""
        left, then = self._left.pop(name, (float(self._burst), now))
        self._left[name] = (left, then)
        return min(self._burst, left + (now - then) * self._per_second)
