"""Qdrant inside this process as an index that keeps nothing; what blocks runs in its own thread."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast
from uuid import UUID, uuid5

from context7_fabric.errors import StoreClosed, StoreUnavailable
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.embedding import Vector
from context7_fabric.fabric.stored_vectors import Stored
from context7_fabric.fabric.vectors import Hit

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import ExtendedPointId

_NAMESPACE = UUID("8f3f6d8e-51ce-4f0c-9a3e-0c6a4d1d7b92")
_T = TypeVar("_T")


class MemoryIndex:
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

    async def put(self, scope: Scope, vectors: Mapping[str, Stored]) -> None:
        """Take vectors in by the keys of their contexts, in place of what was there."""
        if vectors:
            await self._run(partial(self._put, scope, vectors))

    async def drop(self, scope: Scope, keys: Collection[str]) -> None:
        """Forget the vectors of `keys`, as far as they are there."""
        if keys:
            await self._run(partial(self._drop, scope, keys))

    async def nearest(self, scope: Scope, vector: Vector, limit: int) -> list[Hit]:
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

    def _put(self, scope: Scope, vectors: Mapping[str, Stored], client: QdrantClient) -> None:
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

    def _nearest(self, scope: Scope, vector: Vector, limit: int, client: QdrantClient) -> list[Hit]:
        found = client.query_points(scope, query=vector, limit=limit)
        return [Hit(**(point.payload or {}), cosine=point.score) for point in found.points]

    def _close(self) -> None:
        if self._client:
            self._client.close()


def _id(key: str) -> str:
    return str(uuid5(_NAMESPACE, key))
