"""The cache-first flow that look-ups and documentation questions share.

Fresh: serve. Stale: serve, refresh behind. Expired: wait for upstream a little, then serve the old
copy with a note. Nothing: one flight upstream. What upstream refuses is never stored; that it does
not know a library is remembered for some minutes, in this process only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

import anyio
from anyio.abc import TaskGroup

from context7_fabric.answers.cross_process import FlightLeases
from context7_fabric.answers.freshness import Freshness, Lifetime, is_ahead, judge
from context7_fabric.answers.memo import TimedCache
from context7_fabric.answers.single_flight import Flight, SingleFlight
from context7_fabric.answers.stored import AnswerStore, AnswerWriter, StoredAnswer
from context7_fabric.durations import format_duration
from context7_fabric.errors import UpstreamError, UpstreamOff, UpstreamPaused, UpstreamSlow
from context7_fabric.models import Caller, CallTrace, Clock, Progress, TracedStep
from context7_fabric.parsing.admission import Reason, Refusal
from context7_fabric.upstream.call_gate import CallGate
from context7_fabric.upstream.quota import Quota

DEFINITE = frozenset({Reason.UNKNOWN_LIBRARY, Reason.UNKNOWN_VERSION})
"""Refusals that are an answer: upstream knows, and says no."""


@dataclass(frozen=True, slots=True)
class UpstreamResult:
    """What upstream said: a text that may be stored (`record`), or a refusal to be passed on.

    `shared` says that another process fetched it; `key` that it belongs under another key than the
    one asked for; `note` what is to be said about a record that is not what upstream said now.
    """

    text: str
    record: StoredAnswer | None = None
    refusal: Refusal | None = None
    is_error: bool = False
    shared: bool = False
    key: str | None = None
    note: str | None = None

    @property
    def said(self) -> str:
        """Upstream's refusal in one line."""
        text = " ".join(self.text.split())
        said = text[:200].rstrip(".")
        return f"Context7 says: {said}" if text else "Context7 sent an empty answer"

    @property
    def definite(self) -> bool:
        """Tell whether this settles the question, as opposed to a passing failure."""
        return self.record is not None or (
            self.refusal is not None and self.refusal.reason in DEFINITE
        )


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """One thing to know: where it is stored, how long it lives, how it is fetched.

    `keys` are tried in order, and what is fetched is stored under each; `fetch` raises an
    `UpstreamError` when upstream gives no answer at all; `doubted` tells of a stored answer that it
    is wrong by now, however young; `refresh` asks upstream first in any case. `known` says that
    without upstream there is an answer of its own right, such as a seed by exact name; `lesser`
    looks whether there is any other.
    """

    keys: tuple[str, ...]
    lifetime: Lifetime
    fetch: Callable[[Progress], Awaitable[UpstreamResult]]
    doubted: Callable[[StoredAnswer], bool] | None = None
    refresh: bool = False
    known: bool = False
    lesser: Callable[[], Awaitable[bool]] | None = None

    @property
    def key(self) -> str:
        """The first of its keys, which stands for it."""
        return self.keys[0]


class CacheOutcome(Enum):
    """By which way an enquiry ended."""

    HIT = auto()
    STALE = auto()
    OFFLINE = auto()
    FETCHED = auto()
    COALESCED = auto()
    REFUSED = auto()
    REMEMBERED = auto()
    FAILED = auto()


SAVED = frozenset(
    {CacheOutcome.HIT, CacheOutcome.OFFLINE, CacheOutcome.COALESCED, CacheOutcome.REMEMBERED}
)
"""Ways that cost no call upstream."""


@dataclass(frozen=True, slots=True)
class CacheResult:
    """The end of an enquiry: a stored or fetched record, else upstream's text, else its error."""

    how: CacheOutcome
    record: StoredAnswer | None = None
    fetched: UpstreamResult | None = None
    error: UpstreamError | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """What the flow goes by: lengths in seconds, `origin` names the Context7 that is asked.

    `patience` is how long a caller waits while an old copy is at hand, `flight` how long a flight
    may take at most, `negative` how long a refusal is remembered. `offline`: nobody is asked.
    """

    origin: str
    patience: float = 4.0
    flight: float = 60.0
    negative: float = 600.0
    offline: bool = False


REFRESH_EVERY = 60.0
"""Seconds between two refreshes of one answer, should the first have brought nothing."""


PRAISED = 2.0
"""How many times as long a text that was rated well stays fresh, and then stale."""

_UNASKED = (UpstreamOff, UpstreamPaused)
"""Errors of a call that nobody sent."""


class AnswerCache:
    """The flow over one shelf and one upstream."""

    def __init__(
        self,
        shelf: AnswerStore,
        tasks: TaskGroup,
        leases: FlightLeases,
        clock: Clock,
        meter: Quota,
        settings: AnswerSettings,
        line: CallGate,
    ) -> None:
        """Fly in `tasks`, one process at a time by `leases`; count what was saved on `meter`.

        `line` tells how it is with upstream.
        """
        self._line = line
        self._shelf = shelf
        self._keeper = AnswerWriter(shelf, clock)
        self._flights: SingleFlight[UpstreamResult] = SingleFlight(tasks)
        self._leases = leases
        self._clock = clock
        self._meter = meter
        self._settings = settings
        self._refusals = TimedCache[UpstreamResult](clock, settings.negative)
        self._refreshed = TimedCache[bool](clock, REFRESH_EVERY)

    @property
    def flights(self) -> int:
        """How many flights to upstream are under way."""
        return len(self._flights)

    async def ask(self, enquiry: CacheLookup, caller: Caller) -> CacheResult:
        """Answer `enquiry` from the shelf or from upstream."""
        found = await self._found(enquiry, caller)
        if found.how in SAVED:
            self._meter.count_saved()
        return found

    def at_hand(self, enquiry: CacheLookup, caller: Caller) -> CacheResult | None:
        """Answer `enquiry` as `ask` would if that is a hit in memory; None, and no trace, if not.

        Only its first key is looked at: whether there is something under it, memory alone knows
        when there is.
        """
        held = self._shelf.at_hand(enquiry.key, caller.principal)
        if held is None or self._judge(held, enquiry) is not Freshness.FRESH:
            return None
        caller.trace.stored_at += enquiry.keys
        self._note_copy(held, Freshness.FRESH, caller)
        self._meter.count_saved()
        return CacheResult(CacheOutcome.HIT, held)

    async def _found(self, enquiry: CacheLookup, caller: Caller) -> CacheResult:
        held = await self._held(enquiry, caller.principal)
        caller.trace.stored_at += enquiry.keys
        if held is None:
            caller.trace.step("nothing stored")
            return await self._without_copy(enquiry, caller)
        freshness = self._judge(held, enquiry)
        self._note_copy(held, freshness, caller)
        if freshness is Freshness.FRESH:
            return CacheResult(CacheOutcome.HIT, held)
        if self._settings.offline:
            return CacheResult(
                CacheOutcome.OFFLINE, held, note=self._old("Upstream is switched off", held)
            )
        if freshness is Freshness.STALE:
            await self._refresh_behind(enquiry, caller, held)
            return CacheResult(CacheOutcome.STALE, held)
        gone = freshness is Freshness.GONE
        return await self._from_upstream(enquiry, caller, held, usable=None if gone else held)

    def _note_copy(self, held: StoredAnswer, freshness: Freshness, caller: Caller) -> None:
        caller.trace.step(f"stored copy, {self._age(held)} old: {freshness.value}")

    async def _without_copy(self, enquiry: CacheLookup, caller: Caller) -> CacheResult:
        refusal = self._refusals.get(_flight_key(enquiry, caller))
        if refusal is not None:
            caller.trace.step("Context7 said lately that it does not know this")
            return CacheResult(CacheOutcome.REMEMBERED, fetched=refusal)
        return await self._from_upstream(enquiry, caller, None, usable=None)

    async def is_fresh(self, enquiry: CacheLookup, caller: Caller) -> bool:
        """Tell whether `enquiry` would be answered without upstream."""
        held = await self._held(enquiry, caller.principal)
        return held is not None and self._judge(held, enquiry) is Freshness.FRESH

    async def _held(self, enquiry: CacheLookup, principal: str) -> StoredAnswer | None:
        return await self._shelf.read(enquiry.keys, principal)

    def _judge(self, held: StoredAnswer, enquiry: CacheLookup) -> Freshness:
        lifetime = enquiry.lifetime.stretched(PRAISED) if held.praised else enquiry.lifetime
        freshness = judge(self._clock(), held.fetched_at, lifetime, enquiry.key)
        if self._settings.offline or freshness is Freshness.GONE:
            return freshness
        foreign = held.origin != self._settings.origin
        doubted = enquiry.doubted is not None and enquiry.doubted(held)
        return Freshness.USABLE_ON_ERROR if foreign or doubted or enquiry.refresh else freshness

    async def _refresh_behind(
        self, enquiry: CacheLookup, caller: Caller, held: StoredAnswer
    ) -> None:
        key = _flight_key(enquiry, caller)
        if self._refreshed.get(key) is None and await self._line.may_refresh():
            self._refreshed.put(key, True)  # noqa: FBT003  # a set with times
            self._board(enquiry, caller, held)

    async def _from_upstream(
        self,
        enquiry: CacheLookup,
        caller: Caller,
        held: StoredAnswer | None,
        *,
        usable: StoredAnswer | None,
    ) -> CacheResult:
        """Fetch what is newer than `held`; when that fails or dawdles, `usable` is at hand."""
        flight, started = self._board(enquiry, caller, held)
        begun = caller.trace.milliseconds
        try:
            fetched = await self._awaited(flight, enquiry, caller, usable)
        except UpstreamError as error:
            _note_way(caller.trace, begun, started=started, asked=not isinstance(error, _UNASKED))
            caller.trace.step(str(error))
            return self._without_upstream(usable, error)
        _note_way(caller.trace, begun, started=started, asked=not fetched.shared)
        if fetched.key is not None and fetched.key not in caller.trace.stored_at:
            caller.trace.stored_at += (fetched.key,)
        caller.trace.step(_heard(fetched))
        return self._landed(fetched, usable, started=started)

    async def _awaited(
        self,
        flight: Flight[UpstreamResult],
        enquiry: CacheLookup,
        caller: Caller,
        usable: StoredAnswer | None,
    ) -> UpstreamResult:
        """Wait for a flight; no longer than patience lasts where something is at hand.

        Something lesser than an old copy or an exact row counts only while upstream is being
        connected to: then nothing shows that it will answer at all. Calls that come meanwhile
        share one wait. Where another process is under way, its answer is waited for.

        Raises:
            UpstreamError: It failed, or dawdles.
        """
        waited = self._line.connecting()
        with anyio.move_on_after(max(0.0, self._settings.patience - waited)):
            return await flight.land(caller.progress)
        helped = usable is not None or enquiry.known
        if not helped and enquiry.lesser is not None and self._line.connecting() > 0:
            helped = await enquiry.lesser()
        if helped:
            raise UpstreamSlow(self._settings.patience)
        return await flight.land(caller.progress)

    def _landed(
        self, fetched: UpstreamResult, held: StoredAnswer | None, *, started: bool
    ) -> CacheResult:
        if fetched.record is not None and fetched.note is not None:
            return CacheResult(
                CacheOutcome.STALE, fetched.record, note=self._old(fetched.note, fetched.record)
            )
        if fetched.record is not None:
            shared = not started or fetched.shared
            return CacheResult(
                CacheOutcome.COALESCED if shared else CacheOutcome.FETCHED, fetched.record, fetched
            )
        if held is not None and not fetched.definite:
            return CacheResult(CacheOutcome.STALE, held, note=self._old(fetched.said, held))
        return CacheResult(CacheOutcome.REFUSED, fetched=fetched)

    def _without_upstream(self, held: StoredAnswer | None, error: UpstreamError) -> CacheResult:
        if held is None:
            return CacheResult(CacheOutcome.FAILED, error=error)
        return CacheResult(CacheOutcome.STALE, held, note=self._old(str(error), held))

    def _old(self, why: str, held: StoredAnswer) -> str:
        source = "" if held.origin == self._settings.origin else f" of {held.origin}"
        return f"{why}; this is the copy{source} stored {self._age(held)} ago."

    def _age(self, held: StoredAnswer) -> str:
        return format_duration(max(0.0, self._clock() - held.fetched_at))

    def _is_newer(self, record: StoredAnswer, held: StoredAnswer | None) -> bool:
        if held is None or record.fetched_at > held.fetched_at:
            return True
        now = self._clock()  # the time of one that is from the future says nothing
        return is_ahead(held.fetched_at, now) and not is_ahead(record.fetched_at, now)

    def _board(
        self, enquiry: CacheLookup, caller: Caller, held: StoredAnswer | None
    ) -> tuple[Flight[UpstreamResult], bool]:
        """Return the flight to upstream for `enquiry`, started now or under way already."""
        key = _flight_key(enquiry, caller)
        return self._flights.board(key, partial(self._fly, enquiry, caller.principal, held, key))

    async def _fly(
        self,
        enquiry: CacheLookup,
        principal: str,
        held: StoredAnswer | None,
        name: str,
        progress: Progress,
    ) -> UpstreamResult:
        """Go upstream, unless another process on this store is under way with the same."""

        async def look() -> StoredAnswer | None:
            record = await self._held(enquiry, principal)
            return record if record is not None and self._is_newer(record, held) else None

        lease, record = await self._leases.take(name, look, self._settings.flight)
        if record is not None:
            return UpstreamResult(record.text, record, shared=True)
        if lease is None:
            return await self._fetch(enquiry, name, progress)
        async with self._leases.held(lease):
            return await self._fetch(enquiry, name, progress)

    async def _fetch(self, enquiry: CacheLookup, name: str, progress: Progress) -> UpstreamResult:
        fetched = await enquiry.fetch(progress)
        if fetched.record is not None:
            keys = (fetched.key,) if fetched.key else enquiry.keys
            return await self._kept(fetched, fetched.record, keys)
        if fetched.definite:
            self._refusals.put(name, fetched)
        return fetched

    async def _kept(
        self, fetched: UpstreamResult, record: StoredAnswer, keys: tuple[str, ...]
    ) -> UpstreamResult:
        kept = [await self._keeper.keep(key, record) for key in keys]
        if kept[0].text == record.text:
            return UpstreamResult(record.text, kept[0], key=fetched.key)
        why = "Context7's new text gives the model orders and was set aside"
        return UpstreamResult(fetched.text, kept[0], key=fetched.key, note=why)


def _note_way(trace: CallTrace, begun: float, *, started: bool, asked: bool) -> None:
    """Note whether a call that boarded a flight at `begun` asked Context7 itself.

    That shows at the flight's end only: the guard may hold it back, or another process go.
    """
    if not started:
        trace.steps.append((TracedStep.JOINED, begun))
    elif asked:
        trace.went_upstream = True
        trace.steps.append((TracedStep.ASKED, begun))


def _heard(fetched: UpstreamResult) -> str:
    """Say in one line how a flight ended."""
    if fetched.record is None:
        return f"not admitted: {fetched.said}"
    where = "another process stored it" if fetched.shared else "admitted and stored"
    return fetched.note or where


def _flight_key(enquiry: CacheLookup, caller: Caller) -> str:
    return f"{enquiry.key}#{caller.principal}"
