"""Gate to Context7: circuit breaker, back-off after a limit, call counting.

A back-off is stored in the fabric, so that every process on the store respects it. The open
breaker, the last lost session and the last message about the quota are stored there as well, for
`doctor` and `stats`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import cast

from context7_fabric.errors import (
    StoreError,
    UpstreamCallsSpent,
    UpstreamError,
    UpstreamLimited,
    UpstreamOff,
    UpstreamPaused,
    UpstreamRejected,
    UpstreamUnreachable,
)
from context7_fabric.fabric.context import Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Clock, read_as
from context7_fabric.parsing.admission import Reason, refusal
from context7_fabric.upstream.base import Upstream
from context7_fabric.upstream.circuit_breaker import (
    CLOCK_TOLERANCE,
    LONGEST_OPEN_SECONDS,
    PROBE_SECONDS,
    BackOff,
    BreakerOpening,
    CircuitBreaker,
    back_off_after,
)
from context7_fabric.upstream.quota import Quota

STATUS_KEYS = "upstream:rest:"
"""Prefix of the stored keys; that of a back-off is the prefix and the credential."""

BREAKER, SESSION, MESSAGE = _SUFFIXES = (":breaker", ":session", ":said")
"""Suffixes of a credential's other keys."""

SESSION_SECONDS = 3600.0
"""Seconds for which a lost session is reported."""

_DIGITS = 12


@dataclass(frozen=True, slots=True)
class TimedMessage:
    """One line of text and its time in epoch seconds."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """Back-off, open breaker, lost session and quota message of one credential, stored at `key`."""

    key: str
    back_off: BackOff | None
    opening: BreakerOpening | None
    lost_session: TimedMessage | None
    quota_message: TimedMessage | None


async def read_status(fabric: Fabric, key: str, now: float) -> UpstreamStatus:
    """Return the status of the credential at `key`; what has ended by `now` is None."""
    back_off = read_as(BackOff, await _stored(fabric, key))
    opening = read_as(BreakerOpening, await _stored(fabric, f"{key}{BREAKER}"))
    lost = await _message(fabric, f"{key}{SESSION}")
    return UpstreamStatus(
        key,
        back_off if back_off and back_off.holds(now) else None,
        opening if opening and opening.left(now) > 0 else None,
        lost if lost and -CLOCK_TOLERANCE <= now - lost.at < SESSION_SECONDS else None,
        await _message(fabric, f"{key}{MESSAGE}"),
    )


async def read_all_statuses(fabric: Fabric, now: float) -> list[UpstreamStatus]:
    """Return the status of every credential in the store."""
    keys = set(await fabric.keys(Scope.GLOBAL, STATUS_KEYS))
    for suffix in _SUFFIXES:
        keys = {key.removesuffix(suffix) for key in keys}
    return [await read_status(fabric, key, now) for key in sorted(keys)]


async def clear_statuses(fabric: Fabric) -> int:
    """End the back-offs and open breakers of every credential; return the number of back-offs.

    Raises:
        StoreError: The store cannot be searched, or an entry cannot be removed.
    """
    await fabric.delete_matching(STATUS_KEYS, lambda each: each.key.endswith(BREAKER))
    return await fabric.delete_matching(
        STATUS_KEYS, lambda each: read_as(BackOff, each.value) is not None
    )


def credential_key(principal: str, credential: str, origin: str) -> str:
    """Return the name of one credential at one Context7.

    `credential` is a fingerprint. A principal that has a name keeps it when its key changes.
    """
    where = sha256(f"{credential} {origin}".encode()).hexdigest()[:_DIGITS]
    return f"{principal}:{where}"


async def _stored(fabric: Fabric, key: str) -> Json:
    context = await fabric.get_context(key)
    return context.value if context else None


async def _message(fabric: Fabric, key: str) -> TimedMessage | None:
    context = await fabric.get_context(key)
    if context is None or not isinstance(context.value, str):
        return None
    return TimedMessage(context.created_at, context.value)


@dataclass(slots=True)
class CallBudget:
    """Calls upstream that one piece of work may still make, and those that it has made."""

    left: int
    used: int = 0


_budget: ContextVar[CallBudget | None] = ContextVar("call_budget", default=None)


@contextmanager
def calls_at_most(calls: int) -> Generator[CallBudget]:
    """Permit at most `calls` calls in the block and in the flights that it starts.

    Nothing is refreshed behind an answer meanwhile: such a call could go out after the block.
    """
    budget = CallBudget(calls)
    token = _budget.set(budget)
    try:
        yield budget
    finally:
        _budget.reset(token)


@dataclass(frozen=True, slots=True)
class CallPermit:
    """Permit for one call: its number at the breaker, and the back-off that it probes."""

    admitted: int
    probes: BackOff | None = None


class CallGate:
    """Gate to one upstream with one credential."""

    def __init__(
        self, fabric: Fabric, clock: Clock, quota: Quota, credential: str, upstream: Upstream
    ) -> None:
        """Share the status of `credential`, which begins with its principal, through `fabric`."""
        self._fabric = fabric
        self._clock = clock
        self._breaker = CircuitBreaker(clock)
        self.quota = quota
        self.upstream = upstream
        self._last_known: BackOff | None = None
        self._unstored: BackOff | None = None
        self.key = f"{STATUS_KEYS}{credential}"
        self.on_refused: Callable[[], object] = lambda: None
        """Called for each call that the open breaker refuses."""

    @property
    def is_open(self) -> bool:
        """True if the breaker is open."""
        return self._breaker.is_open

    @property
    def is_backing_off(self) -> bool:
        """True if this process knows of a back-off in force, without reading the store."""
        return self._last_known is not None and self._last_known.holds(self._clock())

    def connecting(self) -> float:
        """Return for how many seconds a connection has been in the making; 0 if none is."""
        return self.upstream.connecting_for

    @asynccontextmanager
    async def permit(self) -> AsyncGenerator[CallPermit]:
        """Permit one call upstream, count it, and record its failure.

        Raises:
            UpstreamPaused: No call may go out now.
            UpstreamCallsSpent: The work that it is for may make no more calls.
        """
        budget = _budget.get()
        if budget is not None and budget.left <= 0:
            raise UpstreamCallsSpent
        permit = await self._admit()
        if budget is not None:
            budget.left, budget.used = budget.left - 1, budget.used + 1
        try:
            yield permit
        except UpstreamError as error:
            await self._record(error, permit)
            raise
        except BaseException:
            self._breaker.abandoned()
            raise
        self.quota.count_call()

    async def back_off(self) -> BackOff | None:
        """Return the back-off in force, whichever process met the limit."""
        stored = await _stored(self._fabric, self.key)
        found = self._unstored if stored is None else read_as(BackOff, stored)
        self._last_known = found if found is not None and found.holds(self._clock()) else None
        return self._last_known

    async def may_refresh(self) -> bool:
        """Return whether a background refresh may cost a call now."""
        if _budget.get() is not None:
            return False
        return await self.back_off() is None and await self.quota.may_refresh()

    async def status(self) -> UpstreamStatus:
        """Return the status of this credential over every process on the store."""
        return await read_status(self._fabric, self.key, self._clock())

    async def succeeded(self, permit: CallPermit) -> None:
        """Record an answer; one that probed a back-off ends it."""
        await self._answered()
        if permit.probes is not None:
            self._unstored = None
            await self._forget(self.key)

    async def failed(self, permit: CallPermit, why: str, *, connecting: bool = False) -> None:
        """Record a failure of upstream or of a gateway before it."""
        before = self._breaker.opening
        self._breaker.failed(permit.admitted, why, connecting=connecting)
        opening = self._breaker.opening
        if opening is not None and opening is not before:
            await self._keep(BREAKER, asdict(opening), LONGEST_OPEN_SECONDS)

    async def limited(self, text: str, retry_after: float | None) -> None:
        """Record a limit in upstream's words, with the seconds of its Retry-After if it has one."""
        self._breaker.abandoned()
        back_off = back_off_after(self._clock(), text, retry_after)
        await self._keep(MESSAGE, back_off.why)
        await self._start(back_off)

    async def session_lost(self, how: str) -> None:
        """Record that upstream lost a session."""
        await self._keep(SESSION, how, SESSION_SECONDS)

    async def connected(self) -> None:
        """Record a new connection, which may close the breaker."""
        was_open = self._breaker.is_open
        self._breaker.connected()
        if was_open and not self._breaker.is_open:
            await self._forget(f"{self.key}{BREAKER}")

    async def _admit(self) -> CallPermit:
        try:
            admitted = self._breaker.admit()
        except UpstreamPaused:
            self.on_refused()
            raise
        try:
            return CallPermit(admitted, await self._probe())
        except BaseException:
            self._breaker.abandoned()
            raise

    async def _probe(self) -> BackOff | None:
        """Return the back-off that the next call probes, None if there is none in force.

        A lease lets one process alone take each probe.

        Raises:
            UpstreamPaused: A back-off is in force and no call is due.
        """
        back_off = await self.back_off()
        if back_off is None:
            return None
        now, reason = self._clock(), f"it said: {back_off.why}"
        wait = back_off.next_call(now) - now
        if wait > 0 or not await self._fabric.lease(f"{self.key}:{back_off.probed}", PROBE_SECONDS):
            raise UpstreamPaused(max(wait, 1.0), reason)
        current = await self.back_off()
        if current is not None and current.probed != back_off.probed:
            raise UpstreamPaused(PROBE_SECONDS, reason)
        probing = replace(back_off, probed=now)
        await self._start(probing)
        return probing

    async def _start(self, back_off: BackOff) -> None:
        stored = await self._fabric.set_context(
            self.key,
            cast("Json", asdict(back_off)),
            ttl=max(1.0, back_off.until - self._clock()),
        )
        self._unstored = None if stored else back_off
        self._last_known = back_off

    async def _record(self, error: UpstreamError, permit: CallPermit) -> None:
        """Record a call without an answer; one that never arrived is not counted."""
        if isinstance(error, UpstreamOff):
            self._breaker.abandoned()
            return
        if not isinstance(error, UpstreamUnreachable):
            self.quota.count_call()
        if isinstance(error, UpstreamLimited):
            await self.limited(str(error), error.seconds)
        elif not isinstance(error, UpstreamRejected):
            connecting = isinstance(error, UpstreamUnreachable) and error.connecting
            await self.failed(permit, str(error), connecting=connecting)
        elif refusal(str(error)).reason is Reason.QUOTA:  # a gateway may word a limit so
            await self.limited(str(error), None)
        else:
            await self._answered()

    async def _answered(self) -> None:
        was_open = self._breaker.is_open
        self._breaker.succeeded()
        if was_open:
            await self._forget(f"{self.key}{BREAKER}")

    async def _keep(self, suffix: str, value: Json, ttl: float | None = None) -> None:
        await self._fabric.set_context(f"{self.key}{suffix}", value, ttl=ttl, disposable=True)

    async def _forget(self, key: str) -> None:
        try:
            await self._fabric.delete_context(key)
        except StoreError as error:
            self._fabric.faults.note(error)
