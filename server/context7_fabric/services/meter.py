"""How many calls went upstream this month and how many were saved, and how often the store failed.

Counts are kept by process and summed when read, so that processes on one store never race; they are
written behind the calls, and at the end. While the store fails they wait for it to work again.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import cache
from uuid import uuid4

import anyio
from pydantic import TypeAdapter, ValidationError

from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Clock

KEEP_SECONDS = 62 * 86400.0
WRITE_EVERY = 1.0
LOOK_EVERY = 5.0
"""Seconds between two looks for faults of the store, while there are no calls."""

REFRESH_SHARE = 0.8
"""Share of the month's calls that refreshing behind may use up; the rest is for real misses."""

FAULT_LENGTH = 200
"""Characters that are kept of the text of a fault."""

_KEYS = "meter:"


@dataclass(frozen=True, slots=True, order=True)
class StoreFault:
    """How the store failed, in one line, and when that was noticed (epoch seconds)."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """One month: calls that went upstream, those that did not have to, faults of the store."""

    calls: int = 0
    saved: int = 0
    faults: int = 0
    last_fault: StoreFault | None = None

    def plus(self, other: Usage) -> Usage:
        """Return the sum of both, with the later of their last faults."""
        return Usage(
            self.calls + other.calls,
            self.saved + other.saved,
            self.faults + other.faults,
            max(filter(None, (self.last_fault, other.last_fault)), default=None),
        )


@cache
def _usages() -> TypeAdapter[Usage]:
    """Return what reads a usage; to make it takes a while, which no start has to wait for."""
    return TypeAdapter(Usage)


class Meter:
    """Counts for one credential, in the fabric's GLOBAL scope."""

    def __init__(
        self, fabric: Fabric, clock: Clock, principal: str, monthly_calls: int | None
    ) -> None:
        """Count for `principal`, whose plan has `monthly_calls` (None: nobody knows)."""
        self._fabric = fabric
        self._clock = clock
        self._principal = principal
        self._writer = uuid4().hex[:12]
        self._month = self._now()
        self._usage = self._written = Usage()
        self._faults_seen = 0
        self._called = anyio.Event()
        self.monthly_calls = monthly_calls

    def called(self) -> None:
        """Count one call upstream."""
        self._add(calls=1)
        self._called.set()

    def saved(self) -> None:
        """Count one call that needed no upstream."""
        self._add(saved=1)
        self._called.set()

    async def month(self) -> Usage:
        """Return this month's usage of the principal, over every process on the store."""
        return await self._sum(f"{_KEYS}{self._principal}:{self._now()}:")

    async def everybody(self) -> Usage:
        """Return this month's usage of every principal, over every process on the store."""
        return await self._sum(_KEYS)

    async def may_refresh(self) -> bool:
        """Tell whether refreshing behind may still cost a call this month."""
        if self.monthly_calls is None:
            return True
        return (await self.month()).calls < REFRESH_SHARE * self.monthly_calls

    async def write_behind(self) -> None:
        """Write the counts soon after they change; runs until it is cancelled."""
        while True:
            with anyio.move_on_after(LOOK_EVERY):
                await self._called.wait()
            self._called = anyio.Event()  # nobody else waits for it
            await anyio.sleep(WRITE_EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Write the counts that are not written yet; what the store refuses, the next time."""
        self._look_for_faults()
        usage = self._usage
        if usage == self._written:
            return
        key = f"{_KEYS}{self._principal}:{self._month}:{self._writer}"
        value: Json = asdict(usage)
        if await self._fabric.set_context(key, value, ttl=KEEP_SECONDS, disposable=True):
            self._written = usage

    async def _sum(self, prefix: str) -> Usage:
        """Return the month's usage below `prefix`: what others wrote, and our own as it is now."""
        month = self._now()
        keys = await self._fabric.keys(Scope.GLOBAL, prefix)
        theirs = [key for key in keys if key.split(":")[-2] == month and not self._is_ours(key)]
        total = Usage()
        for context in await self._fabric.get_many(theirs):
            total = total.plus(_usage(context))
        self._look_for_faults()
        return total.plus(self._usage)

    def _is_ours(self, key: str) -> bool:
        return key.endswith(f":{self._writer}")

    def _look_for_faults(self) -> None:
        """Count what the store failed since the last look."""
        faults = self._fabric.faults
        new = faults.count - self._faults_seen
        self._faults_seen = faults.count
        text = " ".join((faults.last or "").split())[:FAULT_LENGTH]
        self._add(faults=new, last=StoreFault(self._clock(), text) if new else None)

    def _add(
        self, calls: int = 0, saved: int = 0, faults: int = 0, last: StoreFault | None = None
    ) -> None:
        month = self._now()
        if self._month != month:
            self._month, self._usage, self._written = month, Usage(), Usage()
        sums, last = self._usage, last or self._usage.last_fault
        self._usage = Usage(sums.calls + calls, sums.saved + saved, sums.faults + faults, last)

    def _now(self) -> str:
        return time.strftime("%Y-%m", time.gmtime(self._clock()))


def _usage(context: Context) -> Usage:
    """Return the usage in `context`, none where something else lies."""
    try:
        return _usages().validate_python(context.value)
    except ValidationError:
        return Usage()
