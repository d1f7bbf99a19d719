"""Read-through cache of look-ups and documentation, with stale-while-revalidate and stale-if-error.

Fresh: serve. Stale: serve, refresh in the background. Expired: wait for upstream a little, then
serve the old copy with a note. Missing: one flight to upstream. Before upstream is asked, a local
answer may be served. Refusals are never stored; a definite one is remembered for some minutes, in
this process only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import anyio
from anyio.abc import TaskGroup

from context7_fabric.answers.cross_process import FlightLeases
from context7_fabric.answers.freshness import Freshness, Lifetime, fresh_until, is_ahead, judge
from context7_fabric.answers.response import served
from context7_fabric.answers.single_flight import Flight, SingleFlight
from context7_fabric.answers.stored import AnswerStore, AnswerWriter, StoredAnswer
from context7_fabric.durations import format_duration
from context7_fabric.errors import (
    UpstreamCallsSpent,
    UpstreamError,
    UpstreamOff,
    UpstreamPaused,
    UpstreamSlow,
)
from context7_fabric.models import (
    Answer,
    Caller,
    CallTrace,
    Clock,
    Outcome,
    Progress,
    Tier,
    TracedStep,
)
from context7_fabric.parsing.admission import Refusal
from context7_fabric.upstream.call_gate import CallGate
from context7_fabric.upstream.quota import Quota

Found: TypeAlias = Answer | Refusal | UpstreamError
"""Result of a look-up in the cache: an answer, upstream's refusal, or the failure to ask it."""

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """One cached item: its keys, its lifetime, and the way to fetch it.

    `keys` are tried in order, and what is fetched is stored under each, or where `key_for` is
    given, under the key of its own subject; `tier` is the tier of a stored one. `fetch` raises an
    `UpstreamError` when upstream gives no answer at all; `doubted` decides that a stored answer is
    wrong by now, however young; `refresh` asks upstream first in any case. `local` gives an answer
    that goes before upstream's, None without one. `known` states that without upstream there is an
    exact answer of the registry; `lesser` looks for any other.
    """

    keys: tuple[str, ...]
    tier: Tier
    lifetime: Lifetime
    fetch: Callable[[Progress], Awaitable[StoredAnswer | Refusal]]
    key_for: Callable[[str], str] | None = None
    doubted: Callable[[StoredAnswer], bool] | None = None
    refresh: bool = False
    local: Callable[[], Awaitable[Answer | None]] | None = None
    known: bool = False
    lesser: Callable[[], Awaitable[bool]] | None = None

    @property
    def key(self) -> str:
        """The first of its keys, which identifies it."""
        return self.keys[0]

    def keys_of(self, record: StoredAnswer) -> tuple[str, ...]:
        """Return the keys to store `record` under."""
        return (self.key_for(record.subject),) if self.key_for else self.keys


class _Landing(NamedTuple):
    """End of a flight: MISS, COALESCED if another process fetched it, STALE if it was set aside."""

    found: StoredAnswer | Refusal
    outcome: Outcome = Outcome.MISS
    note: str | None = None


_SAVED = frozenset({Outcome.HIT, Outcome.OFFLINE, Outcome.COALESCED})
"""Outcomes that cost no call upstream."""


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """Settings of the cache: lengths in seconds, `origin` names the Context7 that is asked.

    `patience` is how long a caller waits while an old copy is there, `flight` the time limit of a
    flight, `negative` how long a refusal is remembered. `offline`: upstream is never asked.
    """

    origin: str
    patience: float = 4.0
    flight: float = 60.0
    negative: float = 600.0
    offline: bool = False


REFRESH_EVERY = 60.0
"""Minimum seconds between two refreshes of one answer, if the first brought nothing."""

PRAISED = 2.0
"""Factor by which a text that was rated well stays fresh, and then stale, longer."""

_UNASKED = (UpstreamOff, UpstreamPaused, UpstreamCallsSpent)
"""Errors of a call that was not sent."""


class AnswerCache:
    """The cache over one store and one upstream."""

    def __init__(
        self,
        store: AnswerStore,
        tasks: TaskGroup,
        leases: FlightLeases,
        clock: Clock,
        quota: Quota,
        settings: AnswerSettings,
        line: CallGate,
    ) -> None:
        """Run flights in `tasks`, one over all processes by `leases`; count on `quota`.

        `line` is the state of the connection to upstream.
        """
        self._line = line
        self._store = store
        self._writer = AnswerWriter(store, clock)
        self._flights: SingleFlight[_Landing] = SingleFlight(tasks)
        self._leases = leases
        self._clock = clock
        self._quota = quota
        self._settings = settings
        self._refusals = TimedCache[Refusal](clock, settings.negative)
        self._refreshed = TimedCache[bool](clock, REFRESH_EVERY)

    @property
    def flights(self) -> int:
        """Number of flights to upstream under way."""
        return len(self._flights)

    async def ask(self, lookup: CacheLookup, caller: Caller) -> Found:
        """Answer `lookup` from the store or from upstream."""
        found = await self._found(lookup, caller)
        if isinstance(found, Answer):
            is_saved = found.outcome in _SAVED
        else:
            is_saved = isinstance(found, Refusal) and found.remembered
        if is_saved:
            self._quota.count_saved()
        return found

    async def is_fresh(self, lookup: CacheLookup, caller: Caller) -> bool:
        """Tell whether `lookup` would be answered without upstream."""
        held = await self._store.read(lookup.keys, caller.principal)
        return held is not None and self._judge(held, lookup) is Freshness.FRESH

    async def is_held(self, lookup: CacheLookup, caller: Caller) -> bool:
        """Tell whether `lookup` would be answered at once, perhaps with a refresh behind it."""
        held = await self._store.read(lookup.keys, caller.principal)
        served = (Freshness.FRESH, Freshness.STALE)
        return held is not None and self._judge(held, lookup) in served

    async def _found(self, lookup: CacheLookup, caller: Caller) -> Found:
        held = await self._store.read(lookup.keys, caller.principal)
        caller.trace.stored_at += lookup.keys
        if held is None:
            caller.trace.step("nothing stored")
            return await _local(lookup) or await self._without_copy(lookup, caller)
        freshness = self._judge(held, lookup)
        note_copy(caller.trace, self._age(held), freshness)
        if freshness is Freshness.FRESH:
            if held.lasts:
                lifetime = _lifetime(held, lookup)
                caller.trace.fresh_until = fresh_until(held.fetched_at, lifetime, lookup.key)
            return self._served(held, Outcome.HIT, lookup)
        if freshness is Freshness.STALE and not self._settings.offline:
            await self._refresh_behind(lookup, caller, held)
            return self._served(held, Outcome.STALE, lookup)
        if freshness is not Freshness.STALE and (local := await _local(lookup)) is not None:
            return local
        if self._settings.offline:
            note = self._old("Upstream is switched off", held)
            return self._served(held, Outcome.OFFLINE, lookup, note)
        gone = freshness is Freshness.GONE
        return await self._from_upstream(lookup, caller, held, usable=None if gone else held)

    def _served(
        self, record: StoredAnswer, outcome: Outcome, lookup: CacheLookup, note: str | None = None
    ) -> Answer:
        return served(record, outcome, lookup.tier, self._clock(), note)

    async def _without_copy(self, lookup: CacheLookup, caller: Caller) -> Found:
        refusal = self._refusals.get(_flight_key(lookup, caller))
        if refusal is not None:
            caller.trace.step("Context7 said lately that it does not know this")
            return replace(refusal, remembered=True)
        return await self._from_upstream(lookup, caller, None, usable=None)

    def _judge(self, held: StoredAnswer, lookup: CacheLookup) -> Freshness:
        freshness = judge(self._clock(), held.fetched_at, _lifetime(held, lookup), lookup.key)
        if self._settings.offline or freshness is Freshness.GONE:
            return freshness
        foreign = held.origin != self._settings.origin
        doubted = lookup.doubted is not None and lookup.doubted(held)
        return Freshness.USABLE_ON_ERROR if foreign or doubted or lookup.refresh else freshness

    async def _refresh_behind(
        self, lookup: CacheLookup, caller: Caller, held: StoredAnswer
    ) -> None:
        key = _flight_key(lookup, caller)
        if self._refreshed.get(key) is None and await self._line.may_refresh():
            self._refreshed.put(key, True)  # noqa: FBT003  # a set with times
            self._board(lookup, caller, held)

    async def _from_upstream(
        self,
        lookup: CacheLookup,
        caller: Caller,
        held: StoredAnswer | None,
        *,
        usable: StoredAnswer | None,
    ) -> Found:
        """Fetch what is newer than `held`; when that fails or is too slow, serve `usable`."""
        flight, started = self._board(lookup, caller, held)
        begun = caller.trace.milliseconds
        try:
            landing = await self._awaited(flight, lookup, caller, usable)
        except UpstreamError as error:
            _note_way(caller.trace, begun, started=started, asked=not isinstance(error, _UNASKED))
            caller.trace.step(str(error))
            return self._old_copy(lookup, usable, str(error)) or error
        shared = landing.outcome is Outcome.COALESCED
        _note_way(caller.trace, begun, started=started, asked=not shared)
        if isinstance(landing.found, StoredAnswer):
            new = (key for key in lookup.keys_of(landing.found))
            caller.trace.stored_at += tuple(key for key in new if key not in caller.trace.stored_at)
        caller.trace.step(_end(landing))
        return self._landed(landing, lookup, usable, started=started)

    async def _awaited(
        self,
        flight: Flight[_Landing],
        lookup: CacheLookup,
        caller: Caller,
        usable: StoredAnswer | None,
    ) -> _Landing:
        """Wait for a flight; no longer than patience lasts where there is something to serve.

        Something lesser than an old copy or an exact row counts only while upstream is being
        connected to: then nothing shows that it will answer at all. Calls that come meanwhile
        share one wait. Where another process is under way, its answer is waited for.

        Raises:
            UpstreamError: It failed, or is too slow.
        """
        waited = self._line.connecting()
        with anyio.move_on_after(max(0.0, self._settings.patience - waited)):
            return await flight.land(caller.progress)
        helped = usable is not None or lookup.known
        if not helped and lookup.lesser is not None and self._line.connecting() > 0:
            helped = await lookup.lesser()
        if helped:
            raise UpstreamSlow(self._settings.patience)
        return await flight.land(caller.progress)

    def _landed(
        self, landing: _Landing, lookup: CacheLookup, usable: StoredAnswer | None, *, started: bool
    ) -> Found:
        found, outcome, note = landing
        if isinstance(found, Refusal):
            if found.is_definite:
                return found
            return self._old_copy(lookup, usable, found.quoted) or found
        if note is not None:
            return self._served(found, Outcome.STALE, lookup, self._old(note, found))
        return self._served(found, outcome if started else Outcome.COALESCED, lookup)

    def _old_copy(
        self, lookup: CacheLookup, usable: StoredAnswer | None, cause: str
    ) -> Answer | None:
        if usable is None:
            return None
        return self._served(usable, Outcome.STALE, lookup, self._old(cause, usable))

    def _old(self, cause: str, held: StoredAnswer) -> str:
        source = "" if held.origin == self._settings.origin else f" of {held.origin}"
        age = format_duration(self._age(held))
        return f"{cause}; this is the copy{source} stored {age} ago."

    def _age(self, held: StoredAnswer) -> float:
        return max(0.0, self._clock() - held.fetched_at)

    def _is_newer(self, record: StoredAnswer, held: StoredAnswer | None) -> bool:
        if held is None or record.fetched_at > held.fetched_at:
            return True
        now = self._clock()  # the time of one that is from the future says nothing
        return is_ahead(held.fetched_at, now) and not is_ahead(record.fetched_at, now)

    def _board(
        self, lookup: CacheLookup, caller: Caller, held: StoredAnswer | None
    ) -> tuple[Flight[_Landing], bool]:
        """Return the flight to upstream for `lookup`, started now or under way already."""
        key = _flight_key(lookup, caller)
        return self._flights.board(key, partial(self._fly, lookup, caller.principal, held, key))

    async def _fly(
        self,
        lookup: CacheLookup,
        principal: str,
        held: StoredAnswer | None,
        name: str,
        progress: Progress,
    ) -> _Landing:
        """Go upstream, unless another process on this store is under way with the same."""

        async def look() -> StoredAnswer | None:
            record = await self._store.read(lookup.keys, principal)
            return record if record is not None and self._is_newer(record, held) else None

        lease, record = await self._leases.take(name, look, self._settings.flight)
        if record is not None:
            return _Landing(record, Outcome.COALESCED)
        if lease is None:
            return await self._fetch(lookup, name, progress)
        async with self._leases.held(lease):
            return await self._fetch(lookup, name, progress)

    async def _fetch(self, lookup: CacheLookup, name: str, progress: Progress) -> _Landing:
        fetched = await lookup.fetch(progress)
        if isinstance(fetched, StoredAnswer):
            return await self._kept(fetched, lookup.keys_of(fetched))
        if fetched.is_definite:
            self._refusals.put(name, fetched)
        return _Landing(fetched)

    async def _kept(self, record: StoredAnswer, keys: tuple[str, ...]) -> _Landing:
        kept = [await self._writer.keep(key, record) for key in keys]
        if kept[0].text == record.text:
            return _Landing(kept[0])
        note = "Context7's new text gives the model orders and was set aside"
        return _Landing(kept[0], Outcome.STALE, note)


async def _local(lookup: CacheLookup) -> Answer | None:
    """Return the answer that goes before upstream's, None without one."""
    return None if lookup.local is None else await lookup.local()


def note_copy(trace: CallTrace, age: float, freshness: Freshness) -> None:
    """Add the step that a stored copy of some age was found."""
    trace.step(f"stored copy, {format_duration(age)} old: {freshness.value}")


def _lifetime(held: StoredAnswer, lookup: CacheLookup) -> Lifetime:
    return lookup.lifetime.stretched(PRAISED) if held.praised else lookup.lifetime


def _note_way(trace: CallTrace, begun: float, *, started: bool, asked: bool) -> None:
    """Add the step that a call, on a flight since `begun`, asked Context7 itself or joined one.

    It is known at the flight's end only: the call gate may refuse, or another process go.
    """
    if not started:
        trace.steps.append((TracedStep.JOINED, begun))
    elif asked:
        trace.went_upstream = True
        trace.steps.append((TracedStep.ASKED, begun))


def _end(landing: _Landing) -> str:
    """Return in one line how a flight ended."""
    if isinstance(landing.found, Refusal):
        return f"not admitted: {landing.found.quoted}"
    shared = landing.outcome is Outcome.COALESCED
    return landing.note or ("another process stored it" if shared else "admitted and stored")


def _flight_key(lookup: CacheLookup, caller: Caller) -> str:
    return f"{lookup.key}#{caller.principal}"


MOST = 1024


class TimedCache(Generic[V]):
    """Values that are kept for some seconds; the oldest go when there are too many."""

    def __init__(self, clock: Clock, seconds: float, most: int = MOST) -> None:
        """Keep each value for `seconds`, and at most `most` of them."""
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._kept: OrderedDict[str, tuple[float, V]] = OrderedDict()

    def put(self, key: str, value: V) -> None:
        """Keep `value` under `key`, from now on."""
        self._kept.pop(key, None)
        self._kept[key] = (self._clock(), value)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def get(self, key: str) -> V | None:
        """Return the value under `key`, None when there is none any more."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        at, value = kept
        # A clock that was set back would keep a value for as long as it was ahead.
        return value if 0 <= self._clock() - at < self._seconds else None
