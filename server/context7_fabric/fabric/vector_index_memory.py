"""Vectors of the contexts of any backend: an index in memory, kept in step with what is stored.

Other processes write to the backend too. What they wrote is found in the order of time; what they
removed, by the number of entries, which then are all looked at, by their keys alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import warnings
from array import array
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from heapq import nlargest
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast
from uuid import UUID, uuid5

from anyio import to_thread

from context7_fabric.embedding import VECTOR_SIZE
from context7_fabric.errors import StoreClosed, StoreError, StoreUnavailable
from context7_fabric.fabric.backend import Backend, EntryPosition, WriteRequest
from context7_fabric.fabric.context import Scope, address
from context7_fabric.fabric.reader import FIRST_PAGE, PAGE
from context7_fabric.fabric.search import ContextWrite, EmbeddedContext, Vector, VectorHit

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import ExtendedPointId


FORMAT = 1


class StoredVector(NamedTuple):
    """A vector, and which write of its context it was made from."""

    version: int
    at: float
    vector: Vector


class StoredVectors:
    """The vectors of one model for one scope; every method raises what the backend raises."""

    def __init__(self, backend: Backend, scope: Scope, model: str, size: int) -> None:
        """Keep vectors of `size` numbers in `backend`."""
        self._backend = backend
        self._start = f"vector/{model}/{scope}/"
        self._size = size

    async def of(self, keys: Sequence[str]) -> dict[str, StoredVector]:
        """Return what is kept for the contexts `keys`, as far as it can be read."""
        entries = await self._backend.get_many([self._start + key for key in keys])
        found = {entry.key: _decoded(entry.value, self._size) for entry in entries}
        return {key.removeprefix(self._start): each for key, each in found.items() if each}

    async def keep(self, embedded: Sequence[EmbeddedContext]) -> None:
        """Keep the vectors of contexts, for as long as these live."""
        await self._backend.write([self._put(each) for each in embedded])

    async def keys(self) -> set[str]:
        """Return the contexts whose vectors are kept."""
        return {key.removeprefix(self._start) for key in await self._backend.keys(self._start)}

    async def remove(self, keys: Collection[str]) -> None:
        """Remove the vectors of the contexts `keys`."""
        if keys:
            await self._backend.write([], [self._start + key for key in keys])

    def _put(self, embedded: EmbeddedContext) -> WriteRequest:
        context, vector = embedded
        value = _encoded(StoredVector(context.version, context.created_at, vector))
        until = context.expires_at
        left = None if until is None else until - context.created_at
        return WriteRequest(self._start + context.key, value, context.created_at, left)


def _encoded(stored: StoredVector) -> bytes:
    numbers = b64encode(array("f", stored.vector).tobytes()).decode()
    record = {"format": FORMAT, "version": stored.version, "at": stored.at, "vector": numbers}
    return json.dumps(record).encode()


def _decoded(data: bytes, size: int) -> StoredVector | None:
    """Return the vector in `data`, None when it is none of ours with `size` numbers."""
    try:
        record: Mapping[str, object] = json.loads(data)
        if record["format"] != FORMAT:
            return None
        vector = array("f", b64decode(str(record["vector"]), validate=True)).tolist()
        stored = StoredVector(int(str(record["version"])), float(str(record["at"])), vector)
    except (KeyError, TypeError, ValueError):
        return None
    return stored if len(vector) == size else None


_NAMESPACE = UUID("8f3f6d8e-51ce-4f0c-9a3e-0c6a4d1d7b92")
_T = TypeVar("_T")


class ScopeVectors:
    """A collection a scope: filtering one by payload would take longer than finding in it.

    Vectors are of length one, so that the dot product is the cosine, which Qdrant would compute
    anew, lengths and all, for every search.
    """

    def __init__(self, vector_size: int) -> None:
        """Hold vectors of `vector_size` numbers."""
        self._size = vector_size
        self._client: QdrantClient | None = None
        # The Qdrant inside a process bears one caller at a time.
        self._thread = ThreadPoolExecutor(1, "qdrant")
        self._open = True

    async def put(self, scope: Scope, vectors: Mapping[str, StoredVector]) -> None:
        """Take vectors in by the keys of their contexts, in place of what was there."""
        if vectors:
            await self._run(partial(self._put, scope, vectors))

    async def drop(self, scope: Scope, keys: Collection[str]) -> None:
        """Forget the vectors of `keys`, as far as they are there."""
        if keys:
            await self._run(partial(self._drop, scope, keys))

    async def nearest(self, scope: Scope, vector: Vector, limit: int) -> list[VectorHit]:
        """Return what is nearest to `vector`, the nearest first."""
        return await self._run(partial(self._nearest, scope, vector, limit))

    async def aclose(self) -> None:
        """Forget everything."""
        if self._open:
            self._open = False
            await asyncio.wrap_future(self._thread.submit(self._close))
            self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[QdrantClient], _T]) -> _T:
        if not self._open:
            raise StoreClosed
        return await asyncio.wrap_future(self._thread.submit(self._guarded, work))

    def _guarded(self, work: Callable[[QdrantClient], _T]) -> _T:
        try:
            return work(self._made())
        except Exception as error:  # whatever qdrant-client and numpy raise
            raise StoreUnavailable("search", str(error) or type(error).__name__) from error

    def _made(self) -> QdrantClient:
        if self._client is None:
            from qdrant_client import QdrantClient, models  # noqa: PLC0415  # takes a second

            # It says so of many vectors, and counts those that were dropped as well.
            warnings.filterwarnings("ignore", message="Local mode is not recommended")
            self._client = QdrantClient(":memory:")
            params = models.VectorParams(size=self._size, distance=models.Distance.DOT)
            for scope in Scope:
                self._client.create_collection(scope, vectors_config=params)
        return self._client

    def _put(self, scope: Scope, vectors: Mapping[str, StoredVector], client: QdrantClient) -> None:
        from qdrant_client import models  # noqa: PLC0415  # loaded by now

        points = [
            models.PointStruct(
                id=_id(key),
                payload={"key": key, "version": each.version, "at": each.at},
                vector=each.vector,
            )
            for key, each in vectors.items()
        ]
        client.upsert(scope, points)

    def _drop(self, scope: Scope, keys: Collection[str], client: QdrantClient) -> None:
        client.delete(scope, cast("list[ExtendedPointId]", [_id(key) for key in keys]))

    def _nearest(
        self, scope: Scope, vector: Vector, limit: int, client: QdrantClient
    ) -> list[VectorHit]:
        found = client.query_points(scope, query=vector, limit=limit)
        return [VectorHit(**(point.payload or {}), cosine=point.score) for point in found.points]

    def _close(self) -> None:
        if self._client:
            self._client.close()


def _id(key: str) -> str:
    return str(uuid5(_NAMESPACE, key))


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


class MemoryVectorIndex:
    """A `VectorIndex` of the contexts in a backend, which also keeps the vectors."""

    def __init__(self, backend: Backend, vector_size: int = VECTOR_SIZE) -> None:
        """Index `backend`, which is not closed here, by vectors of `vector_size` numbers."""
        self._backend = backend
        self._size = vector_size
        self._index = ScopeVectors(vector_size)
        self._scopes: dict[Scope, _Seen] = {}

    async def lacking(self, scope: Scope, model: str, limit: int) -> list[ContextWrite]:
        """Catch up with the backend, and return the newest writes without a vector."""
        seen = self._scopes.setdefault(scope, _Seen())
        changed = await self._written(scope, seen)
        due = time.monotonic() >= seen.looked + LOOK_SECONDS
        if due or await self._count(scope) != len(seen.places):
            changed |= await self._all(scope, model, seen)
        await self._take_stored(scope, model, changed)
        newest = nlargest(limit, seen.lacking.items(), key=itemgetter(1))
        return [ContextWrite(key, repr(at)) for key, at in newest]

    async def take(
        self,
        scope: Scope,
        model: str,
        shown: Sequence[ContextWrite],
        embedded: Sequence[EmbeddedContext],
    ) -> None:
        """Index vectors and keep them; a store that refuses them costs time later, no result."""
        seen = self._scopes[scope]
        vectors = {
            each.key: StoredVector(each.version, each.created_at, vector)
            for each, vector in embedded
        }
        await self._put(scope, seen, vectors)
        for write in shown:
            seen.lacking.pop(write.key, None)
        await _unless_refused(self._stored(scope, model).keep(embedded))

    async def nearest(
        self,
        scope: Scope,
        model: str,  # noqa: ARG002  # one model
        vector: Vector,
        limit: int,
    ) -> list[VectorHit]:
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
        found: list[EntryPosition] = []
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

    async def _put(self, scope: Scope, seen: _Seen, vectors: Mapping[str, StoredVector]) -> None:
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
