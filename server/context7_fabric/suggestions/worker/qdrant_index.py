"""The vector indexes behind one seam: Qdrant inside this process, or a Qdrant server.

Each principal has an index of its own, of all the rows that it may see. Inside this process these
are apart; on a server they share a collection, where each point says whose it is. They are derived
from the rows at any time. A collection that was made for another model is thrown away.
Vectors are of length one, so that the dot product is the cosine, which Qdrant's local mode would
compute anew, lengths and all, for every look-up.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection as Keys
from collections.abc import Iterator, Sequence
from typing import Protocol, cast
from uuid import uuid5

from qdrant_client import QdrantClient, models

from context7_fabric.embedding import Vector
from context7_fabric.privacy.principals import owned
from context7_fabric.registry.rows import (
    KEY_FIELDS,
    NAMESPACE,
    CollectionPayload,
    CollectionSchema,
    Row,
    row_key,
)

PRINCIPAL = "principal"
"""The field of a shared collection's points, beside the schema's, that says whose they are."""

_PAGE = 256
_SERVER_SECONDS = 10


class RowIndex(Protocol):
    """One principal's rows and their vectors, found by nearness."""

    def upsert(self, rows: Sequence[Row], vectors: Sequence[Vector]) -> None:
        """Take `rows` in with their vectors, in the place of rows with the same keys."""
        ...

    def delete(self, keys: Keys[str]) -> None:
        """Remove the rows `keys`, as far as they are there."""
        ...

    def query(self, vector: Vector, limit: int) -> list[tuple[str, float]]:
        """Return the keys nearest to `vector`, the nearest first, and how near they are."""
        ...

    def payloads(self) -> Iterator[CollectionPayload]:
        """Give the payload of every row, in any order."""
        ...

    def count(self) -> int:
        """Return how many rows there are."""
        ...


class RowIndexes(Protocol):
    """The indexes of all principals."""

    def open(self, principal: str) -> RowIndex:
        """Return the index of `principal`: empty, or as it was left."""
        ...

    def release(self, principal: str) -> None:
        """Let go of what the index of `principal` takes up here; it is not used after that."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class QdrantIndex:
    """A collection of a Qdrant, with one vector a point, or one principal's part of it."""

    def __init__(
        self,
        client: QdrantClient,
        collection: CollectionSchema,
        vector: str,
        principal: str | None = None,
    ) -> None:
        """Use `collection` of `client`, the whole of it or only what is `principal`'s."""
        self._client = client
        self._collection = collection
        self._name = collection.name
        self._vector = vector
        self._principal = principal
        self._filter = None if principal is None else _filter(principal)

    def upsert(self, rows: Sequence[Row], vectors: Sequence[Vector]) -> None:
        """Take `rows` in with their vectors, in the place of rows with the same keys."""
        points = [
            models.PointStruct(
                id=self._id(row.key),
                payload=self._payload(row),
                vector={self._vector: vector.tolist()},
            )
            for row, vector in zip(rows, vectors, strict=True)
        ]
        if points:
            self._client.upsert(self._name, points)

    def delete(self, keys: Keys[str]) -> None:
        """Remove the rows `keys`, as far as they are there."""
        points = [self._id(key) for key in keys]
        if points:
            selector = models.PointIdsList(points=cast("list[models.ExtendedPointId]", points))
            self._client.delete(self._name, selector)

    def query(self, vector: Vector, limit: int) -> list[tuple[str, float]]:
        """Return the keys nearest to `vector`, the nearest first, and how near they are."""
        found = self._client.query_points(
            self._name,
            query=vector.tolist(),
            using=self._vector,
            query_filter=self._filter,
            limit=limit,
            with_payload=list(KEY_FIELDS),
        )
        return [(row_key(point.payload or {}), point.score) for point in found.points]

    def payloads(self) -> Iterator[CollectionPayload]:
        """Give the payload of every row, in any order."""
        offset = None
        while True:
            page, offset = self._client.scroll(
                self._name,
                self._filter,
                limit=_PAGE,
                offset=offset,
                with_payload=list(self._collection.schema),
            )
            yield from (record.payload or {} for record in page)
            if offset is None:
                return

    def count(self) -> int:
        """Return how many rows there are."""
        return self._client.count(self._name, self._filter).count

    def _id(self, key: str) -> str:
        whose = key if self._principal is None else owned(key, self._principal)
        return str(uuid5(NAMESPACE, whose))

    def _payload(self, row: Row) -> CollectionPayload:
        payload = self._collection.payload(row)
        return payload if self._principal is None else {**payload, PRINCIPAL: self._principal}


class EmbeddedIndexes:
    """Each index in the memory of this process, apart from the others."""

    def __init__(self, collection: CollectionSchema, vector: str, dimension: int) -> None:
        """Hold none yet."""
        self._collection = collection
        self._vector = vector
        self._dimension = dimension
        self._clients: dict[str, QdrantClient] = {}
        # It counts removed points as well, so it would complain of rows that it does not hold.
        warnings.filterwarnings("ignore", message="Local mode is not recommended")

    def open(self, principal: str) -> QdrantIndex:
        """Return an empty index."""
        client = self._clients[principal] = QdrantClient(":memory:")
        prepare(client, self._collection, self._vector, self._dimension)
        return QdrantIndex(client, self._collection, self._vector)

    def release(self, principal: str) -> None:
        """Forget the index of `principal`."""
        if client := self._clients.pop(principal, None):
            client.close()

    def close(self) -> None:
        """Forget all indexes."""
        for principal in tuple(self._clients):
            self.release(principal)


class SharedIndexes:
    """All indexes in one collection, which others may use at the same time."""

    def __init__(
        self, client: QdrantClient, collection: CollectionSchema, vector: str, dimension: int
    ) -> None:
        """Use `client`; points that do not say whose they are leave the collection."""
        self._client = client
        self._collection = collection
        self._vector = vector
        prepare(client, collection, vector, dimension)
        _create_keyword_index(client, collection.name, PRINCIPAL)
        nobodys = models.IsEmptyCondition(is_empty=models.PayloadField(key=PRINCIPAL))
        client.delete(collection.name, models.FilterSelector(filter=models.Filter(must=[nobodys])))

    def open(self, principal: str) -> QdrantIndex:
        """Return what the collection holds of `principal`'s."""
        return QdrantIndex(self._client, self._collection, self._vector, principal)

    def release(self, principal: str) -> None:
        """Leave it as it is: it takes up nothing here."""

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def server_indexes(
    url: str, api_key: str | None, collection: CollectionSchema, vector: str, dimension: int
) -> SharedIndexes:
    """Return the indexes that the Qdrant server at `url` keeps."""
    client = QdrantClient(
        url=url, api_key=api_key, timeout=_SERVER_SECONDS, check_compatibility=False
    )
    return SharedIndexes(client, collection, vector, dimension)


def prepare(
    client: QdrantClient, collection: CollectionSchema, vector: str, dimension: int
) -> None:
    """Create `collection` where it is not there or another model's; `vector` names the model."""
    if not _fits(client, collection.name, vector, dimension):
        client.delete_collection(collection.name)
        params = models.VectorParams(size=dimension, distance=models.Distance.DOT)
        client.create_collection(collection.name, vectors_config={vector: params})
        for field in collection.indexes:
            _create_keyword_index(client, collection.name, field)


def _fits(client: QdrantClient, name: str, vector: str, dimension: int) -> bool:
    if not client.collection_exists(name):
        return False
    vectors = client.get_collection(name).config.params.vectors
    ours = vectors.get(vector) if isinstance(vectors, dict) else None
    return ours is not None and (ours.size, ours.distance) == (dimension, models.Distance.DOT)


def _create_keyword_index(client: QdrantClient, name: str, field: str) -> None:
    with warnings.catch_warnings():
        # Qdrant's local mode takes the declaration and says that it has no use for it.
        warnings.filterwarnings("ignore", message="Payload indexes have no effect")
        client.create_payload_index(name, field, models.PayloadSchemaType.KEYWORD)


def _filter(principal: str) -> models.Filter:
    match = models.MatchValue(value=principal)
    return models.Filter(must=[models.FieldCondition(key=PRINCIPAL, match=match)])
