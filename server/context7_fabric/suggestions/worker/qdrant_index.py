"""Vector indexes of the principals' rows, in Qdrant inside this process or on a Qdrant server.

Each principal has an index of the rows that it may see: a collection of its own inside this
process, a part of a shared collection on a server. Indexes are derived from the rows, and a
collection that was made for another model is deleted. Vectors have length one, so that the dot
product is the cosine, which Qdrant's local mode would compute from the lengths at each look-up.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection as Keys
from collections.abc import Iterator, Sequence
from typing import TypeAlias, cast
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
"""Field of a shared collection's points, beside the schema's, that has their principal."""

_PAGE = 256
_SERVER_SECONDS = 10


class RowIndex:
    """Index of one principal: a collection with one vector a point, or its part of one."""

    def __init__(
        self,
        client: QdrantClient,
        collection: CollectionSchema,
        vector: str,
        principal: str | None = None,
    ) -> None:
        """Use `collection` of `client`, all of it or the part of `principal`."""
        self._client = client
        self._collection = collection
        self._name = collection.name
        self._vector = vector
        self._principal = principal
        self._filter = None if principal is None else _filter(principal)

    def upsert(self, rows: Sequence[Row], vectors: Sequence[Vector]) -> None:
        """Add `rows` with their vectors in place of rows with the same keys."""
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
        """Remove the rows `keys` that are there."""
        points = [self._id(key) for key in keys]
        if points:
            selector = models.PointIdsList(points=cast("list[models.ExtendedPointId]", points))
            self._client.delete(self._name, selector)

    def query(self, vector: Vector, limit: int) -> list[tuple[str, float]]:
        """Return the keys nearest to `vector` with their scores, the nearest first."""
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
        """Yield the payload of every row, in any order."""
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
        """Return the number of rows."""
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
        """Start without any."""
        self._collection = collection
        self._vector = vector
        self._dimension = dimension
        self._clients: dict[str, QdrantClient] = {}
        # It counts removed points as well, so it would warn about rows that it does not hold.
        warnings.filterwarnings("ignore", message="Local mode is not recommended")

    def open(self, principal: str) -> RowIndex:
        """Return an empty index."""
        client = self._clients[principal] = QdrantClient(":memory:")
        prepare(client, self._collection, self._vector, self._dimension)
        return RowIndex(client, self._collection, self._vector)

    def release(self, principal: str) -> None:
        """Delete the index of `principal`."""
        if client := self._clients.pop(principal, None):
            client.close()

    def close(self) -> None:
        """Delete all indexes."""
        for principal in tuple(self._clients):
            self.release(principal)


class SharedIndexes:
    """Indexes in one shared collection, which other processes may use at the same time."""

    def __init__(
        self, client: QdrantClient, collection: CollectionSchema, vector: str, dimension: int
    ) -> None:
        """Use `client`; remove points without a principal."""
        self._client = client
        self._collection = collection
        self._vector = vector
        prepare(client, collection, vector, dimension)
        _create_keyword_index(client, collection.name, PRINCIPAL)
        without_owner = models.IsEmptyCondition(is_empty=models.PayloadField(key=PRINCIPAL))
        client.delete(
            collection.name, models.FilterSelector(filter=models.Filter(must=[without_owner]))
        )

    def open(self, principal: str) -> RowIndex:
        """Return the part of the collection that is `principal`'s."""
        return RowIndex(self._client, self._collection, self._vector, principal)

    def release(self, principal: str) -> None:
        """Do nothing: the index takes up no memory here."""

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


RowIndexes: TypeAlias = EmbeddedIndexes | SharedIndexes
"""Indexes of all principals."""


def server_indexes(
    url: str, api_key: str | None, collection: CollectionSchema, vector: str, dimension: int
) -> SharedIndexes:
    """Return the indexes on the Qdrant server at `url`."""
    client = QdrantClient(
        url=url, api_key=api_key, timeout=_SERVER_SECONDS, check_compatibility=False
    )
    return SharedIndexes(client, collection, vector, dimension)


def prepare(
    client: QdrantClient, collection: CollectionSchema, vector: str, dimension: int
) -> None:
    """Create `collection` if it is missing or another model's; `vector` names the model."""
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
        # Qdrant's local mode accepts the declaration and warns that it has no effect.
        warnings.filterwarnings("ignore", message="Payload indexes have no effect")
        client.create_payload_index(name, field, models.PayloadSchemaType.KEYWORD)


def _filter(principal: str) -> models.Filter:
    match = models.MatchValue(value=principal)
    return models.Filter(must=[models.FieldCondition(key=PRINCIPAL, match=match)])
