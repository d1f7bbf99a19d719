"""Circuit breaker and back-off: pure rules for when no call goes upstream.

The clock is an argument and may be set back or forward: a time that lies in the future is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass

from context7_fabric.errors import UpstreamPaused
from context7_fabric.models import Clock

FAILURES_TO_OPEN = 5
FIRST_OPEN_SECONDS = 1.0
LONGEST_OPEN_SECONDS = 30.0
"""Longest time for which an open breaker lets no call probe; the time doubles from the first."""

PROBE_SECONDS = 60.0
"""Seconds between two calls that probe whether a limit without a Retry-After is still in force."""

LIMIT_SECONDS = 3600.0
"""Seconds without background refreshes after a limit without a Retry-After."""

LONGEST_BACK_OFF = 86400.0

CLOCK_TOLERANCE = 5.0
"""Seconds by which the clocks of machines that share a store may differ."""

_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class BackOff:
    """Back-off of one credential after a limit that upstream answered at `made`, worded as `why`.

    It ends at `until` (epoch seconds). With a Retry-After it is `strict`: no call goes out before.
    Otherwise background refreshes stop, and one call a minute probes; `probed` is the last probe.
    """

    made: float
    until: float
    why: str
    strict: bool
    probed: float

    def holds(self, now: float) -> bool:
        """Return whether it is in force; one from the future or beyond the maximum is not."""
        age, length = now - self.made, self.until - self.made
        return -CLOCK_TOLERANCE <= age < length <= LONGEST_BACK_OFF

    def next_call(self, now: float) -> float:
        """Return the time of the next call, in epoch seconds."""
        last = self.probed if self.made <= self.probed <= now + CLOCK_TOLERANCE else self.made
        return self.until if self.strict else min(self.until, last + PROBE_SECONDS)


def back_off_after(now: float, why: str, retry_after: float | None) -> BackOff:
    """Return the back-off that a limit asks for; a Retry-After counts for a day at most."""
    seconds = LIMIT_SECONDS if retry_after is None else min(max(retry_after, 1.0), LONGEST_BACK_OFF)
    reason = " ".join(why.split())[:_LONGEST_REASON]
    return BackOff(now, now + seconds, reason, strict=retry_after is not None, probed=now)


@dataclass(frozen=True, slots=True)
class BreakerOpening:
    """The breaker is open since `at` for `seconds`, because of `why`."""

    at: float
    seconds: float
    why: str

    def left(self, now: float) -> float:
        """Return the seconds until a call may probe; none where the clock was set back."""
        return 0.0 if now < self.at else max(0.0, self.at + self.seconds - now)


class CircuitBreaker:
    """Circuit breaker of one upstream: closed, open, or half open with one probing call."""

    def __init__(self, clock: Clock) -> None:
        """Start closed."""
        self._clock = clock
        self._failures = 0
        self._openings = 0
        self._unconnected = False
        self._probing = False
        self.opening: BreakerOpening | None = None

    @property
    def is_open(self) -> bool:
        """True if the breaker is open or half open."""
        return self.opening is not None

    def admit(self) -> int:
        """Admit one call and return the number to report its failure with.

        Raises:
            UpstreamPaused: No call may go out now.
        """
        if self.opening is not None:
            wait = self.opening.left(self._clock())
            if self._probing or wait > 0:
                raise UpstreamPaused(wait, self.opening.why)
            self._probing = True
        return self._failures

    def succeeded(self) -> None:
        """Record an answer, whatever it says, and close."""
        self._failures = self._openings = 0
        self._close()

    def failed(self, admitted: int, why: str, *, connecting: bool = False) -> None:
        """Record a call without an answer; `admitted` is the number that `admit` returned.

        Calls that were in flight together count as one failure. A connection that cannot be made
        (`connecting`) opens the breaker at once.
        """
        if admitted != self._failures:
            return
        self._probing = False
        self._failures += 1
        if connecting or self.is_open or self._failures >= FAILURES_TO_OPEN:
            self._open(why, connecting=connecting)

    def abandoned(self) -> None:
        """Record a call that ended without saying anything about upstream."""
        self._probing = False

    def connected(self) -> None:
        """Record a new connection: close if none could be made before, else let one call probe."""
        if self._unconnected:
            self._openings = 0
            self._close()
        elif self.opening is not None:
            self.opening = BreakerOpening(self.opening.at, 0.0, self.opening.why)

    def _open(self, why: str, *, connecting: bool) -> None:
        seconds = min(FIRST_OPEN_SECONDS * 2**self._openings, LONGEST_OPEN_SECONDS)
        self._openings = min(self._openings + 1, FAILURES_TO_OPEN)
        self._unconnected = connecting
        self.opening = BreakerOpening(self._clock(), seconds, why)

    def _close(self) -> None:
        self.opening = None
        self._unconnected = self._probing = False
