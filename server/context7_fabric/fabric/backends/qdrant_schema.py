"""The collection itself: connected to, made where it is not there, refused where it is another's.

Every function here blocks.
"""

from __future__ import annotations

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backends.qdrant_vectors import VECTOR

MEMORY = ":memory:"
"""In place of a URL: a Qdrant inside this process, which keeps nothing."""

SERVER_SECONDS = 10

_CONFLICT = 409
_INDEXES = {
    "key": models.PayloadSchemaType.KEYWORD,
    "scope": models.PayloadSchemaType.KEYWORD,
    "embedded": models.PayloadSchemaType.KEYWORD,
    "at": models.PayloadSchemaType.FLOAT,
    "expires_at": models.PayloadSchemaType.FLOAT,
    "disposable": models.PayloadSchemaType.BOOL,
}


def connect(url: str, api_key: str | None) -> QdrantClient:
    """Return a client of the Qdrant at `url`; nothing goes out yet."""
    if url == MEMORY:
        return QdrantClient(MEMORY)
    return QdrantClient(url=url, api_key=api_key, timeout=SERVER_SECONDS, check_compatibility=False)


def ensure(client: QdrantClient, name: str, vector_size: int, *, indexed: bool) -> None:
    """Make the collection `name` or, where `indexed`, the indexes that it lacks.

    Raises:
        StoreUnavailable: There is one of that name, and its vectors are others.
    """
    if not client.collection_exists(name):
        _create(client, name, vector_size)
    info = client.get_collection(name)
    _check(name, info.config.params.vectors, vector_size)
    if indexed:
        for field in _INDEXES.keys() - info.payload_schema.keys():
            client.create_payload_index(name, field, _INDEXES[field])


def _create(client: QdrantClient, name: str, vector_size: int) -> None:
    params = models.VectorParams(size=vector_size, distance=models.Distance.COSINE)
    try:
        client.create_collection(name, vectors_config={VECTOR: params})
    except UnexpectedResponse as error:
        if error.status_code != _CONFLICT:  # somebody else has just made it
            raise


def _check(name: str, vectors: object, vector_size: int) -> None:
    params = vectors.get(VECTOR) if isinstance(vectors, dict) else None
    if params and (params.size, params.distance) == (vector_size, models.Distance.COSINE):
        return
    held = f"{params.distance} vectors of size {params.size}" if params else "no vectors of ours"
    raise StoreUnavailable(
        "open",
        f"the collection {name!r} has {held}, and is to have Cosine vectors of size {vector_size}:"
        " name another collection, or delete this one",
    )
