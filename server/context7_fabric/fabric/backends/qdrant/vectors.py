"""The vectors of a collection's points. Every function here blocks.

A point has a vector only when its text was shown to a model, which its field `embedded` then names:
overwriting an entry takes both away. A vector is marked so only if the point still is of the write
whose text it was made from, and only marked vectors are found.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from qdrant_client import QdrantClient, models

from context7_fabric.fabric.backends.qdrant.points import Payload, below, ids, match, point_id

VECTOR = "text"
"""The name of the vector that a point may have."""


class PointVectors:
    """Gives points their vectors, and finds by them."""

    def __init__(self, client: QdrantClient, name: str) -> None:
        """Work on the collection `name`."""
        self._client = client
        self._name = name

    def lacking(self, prefix: str, model: str, limit: int) -> list[Payload]:
        """Return `key` and `written` of the points below a scope that `model` was not shown."""
        where = below(prefix, time.time())
        where.must_not = [*_listed(where.must_not), match("embedded", model)]
        newest = models.OrderBy(key="at", direction=models.Direction.DESC)
        records, _ = self._client.scroll(
            self._name, where, limit=limit, order_by=newest, with_payload=["key", "written"]
        )
        return [record.payload or {} for record in records]

    def give(
        self, writes: Mapping[str, str], vectors: Mapping[str, list[float]], model: str
    ) -> None:
        """Note that `model` was shown the `writes` (by key), and gave some of them `vectors`."""
        points = [
            models.PointVectors(id=point_id(key), vector={VECTOR: vector})
            for key, vector in vectors.items()
        ]
        seen = [models.HasIdCondition(has_id=ids([point_id(key) for key in writes]))]
        unchanged = models.Filter(must=[*seen, match("written", *writes.values())])
        mark = models.SetPayload(payload={"embedded": model}, filter=unchanged)
        operations: list[models.UpdateOperation] = []
        if points:
            update = models.UpdateVectors(points=points)
            operations.append(models.UpdateVectorsOperation(update_vectors=update))
        operations.append(models.SetPayloadOperation(set_payload=mark))
        self._client.batch_update_points(self._name, operations)

    def nearest(
        self, prefix: str, model: str, vector: list[float], limit: int
    ) -> list[tuple[Payload, float]]:
        """Return `key`, `version` and `at` of the nearest points below a scope, and how near."""
        found = self._client.query_points(
            self._name,
            query=vector,
            using=VECTOR,
            query_filter=below(prefix, time.time(), match("embedded", model)),
            limit=limit,
            with_payload=["key", "version", "at"],
        )
        return [(point.payload or {}, point.score) for point in found.points]

    def count(self) -> int:
        """Return how many points have a vector."""
        having = models.HasVectorCondition(has_vector=VECTOR)
        return self._client.count(self._name, models.Filter(must=[having])).count


def _listed(conditions: Any) -> Sequence[models.Condition]:  # noqa: ANN401  # one, several or none
    return conditions if isinstance(conditions, list) else [conditions] if conditions else []
