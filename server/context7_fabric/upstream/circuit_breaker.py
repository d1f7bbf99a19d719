"""Circuit breaker and rests: when no call goes upstream.

Decides from what it is told, with a clock that is handed in; it sends nothing itself. That clock
may be set back or forward: a time that lies in the future counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from context7_fabric.errors import UpstreamPaused
from context7_fabric.models import Clock

FAILURES_TO_OPEN = 5
FIRST_OPEN_SECONDS = 1.0
LONGEST_OPEN_SECONDS = 30.0
"""How long an open breaker keeps calls away before one may probe: twice as long each time."""

PROBE_SECONDS = 60.0
"""Seconds between two calls that find out whether a limit without a time is still in force."""

LIMIT_SECONDS = 3600.0
"""How long nothing is refreshed behind after a limit without a time."""

LONGEST_REST = 86400.0

CLOCK_TOLERANCE = 5.0
"""Seconds by which the clocks of machines that share a store may differ."""

_LONGEST_WHY = 200


@dataclass(frozen=True, slots=True)
class BackOff:
    """What upstream said (`why`) at `made`: a limit on the calls of one credential.

    `until` bounds it, in epoch seconds. With a Retry-After it is `strict`: no call goes out before.
    Else nothing is refreshed behind, and one call a minute probes; the last one did at `probed`.
    """

    made: float
    until: float
    why: str
    strict: bool
    probed: float

    def holds(self, now: float) -> bool:
        """Tell whether it is in force; one from the future or beyond its own maximum is not."""
        age, length = now - self.made, self.until - self.made
        return -CLOCK_TOLERANCE <= age < length <= LONGEST_REST

    def next_call(self, now: float) -> float:
        """Return when the next call may go out, in epoch seconds."""
        last = self.probed if self.made <= self.probed <= now + CLOCK_TOLERANCE else self.made
        return self.until if self.strict else min(self.until, last + PROBE_SECONDS)


def rest_from(now: float, why: str, retry_after: float | None) -> BackOff:
    """Return the rest that a limit asks for; a Retry-After counts for a day at most."""
    seconds = LIMIT_SECONDS if retry_after is None else min(max(retry_after, 1.0), LONGEST_REST)
    told = " ".join(why.split())[:_LONGEST_WHY]
    return BackOff(now, now + seconds, told, strict=retry_after is not None, probed=now)


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
    """The circuit breaker of one upstream."""

    def __init__(self, clock: Clock) -> None:
        """Let everything pass, until told otherwise."""
        self._clock = clock
        self._failures = 0
        self._openings = 0
        self._unconnected = False
        self._probing = False
        self.opening: BreakerOpening | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether the breaker is open: at most one call in a while passes, as a probe."""
        return self.opening is not None

    def enter(self) -> int:
        """Ask leave for one call; the number that is returned belongs to its end.

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
        """Take note of an answer, whatever it says: upstream is well."""
        self._failures = self._openings = 0
        self._close()

    def failed(self, begun: int, why: str, *, connecting: bool = False) -> None:
        """Take note of a call without an answer, by the number that it began with.

        Calls that were under way together fail together: they count once. Where not even a
        connection can be made (`connecting`), the breaker opens at once.
        """
        if begun != self._failures:
            return
        self._probing = False
        self._failures += 1
        if connecting or self.is_open or self._failures >= FAILURES_TO_OPEN:
            self._open(why, connecting=connecting)

    def abandoned(self) -> None:
        """Take note of a call that ended by our own will: it tells nothing of upstream."""
        self._probing = False

    def connected(self) -> None:
        """Take note of a new connection: it ends what lacked one, and else lets one call probe."""
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
