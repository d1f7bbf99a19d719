"""Backend in the memory of this process."""

from __future__ import annotations

import time
from bisect import bisect, bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from operator import methodcaller

from context7_fabric.errors import StoreClosed, TooManyAuthored, TooMuchAuthored
from context7_fabric.fabric.backend import (
    AUTHORED_LIMIT,
    BackendEntry,
    EntryPosition,
    WriteRequest,
    authored_room,
    human_size,
)

MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class _Held:
    """An entry, its time, and its end by the monotonic clock."""

    entry: BackendEntry
    at: float
    until: float | None
    disposable: bool


class MemoryBackend:
    """Entries in a dict in the order of time; the oldest disposable ones are evicted."""

    def __init__(self, max_bytes: int = MAX_BYTES, authored_limit: int = AUTHORED_LIMIT) -> None:
        """Hold at most `max_bytes` of disposable values, or a single larger one."""
        self._held: dict[str, _Held] = {}
        self._last = EntryPosition(float("-inf"), "")
        self._sorted = True
        self._keys: list[str] | None = None
        self._bytes = 0
        self._authored = self._authored_bytes = 0
        self._max_bytes = max_bytes
        self._authored_limit = authored_limit
        self._open = True

    async def get(self, key: str) -> BackendEntry | None:
        """Return the entry under `key`, or None."""
        self._check()
        held = self._alive(key)
        return held.entry if held else None

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the entries under `keys`."""
        found = [await self.get(key) for key in keys]
        return [entry for entry in found if entry]

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        """Store and remove, without a pause for other tasks."""
        self._check()
        self._check_authored(puts)
        for put in puts:
            self._put(put)
        for key in deletes:
            self._remove(key)
        self._make_room()

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` under a free `key` for `expires_in` seconds."""
        self._check()
        if self._alive(key):
            return False
        await self.write([WriteRequest(key, value, expires_in=expires_in)])
        return True

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        """Replace the value `old` by `new`, or remove it if `new` is None."""
        self._check()
        held = self._alive(key)
        if held is None or held.entry.value != old:
            return False
        if new is None:
            return self._remove(key)
        await self.write([WriteRequest(key, new, expires_in=expires_in)])
        return True

    async def delete(self, key: str) -> bool:
        """Remove `key`; return whether it existed."""
        self._check()
        return self._alive(key) is not None and self._remove(key)

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`."""
        self._check()
        return [key for key in tuple(self._held) if key.startswith(prefix) and self._alive(key)]

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return a page of entries whose keys begin with `prefix`, from behind the key `after`."""
        self._check()
        if self._keys is None:
            self._keys = sorted(self._held)
        start = bisect_left(self._keys, prefix) if after is None else bisect(self._keys, after)
        keys = takewhile(methodcaller("startswith", prefix), islice(self._keys, start, None))
        page = list(islice(keys, limit))
        entries = [held.entry for key in page if (held := self._alive(key))]
        return entries, page[-1] if len(page) == limit else None

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return a page of positions below `prefix`, the newest first."""
        self._check()
        return list(islice(self._places(prefix, after), limit))

    def info(self) -> dict[str, object]:
        """Return the size of the values."""
        self._check()
        return {"backend": "memory", "memory": self._bytes, "memory_human": human_size(self._bytes)}

    def dbsize(self, prefix: str = "") -> int:
        """Return the number of entries whose keys begin with `prefix`."""
        self._check()
        return sum(key.startswith(prefix) and bool(self._alive(key)) for key in tuple(self._held))

    def puts(self) -> list[WriteRequest]:
        """Return requests that store all entries elsewhere."""
        now = time.monotonic()
        return [
            WriteRequest(
                key,
                held.entry.value,
                held.at,
                None if held.until is None else held.until - now,
                held.disposable,
            )
            for key, held in self._held.items()
        ]

    async def aclose(self) -> None:
        """Drop everything."""
        self._open = False
        self._held.clear()

    def _put(self, put: WriteRequest) -> None:
        known = self._alive(put.key)
        if not known:
            self._keys = None
        self._remove(put.key)
        until = None if put.expires_in is None else time.monotonic() + put.expires_in
        entry = BackendEntry(put.key, put.value, known.entry.version + 1 if known else 1)
        self._held[put.key] = _Held(entry, put.at, until, put.disposable)
        self._bytes += len(put.value)
        self._authored += not put.disposable
        self._authored_bytes += 0 if put.disposable else len(put.value)
        place = EntryPosition(put.at, put.key)
        self._sorted, self._last = self._sorted and place > self._last, place

    def _places(self, prefix: str, after: EntryPosition | None) -> Iterator[EntryPosition]:
        if not self._sorted:
            ordered = sorted(self._held.items(), key=lambda item: (item[1].at, item[0]))
            self._held, self._sorted = dict(ordered), True
            self._last = EntryPosition(ordered[-1][1].at, ordered[-1][0]) if ordered else self._last
        for key in reversed(tuple(self._held)):
            place = EntryPosition(self._held[key].at, key)
            if key.startswith(prefix) and (after is None or place < after) and self._alive(key):
                yield place

    def _check(self) -> None:
        if not self._open:
            raise StoreClosed

    def _check_authored(self, puts: Sequence[WriteRequest]) -> None:
        wanted = {put.key: len(put.value) for put in puts if not put.disposable}
        if not wanted:
            return
        there = [held for key in wanted if (held := self._alive(key)) and not held.disposable]
        if self._authored + len(wanted) - len(there) > self._authored_limit:
            raise TooManyAuthored(self._authored_limit)
        replaced = sum(len(held.entry.value) for held in there)
        size = self._authored_bytes + sum(wanted.values()) - replaced
        if size > authored_room(self._max_bytes):
            raise TooMuchAuthored(size, authored_room(self._max_bytes))

    def _make_room(self) -> None:
        if self._bytes <= self._max_bytes:
            return
        doomed = [key for key, held in self._held.items() if held.disposable]
        for key in doomed[:-1]:
            self._remove(key)
            if self._bytes <= self._max_bytes:
                return

    def _alive(self, key: str) -> _Held | None:
        held = self._held.get(key)
        if held and held.until is not None and time.monotonic() >= held.until:
            self._remove(key)
            return None
        return held

    def _remove(self, key: str) -> bool:
        held = self._held.pop(key, None)
        if held is None:
            return False
        self._bytes -= len(held.entry.value)
        self._authored -= not held.disposable
        self._authored_bytes -= 0 if held.disposable else len(held.entry.value)
        return True
