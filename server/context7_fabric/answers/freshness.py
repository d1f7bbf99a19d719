"""Freshness of stored answers by age. Pure; the clock is an argument."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import Enum

from context7_fabric.fabric.backend import CLOCK_SLACK

JITTER = 0.1
"""Lifetimes vary by this share either way, so that what was stored together expires apart."""


class Freshness(Enum):
    """Permitted use of a stored answer."""

    FRESH = "serve it"
    STALE = "serve it, and refresh it behind the answer"
    USABLE_ON_ERROR = "serve it only if upstream fails or dawdles"
    GONE = "do not serve it"


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Lengths in seconds, one after the other: fresh, then stale, then usable on error.

    `on_error` None has no end.
    """

    fresh: float
    stale: float
    on_error: float | None

    def stretched(self, factor: float) -> Lifetime:
        """Return this lifetime with the fresh and the stale length times `factor`."""
        return replace(self, fresh=self.fresh * factor, stale=self.stale * factor)


def is_ahead(moment: float, now: float) -> bool:
    """Tell whether a stored time lies too far in the future to be believed."""
    return moment - now > CLOCK_SLACK


def judge(now: float, stored_at: float, lifetime: Lifetime, seed: str) -> Freshness:
    """Return the permitted use at `now` of an answer stored at `stored_at` (epoch seconds).

    `seed` spreads lifetimes: the same seed always gets the same share. An answer from the future
    (a clock that was set back) counts as just turned stale.
    """
    factor = spread(seed)
    fresh_until = lifetime.fresh * factor
    age = fresh_until if is_ahead(stored_at, now) else max(0.0, now - stored_at)
    stale_until = fresh_until + lifetime.stale * factor
    if age < fresh_until:
        return Freshness.FRESH
    if age < stale_until:
        return Freshness.STALE
    if lifetime.on_error is None or age < stale_until + lifetime.on_error:
        return Freshness.USABLE_ON_ERROR
    return Freshness.GONE


def fresh_until(stored_at: float, lifetime: Lifetime, seed: str) -> float:
    """Return the time up to which `judge` calls an answer fresh, if it is not from the future."""
    return stored_at + lifetime.fresh * spread(seed)


def spread(seed: str) -> float:
    """Return the factor, 1 ± `JITTER`, that belongs to `seed`."""
    digest = hashlib.blake2s(seed.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return 1.0 - JITTER + 2 * JITTER * int.from_bytes(digest) / 0xFFFFFFFF
