"""The way upstream: one call at a time asks for leave, is counted, and tells how it ended.

A rest that upstream asked for is kept in the fabric, so that every process on the store keeps it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from context7_fabric.errors import (
    UpstreamError,
    UpstreamLimited,
    UpstreamOff,
    UpstreamRejected,
    UpstreamUnreachable,
)
from context7_fabric.fabric.context import Json
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Clock
from context7_fabric.services.meter import Meter
from context7_fabric.upstream.guard import QUOTA_SECONDS, RATE_LIMIT_SECONDS, Guard, Rest


@dataclass(frozen=True, slots=True)
class Said:
    """Upstream's words about the quota, and when they fell (epoch seconds)."""

    at: float
    why: str


class Turnstile:
    """Guard and meter of one upstream and credential."""

    def __init__(
        self, fabric: Fabric, clock: Clock, guard: Guard, meter: Meter, principal: str
    ) -> None:
        """Share the rests of `principal` through `fabric`."""
        self._fabric = fabric
        self._clock = clock
        self._guard = guard
        self._key = f"upstream:rest:{principal}"
        self._meter = meter
        self.succeeded = guard.succeeded
        self.failed = guard.failed

    @property
    def is_open(self) -> bool:
        """Tell whether the breaker is open."""
        return self._guard.is_open

    @property
    def is_resting(self) -> bool:
        """Tell whether there is a rest in force that this process knows of already."""
        return self._guard.is_resting

    @asynccontextmanager
    async def passage(self) -> AsyncGenerator[None]:
        """Let one call upstream pass, count it, and take note of how it ends.

        Raises:
            UpstreamPaused: No call may go out now.
        """
        rest = await self.rest()
        if rest is not None:
            self._guard.rest = rest
        self._guard.enter()
        try:
            yield
        except UpstreamError as error:
            await self._note(error)
            raise
        except BaseException:
            self._guard.abandoned()
            raise
        self._meter.called()

    async def rest(self) -> Rest | None:
        """Return the rest in force, whichever process was told of it."""
        context = await self._fabric.get_context(self._key)
        stored = _rest(context.value) if context else None
        return stored if stored and stored.until > self._clock() else None

    async def last_said(self) -> Said | None:
        """Return what upstream last said of the quota, and when."""
        context = await self._fabric.get_context(f"{self._key}:said")
        if context is None or not isinstance(context.value, str):
            return None
        return Said(context.created_at, context.value)

    async def _note(self, error: UpstreamError) -> None:
        """Tell guard and meter of a call without an answer; one that never arrived cost nothing."""
        if isinstance(error, UpstreamOff):
            self._guard.abandoned()
            return
        if not isinstance(error, UpstreamUnreachable):
            self._meter.called()
        if isinstance(error, UpstreamLimited):
            await self.refused(str(error), error.seconds)
        elif isinstance(error, UpstreamRejected):
            self._guard.succeeded()
        else:
            self._guard.failed()

    async def refused(self, text: str, seconds: float | None) -> None:
        """Take note of a 429 with upstream's words, and its Retry-After if it named one."""
        monthly = "month" in text.lower()
        rest = self._guard.refused(
            text, seconds or (QUOTA_SECONDS if monthly else RATE_LIMIT_SECONDS)
        )
        await self._fabric.set_context(f"{self._key}:said", rest.why, disposable=True)
        value: Json = {"until": rest.until, "why": rest.why}
        await self._fabric.set_context(self._key, value, ttl=rest.until - self._clock())


def _rest(value: object) -> Rest | None:
    if not isinstance(value, dict):
        return None
    until, why = value.get("until"), value.get("why")
    if not isinstance(until, int | float) or not isinstance(why, str):
        return None
    return Rest(float(until), why)
