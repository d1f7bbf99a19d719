"""The vector index behind one seam: Qdrant inside this process, or a Qdrant server.

Derived from the rows at any time. A collection that was made for another model is thrown away.
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

from context7_fabric.registry.collections import KEY_FIELDS, Collection, Payload, row_key
from context7_fabric.registry.rows import NAMESPACE, Row
from context7_fabric.registry.worker.embedder import Vector

_PAGE = 256
_SERVER_SECONDS = 10


class Index(Protocol):
    """Rows and their vectors, found by nearness."""

    def upsert(self, rows: Sequence[Row], vectors: Sequence[Vector]) -> None:
        """Take `rows` in with their vectors, in the place of rows with the same keys."""
        ...

    def delete(self, keys: Keys[str]) -> None:
        """Remove the rows `keys`, as far as they are there."""
        ...

    def query(self, vector: Vector, limit: int) -> list[tuple[str, float]]:
        """Return the keys nearest to `vector`, the nearest first, and how near they are."""
        ...

    def payloads(self) -> Iterator[Payload]:
        """Give the payload of every row, in any order."""
        ...

    def count(self) -> int:
        """Return how many rows there are."""
        ...

    def close(self) -> None:
        """Let go of what it holds; it is not used after that."""
        ...


class QdrantIndex:
    """One collection of a Qdrant, with one vector a point, named for the model."""

    def __init__(
        self, client: QdrantClient, collection: Collection, vector: str, dimension: int
    ) -> None:
        """Use `client`, and create `collection` where it is not there or another model's."""
        self._client = client
        self._collection = collection
        self._name = collection.name
        self._vector = vector
        if not self._fits(dimension):
            self._create(dimension)

    def upsert(self, rows: Sequence[Row], vectors: Sequence[Vector]) -> None:
        """Take `rows` in with their vectors, in the place of rows with the same keys."""
        points = [
            models.PointStruct(
                id=row.point_id,
                payload=self._collection.payload(row),
                vector={self._vector: vector.tolist()},
            )
            for row, vector in zip(rows, vectors, strict=True)
        ]
        if points:
            self._client.upsert(self._name, points)

    def delete(self, keys: Keys[str]) -> None:
        """Remove the rows `keys`, as far as they are there."""
        points = [str(uuid5(NAMESPACE, key)) for key in keys]
        if points:
            selector = models.PointIdsList(points=cast("list[models.ExtendedPointId]", points))
            self._client.delete(self._name, selector)

    def query(self, vector: Vector, limit: int) -> list[tuple[str, float]]:
        """Return the keys nearest to `vector`, the nearest first, and how near they are."""
        found = self._client.query_points(
            self._name,
            query=vector.tolist(),
            using=self._vector,
            limit=limit,
            with_payload=list(KEY_FIELDS),
        )
        return [(row_key(point.payload or {}), point.score) for point in found.points]

    def payloads(self) -> Iterator[Payload]:
        """Give the payload of every row, in any order."""
        offset = None
        while True:
            page, offset = self._client.scroll(self._name, limit=_PAGE, offset=offset)
            yield from (record.payload or {} for record in page)
            if offset is None:
                return

    def count(self) -> int:
        """Return how many rows there are."""
        return self._client.count(self._name).count

    def close(self) -> None:
        """Close the connection, or drop what is in memory."""
        self._client.close()

    def _fits(self, dimension: int) -> bool:
        if not self._client.collection_exists(self._name):
            return False
        vectors = self._client.get_collection(self._name).config.params.vectors
        ours = vectors.get(self._vector) if isinstance(vectors, dict) else None
        return ours is not None and (ours.size, ours.distance) == (dimension, models.Distance.DOT)

    def _create(self, dimension: int) -> None:
        self._client.delete_collection(self._name)
        params = models.VectorParams(size=dimension, distance=models.Distance.DOT)
        self._client.create_collection(self._name, vectors_config={self._vector: params})
        with warnings.catch_warnings():
            # Qdrant's local mode takes the declaration and says that it has no use for it.
            warnings.filterwarnings("ignore", message="Payload indexes have no effect")
            for field in self._collection.indexes:
                self._client.create_payload_index(
                    self._name, field, models.PayloadSchemaType.KEYWORD
                )


def embedded_index(collection: Collection, vector: str, dimension: int) -> QdrantIndex:
    """Return an empty index in the memory of this process."""
    # It counts removed points as well, so it would complain of rows that it does not hold.
    warnings.filterwarnings("ignore", message="Local mode is not recommended")
    return QdrantIndex(QdrantClient(":memory:"), collection, vector, dimension)


def server_index(
    url: str, api_key: str | None, collection: Collection, vector: str, dimension: int
) -> QdrantIndex:
    """Return the index that the Qdrant server at `url` keeps."""
    client = QdrantClient(
        url=url, api_key=api_key, timeout=_SERVER_SECONDS, check_compatibility=False
    )
    return QdrantIndex(client, collection, vector, dimension)
