"""The cache-first flow that look-ups and documentation questions share.

Fresh: serve. Stale: serve, refresh behind. Expired: wait for upstream a little, then serve the old
copy with a note. Nothing: one flight upstream. What upstream refuses is never stored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

import anyio
from anyio.abc import TaskGroup

from context7_fabric.documents.admission import Reason, Refusal
from context7_fabric.durations import format_duration
from context7_fabric.errors import UpstreamError
from context7_fabric.fabric.flight import Flight, Flights
from context7_fabric.fabric.policy import Freshness, Lifetime, judge
from context7_fabric.models import Caller, Clock, Progress
from context7_fabric.services.records import AnswerShelf, StoredAnswer

LOOK_EVERY = 0.05
"""Seconds between looks at what another process's flight has brought."""

DEFINITE = frozenset({Reason.UNKNOWN_LIBRARY, Reason.UNKNOWN_VERSION})
"""Refusals that are an answer: upstream knows, and says no."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What upstream said: a text that may be stored (`record`), or a refusal to be passed on.

    `shared` says that another process fetched it; `key` that it belongs under another key than the
    one asked for.
    """

    text: str
    record: StoredAnswer | None = None
    refusal: Refusal | None = None
    is_error: bool = False
    shared: bool = False
    key: str | None = None

    @property
    def definite(self) -> bool:
        """Tell whether this settles the question, as opposed to a passing failure."""
        return self.record is not None or (
            self.refusal is not None and self.refusal.reason in DEFINITE
        )


@dataclass(frozen=True, slots=True)
class Enquiry:
    """One thing to know: where it is stored, how long it lives, how it is fetched.

    `fetch` raises an `UpstreamError` when upstream gives no answer at all.
    """

    key: str
    lifetime: Lifetime
    fetch: Callable[[Progress], Awaitable[Fetched]]


class How(Enum):
    """By which way an enquiry ended."""

    HIT = auto()
    STALE = auto()
    OFFLINE = auto()
    FETCHED = auto()
    COALESCED = auto()
    REFUSED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Found:
    """The end of an enquiry: a stored or fetched record, else upstream's text, else its error."""

    how: How
    record: StoredAnswer | None = None
    fetched: Fetched | None = None
    error: UpstreamError | None = None
    note: str | None = None


class Answers:
    """The flow over one shelf and one upstream."""

    def __init__(
        self,
        shelf: AnswerShelf,
        tasks: TaskGroup,
        clock: Clock,
        *,
        origin: str,
        patience: float,
        flight_seconds: float,
        offline: bool = False,
    ) -> None:
        """Fly in `tasks`; `origin` names the Context7 asked, `offline` says that none is.

        `patience` is how long a caller waits while an old copy is at hand, `flight_seconds` how
        long a flight may take at most; both in seconds.
        """
        self._shelf = shelf
        self._flights: Flights[Fetched] = Flights(tasks)
        self._clock = clock
        self._origin = origin
        self._patience = patience
        self._flight_seconds = flight_seconds
        self._offline = offline

    async def ask(self, enquiry: Enquiry, caller: Caller) -> Found:
        """Answer `enquiry` from the shelf or from upstream."""
        held = await self._shelf.read(enquiry.key, caller.principal)
        freshness = self._judge(held, enquiry)
        if held is not None and freshness is Freshness.FRESH:
            return Found(How.HIT, held)
        if held is not None and self._offline:
            return Found(How.OFFLINE, held, note=self._old("Upstream is switched off", held))
        if held is not None and freshness is Freshness.STALE:
            self._board(enquiry, caller)
            return Found(How.STALE, held)
        return await self._from_upstream(enquiry, caller, held)

    def _judge(self, held: StoredAnswer | None, enquiry: Enquiry) -> Freshness:
        if held is None:
            return Freshness.GONE
        freshness = judge(self._clock(), held.fetched_at, enquiry.lifetime, enquiry.key)
        if held.origin != self._origin and freshness is not Freshness.GONE and not self._offline:
            return Freshness.USABLE_ON_ERROR
        return freshness

    async def _from_upstream(
        self, enquiry: Enquiry, caller: Caller, held: StoredAnswer | None
    ) -> Found:
        flight, started = self._board(enquiry, caller)
        limit = None if held is None else self._patience
        fetched: Fetched | None = None
        try:
            with anyio.move_on_after(limit):
                fetched = await flight.land(caller.progress)
        except UpstreamError as error:
            return self._without_upstream(held, error)
        if fetched is None and held is not None:
            dawdles = f"Context7 has not answered within {self._patience:g} s"
            return Found(How.STALE, held, note=self._old(dawdles, held))
        return self._landed(fetched or Fetched(""), held, started=started)

    def _landed(self, fetched: Fetched, held: StoredAnswer | None, *, started: bool) -> Found:
        if fetched.record is not None:
            shared = not started or fetched.shared
            return Found(How.COALESCED if shared else How.FETCHED, fetched.record, fetched)
        if held is not None and not fetched.definite:
            return Found(How.STALE, held, note=self._old(_saying(fetched), held))
        return Found(How.REFUSED, fetched=fetched)

    def _without_upstream(self, held: StoredAnswer | None, error: UpstreamError) -> Found:
        if held is None:
            return Found(How.FAILED, error=error)
        return Found(How.STALE, held, note=self._old(str(error), held))

    def _old(self, why: str, held: StoredAnswer) -> str:
        age = format_duration(max(0.0, self._clock() - held.fetched_at))
        source = "" if held.origin == self._origin else f" of {held.origin}"
        return f"{why}; this is the copy{source} stored {age} ago."

    def _board(self, enquiry: Enquiry, caller: Caller) -> tuple[Flight[Fetched], bool]:
        """Return the flight to upstream for `enquiry`, started now or under way already."""
        key = f"{enquiry.key}#{caller.principal}"
        return self._flights.board(key, partial(self._fly, enquiry, caller.principal))

    async def _fly(self, enquiry: Enquiry, principal: str, progress: Progress) -> Fetched:
        """Go upstream, unless another process on this store is under way with the same."""
        started_at = self._clock()
        name = f"{enquiry.key}#{principal}"
        leased = await self._shelf.lease(name, self._flight_seconds)
        try:
            if not leased:
                leased, record = await self._other_flight(enquiry, principal, started_at)
                if record is not None:
                    return Fetched(record.text, record, shared=True)
            return await self._fetch(enquiry, progress)
        finally:
            if leased:
                with anyio.CancelScope(shield=True):
                    await self._shelf.release(name)

    async def _other_flight(
        self, enquiry: Enquiry, principal: str, started_at: float
    ) -> tuple[bool, StoredAnswer | None]:
        """Wait for another process's flight: its record, or the lease to go ourselves.

        Neither, when it takes longer than a flight may: then we go without.
        """
        name = f"{enquiry.key}#{principal}"
        with anyio.move_on_after(self._flight_seconds):
            while True:
                await anyio.sleep(LOOK_EVERY)
                leased = await self._shelf.lease(name, self._flight_seconds)
                record = await self._shelf.read(enquiry.key, principal)
                if record is not None and record.fetched_at >= started_at:
                    return leased, record
                if leased:
                    return True, None
        return False, None

    async def _fetch(self, enquiry: Enquiry, progress: Progress) -> Fetched:
        fetched = await enquiry.fetch(progress)
        if fetched.record is not None:
            await self._shelf.write(fetched.key or enquiry.key, fetched.record)
        return fetched


def _saying(fetched: Fetched) -> str:
    """Return upstream's refusal as one line."""
    text = " ".join(fetched.text.split())
    return f"Context7 says: {text[:200].rstrip('.')}" if text else "Context7 sent an empty answer"
