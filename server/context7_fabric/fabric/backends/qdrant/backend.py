"""Backend on a Qdrant server, and the vector index of its contexts.

qdrant-client is loaded at the first use, in a thread, because that takes a second or two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from context7_fabric.embedding import VECTOR_SIZE
from context7_fabric.errors import FabricError, StoreClosed, StoreUnavailable
from context7_fabric.fabric.backend import (
    AUTHORED_LIMIT,
    BackendEntry,
    EntryPosition,
    WriteRequest,
    human_size,
)
from context7_fabric.fabric.context import Scope, address
from context7_fabric.fabric.search import ContextWrite, EmbeddedContext, Vector, VectorHit

if TYPE_CHECKING:
    from context7_fabric.fabric.backends.qdrant.collection import QdrantCollection

_THREADS = 8
_REASON_LENGTH = 300
_T = TypeVar("_T")


class QdrantBackend:
    """A collection of a Qdrant server, created when it does not exist.

    Processes may share the server, with less than other backends guarantee: `add`, `swap` and the
    counting of versions are exact among the callers of one process only, because Qdrant has no
    operation that compares and writes. Only age evicts. `items` are ordered by point id, not by
    key. A batch that the server accepts is done as a whole; a server that dies in between does the
    rest after its restart.
    """

    def __init__(
        self,
        url: str,
        collection_name: str = "contexts",
        vector_size: int = VECTOR_SIZE,
        api_key: str | None = None,
        authored_limit: int = AUTHORED_LIMIT,
    ) -> None:
        """Keep entries in `collection_name` at `url`, with vectors of `vector_size` numbers.

        It connects at the first use. `:memory:` as `url` is a Qdrant inside this process.
        """
        self._url = url
        self._name = collection_name
        self._api_key = api_key.strip() if api_key else None
        self._vector_size = vector_size
        self._authored_limit = authored_limit
        self._collection: QdrantCollection | None = None
        self._creating = Lock()
        # Threads of its own: no other work waits for a server that does not answer. The Qdrant
        # inside the process supports one caller at a time.
        self._threads = ThreadPoolExecutor(1 if url == ":memory:" else _THREADS, "qdrant")
        self._open = True

    async def get(self, key: str) -> BackendEntry | None:
        """Return the entry under `key`, or None."""
        return await self.run("get", lambda collection: collection.get(key))

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`; one request."""
        return await self.run("get", lambda collection: collection.get_many(keys))

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        """Store and remove; one request reads the versions, another one writes."""
        await self.run("put", lambda collection: collection.write(puts, deletes))

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` under a free `key`; atomic among the callers of this process only."""
        return await self.run("add", lambda collection: collection.add(key, value, expires_in))

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        """Replace the value `old` by `new`, or remove it if `new` is None; atomic as `add`."""
        put = None if new is None else WriteRequest(key, new, expires_in=expires_in)
        return await self.run("swap", lambda collection: collection.swap(key, old, put))

    async def delete(self, key: str) -> bool:
        """Remove `key`; return whether it existed."""
        return await self.run("delete", lambda collection: collection.delete(key))

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`; reads all keys of its scope."""
        return await self.run("keys", lambda collection: collection.keys(prefix))

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return a page of readable entries whose keys begin with `prefix`, by point id."""
        return await self.run("items", lambda collection: collection.items(prefix, after, limit))

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return a page of positions below `prefix`, the newest first."""
        return await self.run("query", lambda collection: collection.newest(prefix, after, limit))

    def info(self) -> dict[str, object]:
        """Return facts about the collection; `memory` is the size of values and vectors alone."""
        size = self._run_blocking("info", lambda collection: collection.volume())
        return {
            "backend": "qdrant",
            "memory": size,
            "memory_human": human_size(size),
            "collection": self._name,
        }

    def dbsize(self, prefix: str = "") -> int:
        """Return the number of entries whose keys begin with `prefix`."""
        return self._run_blocking("count", lambda collection: collection.count(prefix))

    async def aclose(self) -> None:
        """Close the connection."""
        if self._open:
            self._open = False
            await asyncio.wrap_future(self._threads.submit(self._close))
            self._threads.shutdown(wait=False)

    async def run(self, operation: str, work: Callable[[QdrantCollection], _T]) -> _T:
        """Return the result of `work` on the collection, in a thread.

        Raises:
            StoreClosed, StoreUnavailable, CorruptEntry: As every method.
        """
        self._check_open()
        future = self._threads.submit(self._guarded, operation, work)
        return await asyncio.wrap_future(future)

    def _run_blocking(self, operation: str, work: Callable[[QdrantCollection], _T]) -> _T:
        self._check_open()
        return self._threads.submit(self._guarded, operation, work).result()

    def _guarded(self, operation: str, work: Callable[[QdrantCollection], _T]) -> _T:
        self._check_open()
        try:
            collection = self._opened()
            collection.ensure()
            return work(collection)
        except FabricError:
            raise
        except Exception as error:  # qdrant-client, httpx and pydantic raise anything
            if self._collection:
                self._collection.forget()
            raise StoreUnavailable(operation, self._reason(error)) from error

    def _opened(self) -> QdrantCollection:
        from context7_fabric.fabric.backends.qdrant.collection import QdrantCollection  # noqa: PLC0415  # takes a second

        with self._creating:
            if self._collection is None:
                self._collection = QdrantCollection(
                    self._url, self._api_key, self._name, self._vector_size, self._authored_limit
                )
            return self._collection

    def _close(self) -> None:
        if self._collection:
            self._collection.close()

    def _reason(self, error: Exception) -> str:
        """Return one line about `error`, without the key of the server."""
        line = " ".join(str(error).split()) or type(error).__name__
        if self._api_key:
            for form in (self._api_key, repr(self._api_key)[1:-1]):
                line = line.replace(form, "…")
        return line[:_REASON_LENGTH]

    def _check_open(self) -> None:
        if not self._open:
            raise StoreClosed


class QdrantVectorIndex:
    """A `VectorIndex` of the contexts in a `QdrantBackend`, shared by all its clients."""

    def __init__(self, backend: QdrantBackend) -> None:
        """Index `backend`, which its owner closes."""
        self._backend = backend

    async def lacking(self, scope: Scope, model: str, limit: int) -> list[ContextWrite]:
        """Return the newest writes whose points are not marked as processed by `model`."""
        below = address(scope, "")
        found = await self._backend.run(
            "search", lambda collection: collection.vectors.lacking(below, model, limit)
        )
        return [
            ContextWrite(str(each["key"]).removeprefix(below), str(each["written"]))
            for each in found
        ]

    async def take(
        self,
        scope: Scope,
        model: str,
        shown: Sequence[ContextWrite],
        embedded: Sequence[EmbeddedContext],
    ) -> None:
        """Add vectors to points; a point that was overwritten meanwhile is not marked."""
        writes = {address(scope, write.key): write.token for write in shown}
        vectors = {address(scope, each.context.key): each.vector for each in embedded}
        await self._backend.run(
            "put", lambda collection: collection.vectors.add(writes, vectors, model)
        )

    async def nearest(
        self, scope: Scope, model: str, vector: Vector, limit: int
    ) -> list[VectorHit]:
        """Return the nearest points of `scope`."""
        below = address(scope, "")
        found = await self._backend.run(
            "search", lambda collection: collection.vectors.nearest(below, model, vector, limit)
        )
        return [
            VectorHit(str(each["key"]).removeprefix(below), each["version"], each["at"], cosine)
            for each, cosine in found
        ]

    async def aclose(self) -> None:
        """Do nothing: the owner of the backend closes it."""
