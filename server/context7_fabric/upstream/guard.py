"""When not to ask upstream: a breaker after failures in a row, a rest after a 429.

Decides from what it is told, with a clock that is handed in; it sends nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from context7_fabric.errors import UpstreamPaused
from context7_fabric.models import Clock

FAILURES_TO_OPEN = 5
OPEN_SECONDS = 30.0
"""How long an open breaker keeps calls away before one may probe."""

RATE_LIMIT_SECONDS = 60.0
"""How long to rest after "rate limited" with no time named: upstream counts by the minute."""

QUOTA_SECONDS = 3600.0
"""How long to rest after a used-up month: a plan may be upgraded any time, so not to its end."""

LONGEST_REST = 86400.0


@dataclass(frozen=True, slots=True)
class Rest:
    """No call before `until` (epoch seconds), because upstream said `why`."""

    until: float
    why: str


class Guard:
    """The breaker and the rest of one upstream."""

    def __init__(self, clock: Clock) -> None:
        """Let everything pass, until told otherwise."""
        self._clock = clock
        self._failures = 0
        self._closed_at: float | None = None
        self._probing = False
        self.rest: Rest | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether the breaker is open: at most one call in a while passes, as a probe."""
        return self._closed_at is not None

    @property
    def is_resting(self) -> bool:
        """Tell whether the rest is not over."""
        return self.rest is not None and self._clock() < self.rest.until

    def enter(self) -> None:
        """Ask leave for one call; whoever gets it must tell how it ended.

        Raises:
            UpstreamPaused: No call may go out now.
        """
        now = self._clock()
        if self.rest is not None and now < self.rest.until:
            raise UpstreamPaused(self.rest.until - now, f"it said: {self.rest.why}")
        if self._closed_at is None:
            return
        if self._probing or now < self._closed_at:
            wait = max(0.0, self._closed_at - now)
            raise UpstreamPaused(wait, f"it failed {self._failures} times in a row")
        self._probing = True

    def succeeded(self) -> None:
        """Take note of an answer, whatever it says: upstream is well."""
        self._failures = 0
        self._closed_at = None
        self._probing = False

    def failed(self) -> None:
        """Take note of a call without an answer."""
        self._failures += 1
        self._probing = False
        if self._failures >= FAILURES_TO_OPEN:
            self._closed_at = self._clock() + OPEN_SECONDS

    def abandoned(self) -> None:
        """Take note of a call that ended by our own will: it tells nothing of upstream."""
        self._probing = False

    def refused(self, why: str, seconds: float) -> Rest:
        """Take note of a 429: no call for `seconds`, a day at most."""
        self._probing = False
        until = self._clock() + min(max(seconds, 1.0), LONGEST_REST)
        self.rest = Rest(until, " ".join(why.split())[:200])
        return self.rest
