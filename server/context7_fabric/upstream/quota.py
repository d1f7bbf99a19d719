"""How many calls went upstream this month and how many were saved, and how often the store failed.

A principal has one row a month, to which processes add by compare-and-swap, so that none overwrites
what another added; they do so behind the calls, and at the end. While the store fails the counts
wait for it to work again. An earlier version keeps a row for each process, and may still run: such
a row is added to the month's and removed, and how much of it was added is noted there, for the
process may write the row once more, with all that it has counted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache

import anyio
from pydantic import TypeAdapter, ValidationError

from context7_fabric.errors import CorruptEntry, StoreError
from context7_fabric.fabric.backend import BackendEntry
from context7_fabric.fabric.codec import decode, encode
from context7_fabric.fabric.context import Context, Json, Scope, address
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
_SUM = "sum"
"""Last part of the key of the row that all processes add to."""

_ADDED = "added"

_ATTEMPTS = 20
"""Tries to add to a row that other processes change meanwhile; after that the counts wait."""


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

    def minus(self, other: Usage) -> Usage:
        """Return what is left when `other`, which is part of it, is accounted for."""
        return Usage(
            max(0, self.calls - other.calls),
            max(0, self.saved - other.saved),
            max(0, self.faults - other.faults),
            None if self.last_fault == other.last_fault else self.last_fault,
        )


@cache
def _usages() -> TypeAdapter[Usage]:
    """Return what reads a usage; to make it takes a while, which no start has to wait for."""
    return TypeAdapter(Usage)


class Quota:
    """Counts for one credential, in the fabric's GLOBAL scope."""

    def __init__(
        self, fabric: Fabric, clock: Clock, principal: str, monthly_calls: int | None
    ) -> None:
        """Count for `principal`, whose plan has `monthly_calls` (None: nobody knows)."""
        self._fabric = fabric
        self._clock = clock
        self._principal = principal
        self._pending: dict[str, Usage] = {}
        self._adding = anyio.Lock()
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
        async with self._adding:
            for month, pending in list(self._pending.items()):
                # What is added must not stay pending: it would be added again.
                with anyio.CancelScope(shield=True):
                    if await self._added(month, pending):
                        left = self._pending.pop(month).minus(pending)
                        self._pending |= {} if left == Usage() else {month: left}

    async def _added(self, month: str, pending: Usage) -> bool:
        """Add to the month's row, and the rows of earlier versions; tell whether it is stored."""
        prefix = f"{_KEYS}{self._principal}:{month}:"
        place, backend = address(Scope.GLOBAL, prefix + _SUM), self._fabric.backend
        try:
            for _attempt in range(_ATTEMPTS):
                entries = await backend.get_many(await backend.keys(address(Scope.GLOBAL, prefix)))
                others = [each for each in entries if each.key != place]
                if await self._replaced(place, await self._entry(place), pending, others):
                    for each in others:
                        await backend.swap(each.key, each.value, None)
                    return True
        except StoreError as error:
            self._fabric.faults.note(error)
        return False

    async def _entry(self, place: str) -> BackendEntry | None:
        """Return the row at `place`; one that cannot be read is removed."""
        try:
            return await self._fabric.backend.get(place)
        except CorruptEntry as error:
            self._fabric.faults.note(error)
            await self._fabric.backend.delete(place)
            return None

    async def _replaced(
        self, place: str, row: BackendEntry | None, pending: Usage, others: Sequence[BackendEntry]
    ) -> bool:
        """Put the sum in the row at `place`; False where another process has changed it."""
        now, backend = self._clock(), self._fabric.backend
        rows = [_row_of(each) for each in (*([] if row is None else [row]), *others)]
        total = _total(rows).plus(pending)
        added = {key: told for each in rows for key, told in each.added.items()}
        added |= {each.key: each.usage for each in rows if each.key != place}
        value: Json = {**asdict(total), _ADDED: {key: asdict(told) for key, told in added.items()}}
        new = encode(Context(_key(place), value, Scope.GLOBAL, now, now + KEEP_SECONDS))
        if row is None:
            return await backend.add(place, new, expires_in=KEEP_SECONDS)
        return await backend.swap(place, row.value, new, expires_in=KEEP_SECONDS)

    async def _sum(self, prefix: str) -> Usage:
        """Return the month's usage below `prefix`: what is written, and our own that is not."""
        month = self._now()
        keys = [
            key for key in await self._fabric.keys(Scope.GLOBAL, prefix) if _month(key) == month
        ]
        contexts = await self._fabric.get_many(keys)
        self._look_for_faults()
        return _total([_row(each) for each in contexts]).plus(self._pending.get(month, Usage()))

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
        if calls or saved or faults:
            month = self._now()
            sums = self._pending.get(month, Usage())
            self._pending[month] = sums.plus(Usage(calls, saved, faults, last))

    def _now(self) -> str:
        return time.strftime("%Y-%m", time.gmtime(self._clock()))


@dataclass(frozen=True, slots=True)
class _Row:
    """A row: its usage, and how much of other rows, by their places, is part of that."""

    key: str
    usage: Usage = field(default_factory=Usage)
    added: dict[str, Usage] = field(default_factory=dict)


@cache
def _rows() -> TypeAdapter[dict[str, Usage]]:
    """Return what reads how much of other rows was added; as `_usages`."""
    return TypeAdapter(dict[str, Usage])


def _key(place: str) -> str:
    """Return the key of a context in GLOBAL by its address."""
    return place.removeprefix(address(Scope.GLOBAL, ""))


def _row_of(entry: BackendEntry) -> _Row:
    try:
        return replace(_row(decode(_key(entry.key), Scope.GLOBAL, entry.value)), key=entry.key)
    except CorruptEntry:
        return _Row(entry.key)


def _row(context: Context) -> _Row:
    """Return the row in `context`, an empty one where something else lies."""
    place, value = address(Scope.GLOBAL, context.key), context.value
    try:
        usage = _usages().validate_python(value)
        added = value.get(_ADDED, {}) if isinstance(value, dict) else {}
        return _Row(place, usage, _rows().validate_python(added))
    except ValidationError:
        return _Row(place)


def _total(rows: Sequence[_Row]) -> Usage:
    """Return what `rows` add up to, nothing twice. Pure."""
    added = {key: usage for row in rows for key, usage in row.added.items()}
    total = Usage()
    for row in rows:
        total = total.plus(row.usage.minus(added.get(row.key, Usage())))
    return total


def _month(key: str) -> str:
    """Return the month that the key of a row names, nothing where it names none."""
    return key.split(":")[-2] if key.count(":") > 1 else ""
