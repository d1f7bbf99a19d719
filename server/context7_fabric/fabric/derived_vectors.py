"""Vectors of the contexts of any backend: an index in memory, kept in step with what is stored.

Other processes write to the backend too. What they wrote is found in the order of time; what they
removed, by the number of entries, which then are all looked at, by their keys alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from operator import itemgetter

from anyio import to_thread

from context7_fabric.errors import StoreError
from context7_fabric.fabric.backends.base import Backend, Place
from context7_fabric.fabric.context import Scope, address
from context7_fabric.fabric.embedding import VECTOR_SIZE, Vector
from context7_fabric.fabric.memory_index import MemoryIndex
from context7_fabric.fabric.reading import FIRST_PAGE, PAGE
from context7_fabric.fabric.stored_vectors import Stored, StoredVectors
from context7_fabric.fabric.vectors import Embedded, Hit, Write

log = logging.getLogger(__name__)

LATENESS = 10.0
"""Seconds that a write may take from when it got its time until others can read it."""

LOOK_SECONDS = 300.0
"""After this time all places are looked at in any case: for what was written later than that."""


@dataclass(slots=True)
class _Seen:
    """What is known of one scope: the time of each key, and how far its vector has come."""

    looked: float = float("-inf")
    """When every place was looked at, by the monotonic clock."""

    places: dict[str, float] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    """Of those whose vectors are in the index."""

    lacking: dict[str, float] = field(default_factory=dict)
    """Those without a vector, and their times."""

    def changed(self, places: Mapping[str, float]) -> dict[str, float]:
        """Note `places`, and return those that are new or of another time: they lack a vector."""
        changed = {key: at for key, at in places.items() if self.places.get(key) != at}
        self.places |= changed
        self.lacking |= changed
        return changed

    def latest(self) -> tuple[float, list[str]]:
        """Return the latest time, and the keys of it."""
        top = max(self.places.values(), default=float("-inf"))
        return top, [key for key, at in self.places.items() if at == top]

    def forget(self, keys: Iterable[str]) -> None:
        """Drop `keys` everywhere."""
        for key in keys:
            for held in (self.places, self.versions, self.lacking):
                held.pop(key, None)


class DerivedVectors:
    """A `VectorIndex` of the contexts in a backend, which also keeps the vectors."""

    def __init__(self, backend: Backend, vector_size: int = VECTOR_SIZE) -> None:
        """Index `backend`, which is not closed here, by vectors of `vector_size` numbers."""
        self._backend = backend
        self._size = vector_size
        self._index = MemoryIndex(vector_size)
        self._scopes: dict[Scope, _Seen] = {}

    async def lacking(self, scope: Scope, model: str, limit: int) -> list[Write]:
        """Catch up with the backend, and return the newest writes without a vector."""
        seen = self._scopes.setdefault(scope, _Seen())
        changed = await self._written(scope, seen)
        due = time.monotonic() >= seen.looked + LOOK_SECONDS
        if due or await self._count(scope) != len(seen.places):
            changed |= await self._all(scope, model, seen)
        await self._take_stored(scope, model, changed)
        newest = nlargest(limit, seen.lacking.items(), key=itemgetter(1))
        return [Write(key, repr(at)) for key, at in newest]

    async def take(
        self, scope: Scope, model: str, shown: Sequence[Write], embedded: Sequence[Embedded]
    ) -> None:
        """Index vectors and keep them; a store that refuses them costs time later, no result."""
        seen = self._scopes[scope]
        vectors = {
            each.key: Stored(each.version, each.created_at, vector) for each, vector in embedded
        }
        await self._put(scope, seen, vectors)
        for write in shown:
            seen.lacking.pop(write.key, None)
        await _unless_refused(self._stored(scope, model).keep(embedded))

    async def nearest(self, scope: Scope, model: str, vector: Vector, limit: int) -> list[Hit]:  # noqa: ARG002  # one model
        """Return the nearest of `scope`."""
        return await self._index.nearest(scope, vector, limit)

    async def aclose(self) -> None:
        """Forget the index; the backend is closed by its owner."""
        await self._index.aclose()

    async def _written(self, scope: Scope, seen: _Seen) -> dict[str, float]:
        """Return what was written since the last time: keys, and their times."""
        top, keys = seen.latest()
        seen.lacking |= dict.fromkeys(await self._rewritten(scope, seen, keys), top)
        return seen.changed(await self._since(scope, top - LATENESS))

    async def _rewritten(self, scope: Scope, seen: _Seen, keys: Sequence[str]) -> list[str]:
        """Return those of `keys` that were written again within the same moment of the clock."""
        start = address(scope, "")
        entries = await self._backend.get_many([start + key for key in keys])
        versions = {entry.key.removeprefix(start): entry.version for entry in entries}
        return [key for key, now in versions.items() if seen.versions.get(key, now) != now]

    async def _all(self, scope: Scope, model: str, seen: _Seen) -> dict[str, float]:
        """Look at every place, forget what is gone, and return what is new."""
        stored = self._stored(scope, model)
        kept = await stored.keys()  # first: what is put meanwhile has its vector later than that
        places = await self._since(scope, float("-inf"))
        gone = seen.places.keys() - places.keys()
        seen.forget(gone)
        await self._index.drop(scope, gone)
        await _unless_refused(stored.remove(kept - places.keys()))
        seen.looked = time.monotonic()
        return seen.changed(places)

    async def _since(self, scope: Scope, moment: float) -> dict[str, float]:
        """Return the keys that were written after `moment`, and some before, with their times."""
        found: list[Place] = []
        start, size = address(scope, ""), FIRST_PAGE
        while True:
            page = await self._backend.newest(start, found[-1] if found else None, size)
            found += page
            if len(page) < size or page[-1].at < moment:
                return {place.key.removeprefix(start): place.at for place in found}
            size = min(PAGE, 2 * size)

    async def _count(self, scope: Scope) -> int:
        return await to_thread.run_sync(self._backend.dbsize, address(scope, ""))

    async def _take_stored(self, scope: Scope, model: str, changed: Mapping[str, float]) -> None:
        """Index what is kept of `changed`, page by page."""
        seen, keys = self._scopes[scope], list(changed)
        for start in range(0, len(keys), PAGE):
            page = keys[start : start + PAGE]
            stored = await self._stored(scope, model).of(page)
            fitting = {key: each for key, each in stored.items() if each.at == changed[key]}
            await self._put(scope, seen, fitting)

    async def _put(self, scope: Scope, seen: _Seen, vectors: Mapping[str, Stored]) -> None:
        await self._index.put(scope, vectors)
        for key, each in vectors.items():
            seen.lacking.pop(key, None)
            seen.versions[key] = each.version

    def _stored(self, scope: Scope, model: str) -> StoredVectors:
        return StoredVectors(self._backend, scope, model, self._size)


async def _unless_refused(work: Awaitable[None]) -> None:
    """Do what only saves time later; a store that refuses it costs no result."""
    try:
        await work
    except StoreError as error:
        log.warning("vectors cannot be kept in step: %s", error)
