"""A backend on a Qdrant server: an entry is a point, which may have a vector to be found by.

qdrant-client is loaded at the first use, in a thread: that takes a second or two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from context7_fabric.errors import FabricError, StoreClosed, StoreUnavailable
from context7_fabric.fabric.backend import (
    AUTHORED_LIMIT,
    BackendEntry,
    EntryPosition,
    WriteRequest,
    human,
)

if TYPE_CHECKING:
    from context7_fabric.fabric.backends.qdrant.collection import QdrantCollection

VECTOR_SIZE = 384
_THREADS = 8
_REASON_LENGTH = 300
_T = TypeVar("_T")


class QdrantBackend:
    """A collection of a Qdrant server behind the fabric's seam, made when it is not there.

    Several processes may share the server, with less than other backends promise: `add`, `swap` and
    the counting of versions are exact among the callers of one process only, for Qdrant has no
    operation that looks and writes at once. It makes no room either: nothing but age evicts.
    `items` come in an order of their own, not by key. Of a batch that the server takes, all is
    done; a server that dies half way does the rest when it is back.
    """

    def __init__(
        self,
        url: str,
        collection_name: str = "contexts",
        vector_size: int = VECTOR_SIZE,
        api_key: str | None = None,
        authored_limit: int = AUTHORED_LIMIT,
    ) -> None:
        """Keep entries in `collection_name` at `url`, beside vectors of `vector_size` numbers.

        Nothing happens before the first use. `:memory:` as `url` is a Qdrant inside this process.
        """
        self._url = url
        self._name = collection_name
        self._api_key = api_key.strip() if api_key else None
        self._make = partial(_collection, url, self._api_key, collection_name, vector_size)
        self._authored_limit = authored_limit
        self._collection: QdrantCollection | None = None
        self._making = Lock()
        # Its own threads: no other work waits behind a server that does not answer. The Qdrant
        # inside the process bears one caller at a time.
        self._threads = ThreadPoolExecutor(1 if url == ":memory:" else _THREADS, "qdrant")
        self._open = True

    async def get(self, key: str) -> BackendEntry | None:
        """Return the entry under `key`, or None."""
        return await self.ask("get", lambda collection: collection.get(key))

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`; one request."""
        return await self.ask("get", lambda collection: collection.get_many(keys))

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        """Store and remove; one request that reads the versions, and one that writes."""
        await self.ask("put", lambda collection: collection.write(puts, deletes))

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` where nothing is; atomic among the callers of this process only."""
        return await self.ask("add", lambda collection: collection.add(key, value, expires_in))

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        """Store `new` only where `old` is, or if it is None remove that; atomic as `add`."""
        put = None if new is None else WriteRequest(key, new, expires_in=expires_in)
        return await self.ask("swap", lambda collection: collection.swap(key, old, put))

    async def delete(self, key: str) -> bool:
        """Remove `key`; tell whether it was there."""
        return await self.ask("delete", lambda collection: collection.delete(key))

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`; reads all keys of its scope."""
        return await self.ask("keys", lambda collection: collection.keys(prefix))

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return the next readable entries whose keys begin with `prefix`, in an order of ids."""
        return await self.ask("items", lambda collection: collection.items(prefix, after, limit))

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return the next places below `prefix`, the newest first."""
        return await self.ask("query", lambda collection: collection.newest(prefix, after, limit))

    def info(self) -> dict[str, object]:
        """Tell of the collection; `memory` is the size of its values and vectors alone."""
        size = self._asked("info", lambda collection: collection.volume())
        return {
            "backend": "qdrant",
            "memory": size,
            "memory_human": human(size),
            "collection": self._name,
        }

    def dbsize(self, prefix: str = "") -> int:
        """Return how many entries have keys that begin with `prefix`."""
        return self._asked("count", lambda collection: collection.count(prefix))

    async def aclose(self) -> None:
        """Close the connection."""
        if self._open:
            self._open = False
            await asyncio.wrap_future(self._threads.submit(self._close))
            self._threads.shutdown(wait=False)

    async def ask(self, operation: str, work: Callable[[QdrantCollection], _T]) -> _T:
        """Return what `work` makes of the collection, in a thread.

        Raises:
            StoreClosed, StoreUnavailable, CorruptEntry: As every method.
        """
        self._check()
        work_there = partial(self._guarded, operation, work)
        return await asyncio.wrap_future(self._threads.submit(work_there))

    def _asked(self, operation: str, work: Callable[[QdrantCollection], _T]) -> _T:
        self._check()
        return self._threads.submit(self._guarded, operation, work).result()

    def _guarded(self, operation: str, work: Callable[[QdrantCollection], _T]) -> _T:
        self._check()
        try:
            collection = self._made()
            collection.ensure()
            return work(collection)
        except FabricError:
            raise
        except Exception as error:  # whatever qdrant-client, httpx and pydantic raise
            if self._collection:
                self._collection.doubt()
            raise StoreUnavailable(operation, self._reason(error)) from error

    def _made(self) -> QdrantCollection:
        with self._making:
            if self._collection is None:
                self._collection = self._make(self._authored_limit)
            return self._collection

    def _close(self) -> None:
        if self._collection:
            self._collection.close()

    def _reason(self, error: Exception) -> str:
        """Return one line that says what is wrong, and never the key to the server."""
        line = " ".join(str(error).split()) or type(error).__name__
        if self._api_key:
            for said in (self._api_key, repr(self._api_key)[1:-1]):
                line = line.replace(said, "…")
        return line[:_REASON_LENGTH]

    def _check(self) -> None:
        if not self._open:
            raise StoreClosed


def _collection(
    url: str, api_key: str | None, name: str, size: int, limit: int
) -> QdrantCollection:
    from context7_fabric.fabric.backends.qdrant.collection import (  # noqa: PLC0415  # takes a second
        QdrantCollection,
    )

    return QdrantCollection(url, api_key, name, size, limit)
