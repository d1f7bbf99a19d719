"""Fabrics on each medium, and `open_fabric`, which opens one by a name or URL."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from context7_fabric.embedding import MODEL, VECTOR_SIZE, AsyncEmbedder
from context7_fabric.fabric.backends.circuit_breaker import CircuitBreakerBackend
from context7_fabric.fabric.backends.disk.backend import SIZE_LIMIT, DiskBackend
from context7_fabric.fabric.backends.memory import MAX_BYTES, MemoryBackend
from context7_fabric.fabric.backends.qdrant.backend import QdrantBackend, QdrantVectorIndex
from context7_fabric.fabric.backends.redis.backend import NAMESPACE, RedisBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.search import VectorSearch
from context7_fabric.fabric.vector_index_memory import MemoryVectorIndex
from context7_fabric.models import VALUE_LIMIT, Clock

REDIS_URL = "redis://localhost:6379"
QDRANT_URL = "http://localhost:6333"


class InMemoryFabric(Fabric):
    """Contexts in the memory of this process."""

    def __init__(
        self,
        *,
        max_bytes: int = MAX_BYTES,
        value_limit: int = VALUE_LIMIT,
        clock: Clock = time.time,
    ) -> None:
        """Hold at most `max_bytes` of disposable contexts, each of `value_limit` bytes at most."""
        super().__init__(MemoryBackend(max_bytes), clock, value_limit=value_limit)


class DiskFabric(Fabric):
    """Contexts in a folder, which processes may share."""

    def __init__(
        self,
        path: str | Path,
        *,
        size_limit: int = SIZE_LIMIT,
        value_limit: int = VALUE_LIMIT,
        clock: Clock = time.time,
    ) -> None:
        """Open or make the folder `path`, which takes about `size_limit` bytes at most.

        Raises:
            StoreUnavailable: The folder cannot be used.
        """
        super().__init__(DiskBackend(Path(path), size_limit), clock, value_limit=value_limit)


class RedisFabric(Fabric):
    """Contexts on a Redis server or cluster, which machines may share."""

    def __init__(  # noqa: PLR0913  # the parameters that users of redis-py know
        self,
        redis_url: str = REDIS_URL,
        *,
        db: int | None = None,
        password: str | None = None,
        ssl: bool = False,
        decode_responses: bool = True,  # noqa: ARG002  # contexts are decoded in any case
        namespace: str = NAMESPACE,
        value_limit: int = VALUE_LIMIT,
        clock: Clock = time.time,
    ) -> None:
        """Use the server at `redis_url`, and connect at the first call.

        `db`, `password` and `ssl` override the URL. Fabrics with different `namespace` on one
        server are separate. `decode_responses`, a parameter of redis-py, changes nothing: values
        are returned as they were stored.

        Raises:
            ValueError: The URL is not that of a Redis server.
        """
        redis = RedisBackend(redis_url, db=db, password=password, ssl=ssl, namespace=namespace)
        super().__init__(CircuitBreakerBackend(redis), clock, value_limit=value_limit)


class VectorFabric(Fabric):
    """Contexts with search by vectors, on a Qdrant server or in a folder."""

    def __init__(  # noqa: PLR0913  # the parameters that users of Qdrant know
        self,
        qdrant_url: str | None = None,
        *,
        path: str | Path | None = None,
        collection_name: str = "contexts",
        embedding_model: str | Path = MODEL,
        vector_size: int = VECTOR_SIZE,
        api_key: str | None = None,
        value_limit: int = VALUE_LIMIT,
        clock: Clock = time.time,
    ) -> None:
        """Use the server at `qdrant_url` with its `collection_name`, or the folder `path`.

        In a folder the contexts are stored as by `DiskFabric`, and the index is in memory. The
        default is a server on this machine. `embedding_model` is a name that fastembed knows, or a
        folder with the files of a model; `vector_size` is its dimension.

        Raises:
            ValueError: Both a server and a folder are given.
            StoreUnavailable: The folder cannot be used.
        """
        if path is not None and qdrant_url is not None:
            raise ValueError("a VectorFabric takes a qdrant_url or a path, not both")
        embedder = AsyncEmbedder(embedding_model, vector_size)
        if path is not None:
            disk = DiskBackend(Path(path))
            search = VectorSearch(MemoryVectorIndex(disk, vector_size), embedder)
            super().__init__(disk, clock, value_limit=value_limit, searcher=search)
            return
        server = QdrantBackend(qdrant_url or QDRANT_URL, collection_name, vector_size, api_key)
        search = VectorSearch(QdrantVectorIndex(server), embedder)
        super().__init__(server, clock, value_limit=value_limit, searcher=search)


KINDS: Final[dict[str, Callable[..., Fabric]]] = {
    "memory": InMemoryFabric,
    "disk": DiskFabric,
    "redis": RedisFabric,
    "vector": VectorFabric,
}
"""The classes of fabrics by the names of their media."""

_SCHEMES: Final[dict[str, Callable[..., Fabric]]] = {
    "redis": RedisFabric,
    "rediss": RedisFabric,
    "redis+sentinel": RedisFabric,
    "rediss+sentinel": RedisFabric,
    "unix": RedisFabric,
    "http": VectorFabric,
    "https": VectorFabric,
}


def open_fabric(cache_backend: str = "memory", **options: Any) -> Fabric:  # noqa: ANN401  # each kind's own
    """Return a fabric by name (`memory`, `disk`, `redis`, `vector`) or URL, with its `options`.

    `redis://…`, `rediss://…`, `redis+sentinel://…` and `unix://…` are Redis, `http://…` and
    `https://…` a Qdrant server, `disk:FOLDER` is a folder.

    Raises:
        ValueError: There is no fabric of that name.
        TypeError: The fabric has no such option, or lacks one (`disk` its `path`).
    """
    if cache_backend in KINDS:
        return KINDS[cache_backend](**options)
    scheme, found, rest = cache_backend.partition(":")
    if scheme == "disk" and rest:
        return DiskFabric(rest.removeprefix("//"), **options)
    if found and scheme.lower() in _SCHEMES:
        return _SCHEMES[scheme.lower()](cache_backend, **options)
    raise ValueError(
        f"a fabric is one of {', '.join(KINDS)}, disk:FOLDER, or a URL of a Redis or Qdrant server"
    )
