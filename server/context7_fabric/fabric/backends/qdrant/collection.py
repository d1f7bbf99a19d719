"""One collection of a Qdrant as a table of entries. Every function here blocks.

Qdrant finds by exact values and in the order of numbers: what begins with a prefix is asked for by
its scope and picked out here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from context7_fabric.errors import CorruptEntry, StoreUnavailable, TooManyAuthored
from context7_fabric.fabric.backend import BackendEntry, EntryPosition, WriteRequest
from context7_fabric.fabric.backends.qdrant import points as where
from context7_fabric.fabric.backends.qdrant.points import (
    PointPayload,
    alive,
    below,
    entry_of,
    ids,
    match,
    payload_of,
    point_id,
    scope_of,
    version_of,
)

VECTOR = "text"
"""The name of the vector that a point may have."""


class PointVectors:
    """Gives points their vectors, and finds by them."""

    def __init__(self, client: QdrantClient, name: str) -> None:
        """Work on the collection `name`."""
        self._client = client
        self._name = name

    def lacking(self, prefix: str, model: str, limit: int) -> list[PointPayload]:
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
    ) -> list[tuple[PointPayload, float]]:
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


SWEEP_SECONDS = 60.0
"""How long points that have ended may lie before a write removes them."""

_PAGE = 1000


class QdrantCollection:
    """The entries of one collection; the writes of this process come one after the other."""

    def __init__(
        self, url: str, api_key: str | None, name: str, vector_size: int, authored_limit: int
    ) -> None:
        """Prepare to ask the Qdrant at `url`; nothing goes out yet."""
        self._client = connect(url, api_key)
        self._local = url == MEMORY
        self._name = name
        self._size = vector_size
        self._authored_limit = authored_limit
        self._writing = Lock()
        self._swept = float("-inf")
        self._there = False
        self.vectors = PointVectors(self._client, name)

    def ensure(self) -> None:
        """Make the collection, or what it lacks, unless it was whole since the last `doubt`.

        Raises:
            StoreUnavailable: There is one of that name, and its vectors are others.
        """
        if self._there:
            return
        # Without indexes inside the process: it has no use for them, and says so.
        ensure(self._client, self._name, self._size, indexed=not self._local)
        self._there = True

    def doubt(self) -> None:
        """Look after the collection again before its next use: something failed."""
        self._there = False

    def get(self, key: str) -> BackendEntry | None:
        """Return the entry under `key`, None when there is none.

        Raises:
            CorruptEntry: The point is none that we wrote.
        """
        payload = self._alive([key]).get(key)
        return None if payload is None else entry_of(key, payload)

    def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`."""
        return _readable(self._alive(keys))

    def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str]) -> None:
        """Store and remove in one request.

        Raises:
            TooManyAuthored: As the seam says.
        """
        with self._writing:
            known = self._alive([put.key for put in puts])
            self._check_authored(puts, known)
            self._change(puts, known, deletes)

    def add(self, key: str, value: bytes, expires_in: float) -> bool:
        """Store `value` where nothing is."""
        with self._writing:
            if self._alive([key]):
                return False
            self._change([WriteRequest(key, value, expires_in=expires_in)], {}, [])
            return True

    def swap(self, key: str, old: bytes, put: WriteRequest | None) -> bool:
        """Store `put` where its `key` holds `old`, or if it is None remove that."""
        with self._writing:
            known = self._alive([key])
            if [entry.value for entry in _readable(known)] != [old]:
                return False
            self._change([put] if put else [], known, [] if put else [key])
            return True

    def delete(self, key: str) -> bool:
        """Remove `key`; tell whether it was there."""
        with self._writing:
            was_there = bool(self._alive([key]))
            self._change([], {}, [key])
            return was_there

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below `prefix`."""
        keys = (str(payload["key"]) for payload in self._scroll(prefix, ["key"]))
        return [key for key in keys if key.startswith(prefix)]

    def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return the readable entries below `prefix` among the next `limit` points of its scope.

        They come in the order of their points' ids, which Qdrant can turn pages by.
        """
        start = None if after is None else point_id(after)
        records, _ = self._client.scroll(
            self._name, where.below(prefix, time.time()), limit=limit + 2, offset=start
        )
        payloads = [record.payload or {} for record in records if record.id != start]
        page = {str(payload["key"]): payload for payload in payloads[:limit]}
        found = [entry for entry in _readable(page) if entry.key.startswith(prefix)]
        return found, [*page][-1] if len(payloads) > limit else None

    def newest(self, prefix: str, after: EntryPosition | None, limit: int) -> list[EntryPosition]:
        """Return the next places below `prefix`, the newest first."""
        found: list[EntryPosition] = []
        for places in self._older(prefix, after, limit if _is_scope(prefix) else _PAGE):
            found += [
                place
                for place in places
                if place.key.startswith(prefix) and (after is None or place < after)
            ]
            if len(found) >= limit:
                break
        return sorted(found, reverse=True)[:limit]

    def count(self, prefix: str) -> int:
        """Return how many entries there are below `prefix`."""
        if _is_scope(prefix):
            return self._client.count(self._name, where.below(prefix, time.time())).count
        return len(self.keys(prefix))

    def volume(self) -> int:
        """Return how many bytes the values and the vectors have: Qdrant tells nothing of it."""
        sizes = sum(int(payload.get("size", 0)) for payload in self._scroll("", ["size"]))
        return sizes + 4 * self._size * self.vectors.count()

    def close(self) -> None:
        """Close the connection, or drop what is in memory."""
        self._client.close()

    def _alive(self, keys: Sequence[str]) -> dict[str, PointPayload]:
        """Return the payloads of what lives under `keys`, in no particular order."""
        by_id = {point_id(key): key for key in keys}
        if not by_id:
            return {}
        records = self._client.retrieve(self._name, where.ids([*by_id]))
        found = {by_id[str(record.id)]: record.payload or {} for record in records}
        now = time.time()
        return {key: payload for key, payload in found.items() if alive(payload, now)}

    def _check_authored(
        self, puts: Sequence[WriteRequest], known: Mapping[str, PointPayload]
    ) -> None:
        wanted = {put.key for put in puts if not put.disposable}
        new = sum(known.get(key, {}).get("disposable", True) for key in wanted)
        if not new:
            return
        authored = models.FieldCondition(key="disposable", match=models.MatchValue(value=False))
        here = self._client.count(self._name, where.below("", time.time(), authored)).count
        if here + new > self._authored_limit:
            raise TooManyAuthored(self._authored_limit)

    def _change(
        self,
        puts: Sequence[WriteRequest],
        known: Mapping[str, PointPayload],
        deletes: Sequence[str],
    ) -> None:
        operations = [*self._sweep(), *_upsert(puts, known), *_delete(deletes)]
        if operations:
            self._client.batch_update_points(self._name, operations)

    def _sweep(self) -> Iterator[models.UpdateOperation]:
        """Give the removal of what has ended, if it is time for it."""
        if time.monotonic() >= self._swept + SWEEP_SECONDS:
            self._swept = time.monotonic()
            over = models.FilterSelector(filter=where.ended(time.time()))
            yield models.DeleteOperation(delete=over)

    def _scroll(
        self, prefix: str, fields: list[str], *more: models.Condition
    ) -> Iterator[PointPayload]:
        wanted, offset = where.below(prefix, time.time(), *more), None
        while True:
            records, offset = self._client.scroll(
                self._name, wanted, limit=_PAGE, offset=offset, with_payload=fields
            )
            yield from (record.payload or {} for record in records)
            if offset is None:
                return

    def _older(
        self, prefix: str, after: EntryPosition | None, size: int
    ) -> Iterator[list[EntryPosition]]:
        """Give the places of the scope of `prefix` from `after` on, all of one time together."""
        until = after.at if after else None
        if until is not None:
            yield self._at(prefix, until)
        while True:
            page = self._latest(prefix, until, size)
            if len(page) < size:
                yield page
                return
            until = page[-1].at
            yield [place for place in page if place.at > until] + self._at(prefix, until)

    def _latest(self, prefix: str, before: float | None, limit: int) -> list[EntryPosition]:
        condition = [] if before is None else [where.earlier(before)]
        records, _ = self._client.scroll(
            self._name,
            where.below(prefix, time.time(), *condition),
            limit=limit,
            order_by=models.OrderBy(key="at", direction=models.Direction.DESC),
            with_payload=["at", "key"],
        )
        return [_place(record.payload or {}) for record in records]

    def _at(self, prefix: str, at: float) -> list[EntryPosition]:
        return [_place(each) for each in self._scroll(prefix, ["at", "key"], where.moment(at))]


def _is_scope(prefix: str) -> bool:
    return prefix == f"{scope_of(prefix)}/"


def _place(payload: PointPayload) -> EntryPosition:
    return EntryPosition(float(payload["at"]), str(payload["key"]))


def _readable(payloads: Mapping[str, PointPayload]) -> list[BackendEntry]:
    found = []
    for key, payload in payloads.items():
        with suppress(CorruptEntry):
            found.append(entry_of(key, payload))
    return found


def _upsert(
    puts: Sequence[WriteRequest], known: Mapping[str, PointPayload]
) -> Iterator[models.UpdateOperation]:
    now = time.time()
    versions = {key: version_of(payload) for key, payload in known.items()}
    points: dict[str, models.PointStruct] = {}
    for put in puts:
        versions[put.key] = versions.get(put.key, 0) + 1
        payload = payload_of(put, versions[put.key], now)
        points[put.key] = models.PointStruct(id=point_id(put.key), payload=payload, vector={})
    if points:
        upsert = models.PointsList(points=[*points.values()])
        yield models.UpsertOperation(upsert=upsert)


def _delete(keys: Sequence[str]) -> Iterator[models.UpdateOperation]:
    if keys:
        points = models.PointIdsList(points=where.ids([point_id(key) for key in keys]))
        yield models.DeleteOperation(delete=points)
