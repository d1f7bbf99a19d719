"""Monthly quota counter: calls upstream, calls saved, faults of the store.

Each principal has one row a month, to which all processes add by compare-and-swap. They write
behind the calls and at the end. While the store fails the counts stay in memory.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import cast

import anyio

from context7_fabric.errors import CorruptEntry, StoreError
from context7_fabric.fabric.codec import decode, encode
from context7_fabric.fabric.context import Context, Json, Scope, address
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Clock, read_as

KEEP_SECONDS = 62 * 86400.0
WRITE_EVERY = 1.0
LOOK_EVERY = 5.0
"""Seconds between two looks for faults of the store, while there are no calls."""

REFRESH_SHARE = 0.8
"""Share of the month's calls that background refreshes may use; the rest is for real misses."""

FAULT_LENGTH = 200
"""Characters that are kept of the text of a fault."""

_KEYS = "meter:"
_ATTEMPTS = 20
"""Attempts to add to a row that other processes change meanwhile; after that the counts wait."""


@dataclass(frozen=True, slots=True, order=True)
class StoreFault:
    """Fault of the store in one line, and its time in epoch seconds."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts of one month: calls upstream, calls saved, faults of the store."""

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

    def minus(self, other: Usage) -> Usage:
        """Return the rest without `other`, which is part of it."""
        return Usage(
            self.calls - other.calls,
            self.saved - other.saved,
            self.faults - other.faults,
            None if self.last_fault == other.last_fault else self.last_fault,
        )


class Quota:
    """Monthly counter of one principal, in the fabric's GLOBAL scope."""

    def __init__(
        self, fabric: Fabric, clock: Clock, principal: str, monthly_calls: int | None
    ) -> None:
        """Count for `principal`, whose plan has `monthly_calls` (None: not known)."""
        self._fabric = fabric
        self._clock = clock
        self._principal = principal
        self._pending: dict[str, Usage] = {}
        self._writing = anyio.Lock()
        self._faults_seen = 0
        self._counted = anyio.Event()
        self.monthly_calls = monthly_calls

    def count_call(self) -> None:
        """Count one call upstream."""
        self._add(Usage(calls=1))
        self._counted.set()

    def count_saved(self) -> None:
        """Count one call that needed no upstream."""
        self._add(Usage(saved=1))
        self._counted.set()

    async def month(self) -> Usage:
        """Return this month's usage of the principal, over every process on the store."""
        return await self._sum([self._key(self._now())])

    async def month_of_all(self) -> Usage:
        """Return this month's usage of every principal, over every process on the store."""
        suffix, keys = self._suffix(self._now()), await self._fabric.keys(Scope.GLOBAL, _KEYS)
        return await self._sum([key for key in keys if key.endswith(suffix)])

    async def may_refresh(self) -> bool:
        """Return whether a background refresh may still cost a call this month."""
        if self.monthly_calls is None:
            return True
        return (await self.month()).calls < REFRESH_SHARE * self.monthly_calls

    async def write_behind(
        self, write_every: float = WRITE_EVERY, look_every: float = LOOK_EVERY
    ) -> None:
        """Write the counts `write_every` seconds after they change, until cancelled.

        Without a change, faults of the store are looked for every `look_every` seconds.
        """
        while True:
            with anyio.move_on_after(look_every):
                await self._counted.wait()
            self._counted = anyio.Event()
            await anyio.sleep(write_every)
            await self.flush()

    async def flush(self) -> None:
        """Write the pending counts; those that the store refuses stay pending."""
        self._count_faults()
        async with self._writing:
            for month, pending in list(self._pending.items()):
                # Shielded, as what is stored and still pending would be added again.
                with anyio.CancelScope(shield=True):
                    if await self._store(month, pending):
                        left = self._pending.pop(month).minus(pending)
                        self._pending |= {} if left == Usage() else {month: left}

    async def _store(self, month: str, pending: Usage) -> bool:
        """Add to the month's row; return whether it is stored."""
        try:
            for _attempt in range(_ATTEMPTS):
                if await self._swapped(self._key(month), pending):
                    return True
        except StoreError as error:
            self._fabric.faults.note(error)
        return False

    async def _swapped(self, key: str, pending: Usage) -> bool:
        """Write the row's new sum; False if another process has changed it meanwhile."""
        backend, place, now = self._fabric.backend, address(Scope.GLOBAL, key), self._clock()
        try:
            row = await backend.get(place)
            before = decode(key, Scope.GLOBAL, row.value).value if row else None
        except CorruptEntry as error:
            self._fabric.faults.note(error)
            await backend.delete(place)
            return False
        total = cast("Json", asdict(_usage(before).plus(pending)))
        new = encode(Context(key, total, Scope.GLOBAL, now, now + KEEP_SECONDS))
        if row is None:
            return await backend.add(place, new, expires_in=KEEP_SECONDS)
        return await backend.swap(place, row.value, new, expires_in=KEEP_SECONDS)

    async def _sum(self, keys: list[str]) -> Usage:
        """Return the sum of the rows at `keys` and of this month's pending counts."""
        contexts = await self._fabric.get_many(keys)
        self._count_faults()
        total = self._pending.get(self._now(), Usage())
        for context in contexts:
            total = total.plus(_usage(context.value))
        return total

    def _count_faults(self) -> None:
        """Count the store's faults since the last look."""
        faults = self._fabric.faults
        new, self._faults_seen = faults.count - self._faults_seen, faults.count
        if new:
            text = " ".join((faults.last or "").split())[:FAULT_LENGTH]
            self._add(Usage(faults=new, last_fault=StoreFault(self._clock(), text)))

    def _add(self, usage: Usage) -> None:
        month = self._now()
        self._pending[month] = self._pending.get(month, Usage()).plus(usage)

    def _key(self, month: str) -> str:
        return f"{_KEYS}{self._principal}{self._suffix(month)}"

    def _suffix(self, month: str) -> str:
        return f":{month}:sum"

    def _now(self) -> str:
        return time.strftime("%Y-%m", time.gmtime(self._clock()))


def _usage(value: Json) -> Usage:
    """Return the usage in a row's value, none where it is not one."""
    return read_as(Usage, value) or Usage()
