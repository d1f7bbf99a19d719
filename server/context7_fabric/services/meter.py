"""How many calls went upstream this month and how many were saved, and what upstream says of quota.

Counts are kept by process and summed when read, so that processes on one store never race; they are
written behind the calls, and at the end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import uuid4

import anyio

from context7_fabric.fabric.context import Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Clock

KEEP_SECONDS = 62 * 86400.0
WRITE_EVERY = 1.0
REFRESH_SHARE = 0.8
"""Share of the month's calls that refreshing behind may use up; the rest is for real misses."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls of one month: those that went upstream, and those that did not have to."""

    calls: int = 0
    saved: int = 0

    def plus(self, other: Usage) -> Usage:
        """Return the sum of both."""
        return Usage(self.calls + other.calls, self.saved + other.saved)


class Meter:
    """Counts for one credential, in the fabric's GLOBAL scope."""

    def __init__(
        self, fabric: Fabric, clock: Clock, principal: str, monthly_calls: int | None
    ) -> None:
        """Count for `principal`, whose plan has `monthly_calls` (None: nobody knows)."""
        self._fabric = fabric
        self._clock = clock
        self._prefix = f"meter:{principal}:"
        self._writer = uuid4().hex[:12]
        self._month = self._now()
        self._usage = Usage()
        self._dirty = anyio.Event()
        self.monthly_calls = monthly_calls

    def called(self) -> None:
        """Count one call upstream."""
        self._add(Usage(calls=1))

    def saved(self) -> None:
        """Count one call that needed no upstream."""
        self._add(Usage(saved=1))

    async def month(self) -> Usage:
        """Return this month's usage, over every process on the store."""
        await self.flush()
        total = Usage()
        for key in await self._fabric.keys(Scope.GLOBAL, f"{self._prefix}{self._now()}:"):
            context = await self._fabric.get_context(key)
            total = total.plus(_usage(context.value if context else None))
        return total

    async def may_refresh(self) -> bool:
        """Tell whether refreshing behind may still cost a call this month."""
        if self.monthly_calls is None:
            return True
        return (await self.month()).calls < REFRESH_SHARE * self.monthly_calls

    async def write_behind(self) -> None:
        """Write the counts soon after they change; runs until it is cancelled."""
        while True:
            await self._dirty.wait()
            await anyio.sleep(WRITE_EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Write the counts now."""
        if not self._dirty.is_set():
            return
        self._dirty = anyio.Event()
        key = f"{self._prefix}{self._month}:{self._writer}"
        value: Json = {"calls": self._usage.calls, "saved": self._usage.saved}
        await self._fabric.set_context(key, value, ttl=KEEP_SECONDS, disposable=True)

    def _add(self, usage: Usage) -> None:
        if self._month != self._now():
            self._month, self._usage = self._now(), Usage()
        self._usage = self._usage.plus(usage)
        self._dirty.set()

    def _now(self) -> str:
        return time.strftime("%Y-%m", time.gmtime(self._clock()))


def _usage(value: object) -> Usage:
    if not isinstance(value, dict):
        return Usage()
    calls, saved = value.get("calls"), value.get("saved")
    return Usage(calls if isinstance(calls, int) else 0, saved if isinstance(saved, int) else 0)
