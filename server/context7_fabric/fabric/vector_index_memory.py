"""Vector index in memory of the contexts in any backend, kept in step with the backend.

Other processes write to the backend too. Their writes are found in the order of time, their
removals by the number of entries: if it differs, the keys of all entries are compared.
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


log = logging.getLogger(__name__)

FORMAT = 1


class StoredVector(NamedTuple):
    """A vector, and the version and time of the context that it was made from."""

    version: int
    at: float
    vector: Vector


class StoredVectors:
    """The vectors of one model and scope in a backend, whose errors are passed on."""

    def __init__(self, backend: Backend, scope: Scope, model: str, size: int) -> None:
        """Keep vectors of `size` numbers in `backend`."""
        self._backend = backend
        self._start = f"vector/{model}/{scope}/"
        self._size = size

    async def get_many(self, keys: Sequence[str]) -> dict[str, StoredVector]:
        """Return the readable vectors of the contexts `keys`."""
        entries = await self._backend.get_many([self._start + key for key in keys])
        found = {entry.key: _decoded(entry.value, self._size) for entry in entries}
        return {key.removeprefix(self._start): each for key, each in found.items() if each}

    async def put(self, embedded: Sequence[EmbeddedContext]) -> None:
        """Store the vectors of contexts, with their ends."""
        await self._backend.write([self._request(each) for each in embedded])

    async def keys(self) -> set[str]:
        """Return the keys of the contexts whose vectors are stored."""
        return {key.removeprefix(self._start) for key in await self._backend.keys(self._start)}

    async def remove(self, keys: Collection[str]) -> None:
        """Remove the vectors of the contexts `keys`."""
        if keys:
            await self._backend.write([], [self._start + key for key in keys])

    def _request(self, embedded: EmbeddedContext) -> WriteRequest:
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
    """Return the vector in `data`, None if that is foreign or has not `size` numbers."""
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
    """Vectors in memory, in one collection per scope: filtering by payload takes longer.

    Vectors have length one, so their dot product is the cosine, which takes Qdrant longer.
    """

    def __init__(self, vector_size: int) -> None:
        """Hold vectors of `vector_size` numbers."""
        self._size = vector_size
        self._client: QdrantClient | None = None
        # The Qdrant inside a process supports one caller at a time.
        self._thread = ThreadPoolExecutor(1, "qdrant")
        self._open = True

    async def put(self, scope: Scope, vectors: Mapping[str, StoredVector]) -> None:
        """Add or replace vectors by the keys of their contexts."""
        if vectors:
            await self._run(partial(self._put, scope, vectors))

    async def drop(self, scope: Scope, keys: Collection[str]) -> None:
        """Remove the vectors of `keys`."""
        if keys:
            await self._run(partial(self._drop, scope, keys))

    async def nearest(self, scope: Scope, vector: Vector, limit: int) -> list[VectorHit]:
        """Return the hits nearest to `vector`, the nearest first."""
        return await self._run(partial(self._nearest, scope, vector, limit))

    async def aclose(self) -> None:
        """Drop everything."""
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
        except Exception as error:  # qdrant-client and numpy raise anything
            raise StoreUnavailable("search", str(error) or type(error).__name__) from error

    def _made(self) -> QdrantClient:
        if self._client is None:
            from qdrant_client import QdrantClient, models  # noqa: PLC0415  # takes a second

            # It warns of many vectors, and counts removed ones too.
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


LATENESS = 10.0
"""Most seconds between the time of a write and its visibility to other processes."""

COMPARE_SECONDS = 300.0
"""Seconds after which all positions are compared, to find writes that took even longer."""


@dataclass(slots=True)
class _ScopeState:
    """The known state of a scope: the time of each key, and the state of its vector."""

    compared: float = float("-inf")
    """The monotonic time at which all positions were compared."""

    places: dict[str, float] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    """Versions of the contexts whose vectors are in the index."""

    lacking: dict[str, float] = field(default_factory=dict)
    """Contexts without a vector, and their times."""

    def changed(self, places: Mapping[str, float]) -> dict[str, float]:
        """Update `places`, and return those that are new or rewritten: they lack a vector."""
        changed = {key: at for key, at in places.items() if self.places.get(key) != at}
        self.places |= changed
        self.lacking |= changed
        return changed

    def latest(self) -> tuple[float, list[str]]:
        """Return the latest time, and its keys."""
        top = max(self.places.values(), default=float("-inf"))
        return top, [key for key, at in self.places.items() if at == top]

    def forget(self, keys: Iterable[str]) -> None:
        """Remove all state of `keys`."""
        for key in keys:
            for held in (self.places, self.versions, self.lacking):
                held.pop(key, None)


class MemoryVectorIndex:
    """A `VectorIndex` of the contexts in a backend, which also stores the vectors."""

    def __init__(self, backend: Backend, vector_size: int = VECTOR_SIZE) -> None:
        """Index `backend`, which its owner closes, by vectors of `vector_size` numbers."""
        self._backend = backend
        self._size = vector_size
        self._index = ScopeVectors(vector_size)
        self._scopes: dict[Scope, _ScopeState] = {}

    async def lacking(self, scope: Scope, model: str, limit: int) -> list[ContextWrite]:
        """Read the changes of the backend, and return the newest writes without a vector."""
        seen = self._scopes.setdefault(scope, _ScopeState())
        changed = await self._written(scope, seen)
        due = time.monotonic() >= seen.compared + COMPARE_SECONDS
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
        """Index vectors and store them; a store that refuses them costs time later, no result."""
        seen = self._scopes[scope]
        vectors = {
            each.key: StoredVector(each.version, each.created_at, vector)
            for each, vector in embedded
        }
        await self._put(scope, seen, vectors)
        for write in shown:
            seen.lacking.pop(write.key, None)
        await _logging_failure(self._stored(scope, model).put(embedded))

    async def nearest(
        self,
        scope: Scope,
        model: str,  # noqa: ARG002  # one model
        vector: Vector,
        limit: int,
    ) -> list[VectorHit]:
        """Return the hits nearest to `vector` in `scope`."""
        return await self._index.nearest(scope, vector, limit)

    async def aclose(self) -> None:
        """Drop the index; the owner of the backend closes it."""
        await self._index.aclose()

    async def _written(self, scope: Scope, seen: _ScopeState) -> dict[str, float]:
        """Return the keys written since the last call, and their times."""
        top, keys = seen.latest()
        seen.lacking |= dict.fromkeys(await self._rewritten(scope, seen, keys), top)
        return seen.changed(await self._since(scope, top - LATENESS))

    async def _rewritten(self, scope: Scope, seen: _ScopeState, keys: Sequence[str]) -> list[str]:
        """Return those of `keys` that were rewritten at the same time of the clock."""
        start = address(scope, "")
        entries = await self._backend.get_many([start + key for key in keys])
        versions = {entry.key.removeprefix(start): entry.version for entry in entries}
        return [key for key, now in versions.items() if seen.versions.get(key, now) != now]

    async def _all(self, scope: Scope, model: str, seen: _ScopeState) -> dict[str, float]:
        """Compare all positions, remove those that are gone, and return those that are new."""
        stored = self._stored(scope, model)
        kept = await stored.keys()  # first, so that no vector stored meanwhile counts as gone
        places = await self._since(scope, float("-inf"))
        gone = seen.places.keys() - places.keys()
        seen.forget(gone)
        await self._index.drop(scope, gone)
        await _logging_failure(stored.remove(kept - places.keys()))
        seen.compared = time.monotonic()
        return seen.changed(places)

    async def _since(self, scope: Scope, moment: float) -> dict[str, float]:
        """Return the keys written after `moment`, and some before, with their times."""
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
        """Index the stored vectors of `changed` contexts, page by page."""
        seen, keys = self._scopes[scope], list(changed)
        for start in range(0, len(keys), PAGE):
            page = keys[start : start + PAGE]
            stored = await self._stored(scope, model).get_many(page)
            fitting = {key: each for key, each in stored.items() if each.at == changed[key]}
            await self._put(scope, seen, fitting)

    async def _put(
        self, scope: Scope, seen: _ScopeState, vectors: Mapping[str, StoredVector]
    ) -> None:
        await self._index.put(scope, vectors)
        for key, each in vectors.items():
            seen.lacking.pop(key, None)
            seen.versions[key] = each.version

    def _stored(self, scope: Scope, model: str) -> StoredVectors:
        return StoredVectors(self._backend, scope, model, self._size)


async def _logging_failure(work: Awaitable[None]) -> None:
    """Run `work`, which only saves time later, and log its failure."""
    try:
        await work
    except StoreError as error:
        log.warning("vectors cannot be stored: %s", error)
