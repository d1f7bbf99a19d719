"""Gate to upstream: circuit breaker, rests after a limit, call counting.

A limit is kept in the fabric, so that every process on the store respects it. What the breaker does
and which sessions were lost is kept there too, for `doctor` and `stats`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256

from context7_fabric.errors import (
    StoreError,
    UpstreamError,
    UpstreamLimited,
    UpstreamOff,
    UpstreamPaused,
    UpstreamRejected,
    UpstreamUnreachable,
)
from context7_fabric.fabric.context import Json
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Clock
from context7_fabric.parsing.admission import Reason, refusal
from context7_fabric.upstream.base import Upstream
from context7_fabric.upstream.circuit_breaker import (
    LONGEST_OPEN_SECONDS,
    PROBE_SECONDS,
    BackOff,
    CircuitBreaker,
    rest_from,
)
from context7_fabric.upstream.client import McpUpstream
from context7_fabric.upstream.quota import Quota
from context7_fabric.upstream.status import (
    BREAKER,
    RESTS,
    SAID,
    SESSION,
    SESSION_TOLD,
    UpstreamStatus,
    rest_of,
    restraints_of,
)


@dataclass(frozen=True, slots=True)
class QuotaMessage:
    """Upstream's words about the quota, and when they fell (epoch seconds)."""

    at: float
    why: str


@dataclass(frozen=True, slots=True)
class CallPermit:
    """Leave for one call: the number it has at the guard, and the limit that it probes."""

    begun: int
    probes: BackOff | None = None


class CallGate:
    """Guard and meter of one upstream and credential."""

    def __init__(
        self, fabric: Fabric, clock: Clock, guard: CircuitBreaker, meter: Quota, credential: str
    ) -> None:
        """Share the limits of `credential` through `fabric`.

        `credential` begins with its principal.
        """
        self._fabric = fabric
        self._clock = clock
        self._guard = guard
        self.key = self._key = f"{RESTS}{credential}"
        self._meter = meter
        self._last_known: BackOff | None = None
        self._unstored: BackOff | None = None
        self.on_refused: Callable[[], None] = _ignore
        """Hears of calls that an open breaker keeps back."""

    @property
    def is_open(self) -> bool:
        """Tell whether the breaker is open."""
        return self._guard.is_open

    @property
    def is_resting(self) -> bool:
        """Tell whether there is a limit in force that this process knows of already."""
        return self._last_known is not None and self._last_known.holds(self._clock())

    @asynccontextmanager
    async def passage(self) -> AsyncGenerator[CallPermit]:
        """Let one call upstream pass, count it, and take note of how it ends.

        Raises:
            UpstreamPaused: No call may go out now.
        """
        passage = await self._entered()
        try:
            yield passage
        except UpstreamError as error:
            await self._note(error, passage)
            raise
        except BaseException:
            self._guard.abandoned()
            raise
        self._meter.called()

    async def rest(self) -> BackOff | None:
        """Return the limit in force, whichever process heard of it."""
        context = await self._fabric.get_context(self._key)
        found = self._unstored if context is None else rest_of(context.value)
        self._last_known = found if found is not None and found.holds(self._clock()) else None
        return self._last_known

    async def may_refresh(self) -> bool:
        """Tell whether refreshing behind may cost a call: not while a limit is in force."""
        return await self.rest() is None and await self._meter.may_refresh()

    async def last_said(self) -> QuotaMessage | None:
        """Return what upstream last said of the quota, and when."""
        context = await self._fabric.get_context(f"{self._key}{SAID}")
        if context is None or not isinstance(context.value, str):
            return None
        return QuotaMessage(context.created_at, context.value)

    async def restraints(self) -> UpstreamStatus:
        """Return what holds calls with this credential back, in whichever process."""
        return await restraints_of(self._fabric, self._key, self._clock())

    async def succeeded(self, passage: CallPermit) -> None:
        """Take note of an answer; one that probed a limit ends it."""
        await self._answered()
        if passage.probes is not None:
            self._unstored = None
            await self._forget(self._key)

    async def failed(self, passage: CallPermit, why: str, *, connecting: bool = False) -> None:
        """Take note of a failure, of upstream or of what it stands before."""
        before = self._guard.opening
        self._guard.failed(passage.begun, why, connecting=connecting)
        opening = self._guard.opening
        if opening is not None and opening is not before:
            told: Json = asdict(opening)
            await self._fabric.set_context(
                f"{self._key}{BREAKER}", told, ttl=LONGEST_OPEN_SECONDS, disposable=True
            )

    async def refused(self, text: str, seconds: float | None) -> None:
        """Take note of a limit with upstream's words, and its Retry-After if it named one."""
        self._guard.abandoned()
        rest = rest_from(self._clock(), text, seconds)
        await self._fabric.set_context(f"{self._key}{SAID}", rest.why, disposable=True)
        await self._keep(rest)

    async def session_lost(self, how: str) -> None:
        """Take note that upstream lost a session."""
        await self._fabric.set_context(
            f"{self._key}{SESSION}", how, ttl=SESSION_TOLD, disposable=True
        )

    async def connected(self) -> None:
        """Take note of a new connection: a call may find out whether all is well."""
        was_open = self._guard.is_open
        self._guard.connected()
        if was_open and not self._guard.is_open:
            await self._tell_closed()

    async def _entered(self) -> CallPermit:
        try:
            begun = self._guard.enter()
        except UpstreamPaused:
            self.on_refused()
            raise
        try:
            return CallPermit(begun, await self._probed())
        except BaseException:
            self._guard.abandoned()
            raise

    async def _probed(self) -> BackOff | None:
        """Return the limit that the call in hand may probe, None if there is none in force.

        One process alone takes the place of each probe.

        Raises:
            UpstreamPaused: A limit is in force and no call is due.
        """
        rest = await self.rest()
        if rest is None:
            return None
        now = self._clock()
        wait = rest.next_call(now) - now
        if wait > 0 or not await self._fabric.lease(f"{self._key}:{rest.probed}", PROBE_SECONDS):
            raise UpstreamPaused(max(wait, 1.0), f"it said: {rest.why}")
        current = await self.rest()
        if current is not None and current.probed != rest.probed:
            raise UpstreamPaused(PROBE_SECONDS, f"it said: {rest.why}")
        probing = replace(rest, probed=now)
        await self._keep(probing)
        return probing

    async def _keep(self, rest: BackOff) -> None:
        value: Json = asdict(rest)
        ttl = max(1.0, rest.until - self._clock())
        stored = await self._fabric.set_context(self._key, value, ttl=ttl)
        self._unstored = None if stored else rest
        self._last_known = rest

    async def _note(self, error: UpstreamError, passage: CallPermit) -> None:
        """Tell guard and meter of a call without an answer; one that never arrived cost nothing."""
        if isinstance(error, UpstreamOff):
            self._guard.abandoned()
            return
        if not isinstance(error, UpstreamUnreachable):
            self._meter.called()
        if isinstance(error, UpstreamLimited):
            await self.refused(str(error), error.seconds)
        elif isinstance(error, UpstreamRejected):
            await self._rejected(str(error))
        else:
            connecting = isinstance(error, UpstreamUnreachable) and error.connecting
            await self.failed(passage, str(error), connecting=connecting)

    async def _rejected(self, text: str) -> None:
        """Take note of a protocol error: gateways word a limit so too."""
        if refusal(text).reason is Reason.QUOTA:
            await self.refused(text, None)
        else:
            await self._answered()

    async def _answered(self) -> None:
        was_open = self._guard.is_open
        self._guard.succeeded()
        if was_open:
            await self._tell_closed()

    async def _tell_closed(self) -> None:
        await self._forget(f"{self._key}{BREAKER}")

    async def _forget(self, key: str) -> None:
        try:
            await self._fabric.delete_context(key)
        except StoreError as error:
            self._fabric.faults.note(error)


def _ignore() -> None:
    """Hear of nothing."""


_DIGITS = 12


@dataclass(frozen=True, slots=True)
class UpstreamGate:
    """An upstream, the meter and the guard of its calls, and how it is with its connection."""

    upstream: Upstream
    meter: Quota
    turnstile: CallGate
    line: ConnectionState


def open_gate(
    fabric: Fabric, clock: Clock, meter: Quota, credential: str, upstream: Upstream
) -> UpstreamGate:
    """Return the gate to `upstream`; limits of `credential` are shared through `fabric`."""
    turnstile = CallGate(fabric, clock, CircuitBreaker(clock), meter, credential)
    connecting = partial(_connecting_for, upstream)
    return UpstreamGate(
        upstream, meter, turnstile, ConnectionState(connecting, turnstile.may_refresh)
    )


def credential_key(principal: str, credential: str, origin: str) -> str:
    """Return the name of one credential at one Context7.

    A principal that has a name keeps it when its key changes; `credential` is a fingerprint.
    """
    where = sha256(f"{credential} {origin}".encode()).hexdigest()[:_DIGITS]
    return f"{principal}:{where}"


def _connecting_for(upstream: Upstream) -> float:
    return upstream.connecting_for if isinstance(upstream, McpUpstream) else 0.0


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """How it is with upstream.

    For how many seconds it has been `connecting`, 0 if it is not, and whether what is stale may be
    refreshed behind.
    """

    connecting: Callable[[], float]
    may_refresh: Callable[[], Awaitable[bool]]
