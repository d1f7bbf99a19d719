"""A collection of a Qdrant as a table of entries. Every function here blocks.

The id of a point is derived from the key of its entry; its payload is the entry: `key`, `scope`
(the key up to its first slash), `at`, `value`, `size` (in bytes), `version`, `expires_at`,
`disposable`. `base64` marks a value that is not UTF-8, `written` identifies the write, and
`embedded` is the model that has processed the text of the point.

Qdrant filters by exact values and orders by numbers. A prefix is asked for by its scope, and its
keys are selected here.
"""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, cast
from uuid import UUID, uuid4, uuid5

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from context7_fabric.errors import CorruptEntry, StoreUnavailable, TooManyAuthored
from context7_fabric.fabric.backend import BackendEntry, EntryPosition, WriteRequest

MEMORY = ":memory:"
"""The URL of a Qdrant inside this process, which keeps nothing."""

VECTOR = "text"
"""The name of the vector that a point may have."""

SERVER_SECONDS = 10
SWEEP_SECONDS = 60.0
"""Seconds after which a write removes the points that have ended."""

_PAGE = 1000
_CONFLICT = 409
_NAMESPACE = UUID("6e9b6f0c-3f0a-4d3e-9d5e-6a1f0c7b2d48")
_INDEXES = {
    "key": models.PayloadSchemaType.KEYWORD,
    "scope": models.PayloadSchemaType.KEYWORD,
    "embedded": models.PayloadSchemaType.KEYWORD,
    "at": models.PayloadSchemaType.FLOAT,
    "expires_at": models.PayloadSchemaType.FLOAT,
    "disposable": models.PayloadSchemaType.BOOL,
}
_NEWEST_FIRST = models.OrderBy(key="at", direction=models.Direction.DESC)

PointPayload = dict[str, Any]
"""JSON values by the names of the fields of a point."""


def point_id(key: str) -> str:
    """Return the id of the point that holds `key`.

    Raises:
        UnicodeEncodeError: The key is not valid Unicode.
    """
    return str(uuid5(_NAMESPACE, key))


def _point_ids(keys: Iterable[str]) -> list[models.ExtendedPointId]:
    return cast("list[models.ExtendedPointId]", [point_id(key) for key in keys])


def _scope_of(prefix: str) -> str | None:
    """Return the scope of all keys that begin with `prefix`, None if they may have several."""
    scope, slash, _ = prefix.partition("/")
    return scope if slash else None


def _is_scope(prefix: str) -> bool:
    return prefix == f"{_scope_of(prefix)}/"


def _live(prefix: str, *more: models.Condition) -> models.Filter:
    """Return a filter for live entries, of the scope of `prefix` if it has one."""
    scope = _scope_of(prefix)
    must = [*more] if scope is None else [_match("scope", scope), *more]
    return models.Filter(must=must, must_not=[_ended(time.time()), _lacks("key")])


def _match(field: str, *values: str) -> models.FieldCondition:
    return models.FieldCondition(key=field, match=models.MatchAny(any=list(values)))


def _ended(now: float) -> models.FieldCondition:
    return models.FieldCondition(key="expires_at", range=models.Range(lte=now))


def _lacks(field: str) -> models.IsEmptyCondition:
    return models.IsEmptyCondition(is_empty=models.PayloadField(key=field))


def _payload(put: WriteRequest, version: int, now: float) -> PointPayload:
    """Return the payload of `put`, the `version`th write of its key, made at `now`."""
    return {
        "key": put.key,
        "scope": _scope_of(put.key) or "",
        "at": float(put.at),
        **_value_fields(put.value),
        "size": len(put.value),
        "version": version,
        "expires_at": None if put.expires_in is None else now + put.expires_in,
        "disposable": put.disposable,
        "written": uuid4().hex,
    }


def _value_fields(value: bytes) -> PointPayload:
    try:
        return {"value": value.decode()}
    except UnicodeDecodeError:
        return {"value": b64encode(value).decode(), "base64": True}


def _entry(key: str, payload: PointPayload) -> BackendEntry:
    """Return the entry in a payload.

    Raises:
        CorruptEntry: We did not write the payload.
    """
    value, version = payload.get("value"), _version(payload)
    if not isinstance(value, str) or not version:
        raise CorruptEntry(key, "its payload is not one that we wrote")
    try:
        data = b64decode(value, validate=True) if payload.get("base64") else value.encode()
    except ValueError as error:
        raise CorruptEntry(key, "its value is not the text of bytes") from error
    return BackendEntry(key, data, version)


def _readable(payloads: Mapping[str, PointPayload]) -> list[BackendEntry]:
    found = []
    for key, payload in payloads.items():
        with suppress(CorruptEntry):
            found.append(_entry(key, payload))
    return found


def _is_alive(payload: PointPayload, now: float) -> bool:
    until = payload.get("expires_at")
    return not isinstance(until, int | float) or now < until


def _version(payload: PointPayload) -> int:
    """Return the version in a payload, 0 if there is none."""
    version = payload.get("version")
    return version if isinstance(version, int) else 0


def _position(payload: PointPayload) -> EntryPosition:
    return EntryPosition(float(payload["at"]), str(payload["key"]))


class PointVectors:
    """The vectors of the points of a collection."""

    def __init__(self, client: QdrantClient, name: str) -> None:
        """Use the collection `name`."""
        self._client = client
        self._name = name

    def lacking(self, prefix: str, model: str, limit: int) -> list[PointPayload]:
        """Return `key` and `written` of points of a scope that `model` has not processed."""
        where = _live(prefix)
        where.must_not = [*_listed(where.must_not), _match("embedded", model)]
        records, _ = self._client.scroll(
            self._name, where, limit=limit, order_by=_NEWEST_FIRST, with_payload=["key", "written"]
        )
        return [record.payload or {} for record in records]

    def add(
        self, writes: Mapping[str, str], vectors: Mapping[str, list[float]], model: str
    ) -> None:
        """Add `vectors` by key, and mark the `writes` (by key) as processed by `model`."""
        points = [
            models.PointVectors(id=point_id(key), vector={VECTOR: vector})
            for key, vector in vectors.items()
        ]
        seen = [models.HasIdCondition(has_id=_point_ids(writes))]
        unchanged = models.Filter(must=[*seen, _match("written", *writes.values())])
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
        """Return `key`, `version` and `at` of the nearest points of a scope, and their cosines."""
        found = self._client.query_points(
            self._name,
            query=vector,
            using=VECTOR,
            query_filter=_live(prefix, _match("embedded", model)),
            limit=limit,
            with_payload=["key", "version", "at"],
        )
        return [(point.payload or {}, point.score) for point in found.points]

    def count(self) -> int:
        """Return the number of points with a vector."""
        having = models.HasVectorCondition(has_vector=VECTOR)
        return self._client.count(self._name, models.Filter(must=[having])).count


def _listed(conditions: Any) -> Sequence[models.Condition]:  # noqa: ANN401  # one, several or none
    return conditions if isinstance(conditions, list) else [conditions] if conditions else []


class QdrantCollection:
    """The entries of a collection; the writes of this process are serialised."""

    def __init__(
        self, url: str, api_key: str | None, name: str, vector_size: int, authored_limit: int
    ) -> None:
        """Prepare a client of the Qdrant at `url`; it connects at the first use."""
        self._local = url == MEMORY
        self._client = (
            QdrantClient(MEMORY)
            if self._local
            else QdrantClient(
                url=url, api_key=api_key, timeout=SERVER_SECONDS, check_compatibility=False
            )
        )
        self._name = name
        self._size = vector_size
        self._authored_limit = authored_limit
        self._writing = Lock()
        self._swept = float("-inf")
        self._is_whole = False
        self.vectors = PointVectors(self._client, name)

    def ensure(self) -> None:
        """Create the collection and its indexes where they are missing.

        Raises:
            StoreUnavailable: There is one of that name with other vectors.
        """
        if self._is_whole:
            return
        if not self._client.collection_exists(self._name):
            self._create()
        info = self._client.get_collection(self._name)
        self._check_vectors(info.config.params.vectors)
        if not self._local:  # the Qdrant inside the process warns that it does not use them
            for field in _INDEXES.keys() - info.payload_schema.keys():
                self._client.create_payload_index(self._name, field, _INDEXES[field])
        self._is_whole = True

    def forget(self) -> None:
        """Let the next `ensure` look at the collection again, because a call failed."""
        self._is_whole = False

    def get(self, key: str) -> BackendEntry | None:
        """Return the entry under `key`, None when there is none.

        Raises:
            CorruptEntry: We did not write the point.
        """
        payload = self._payloads([key]).get(key)
        return None if payload is None else _entry(key, payload)

    def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`."""
        return _readable(self._payloads(keys))

    def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str]) -> None:
        """Store and remove in one request.

        Raises:
            TooManyAuthored: There is no room for the authored entries.
        """
        with self._writing:
            known = self._payloads([put.key for put in puts])
            self._check_authored(puts, known)
            self._change(puts, known, deletes)

    def add(self, key: str, value: bytes, expires_in: float) -> bool:
        """Store `value` under a free `key`."""
        with self._writing:
            if self._payloads([key]):
                return False
            self._change([WriteRequest(key, value, expires_in=expires_in)], {}, [])
            return True

    def swap(self, key: str, old: bytes, put: WriteRequest | None) -> bool:
        """Replace the value `old` by `put`, or remove it if `put` is None."""
        with self._writing:
            known = self._payloads([key])
            if [entry.value for entry in _readable(known)] != [old]:
                return False
            self._change([put] if put else [], known, [] if put else [key])
            return True

    def delete(self, key: str) -> bool:
        """Remove `key`; return whether it existed."""
        with self._writing:
            existed = bool(self._payloads([key]))
            self._change([], {}, [key])
            return existed

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below `prefix`."""
        keys = (str(payload["key"]) for payload in self._scroll(prefix, ["key"]))
        return [key for key in keys if key.startswith(prefix)]

    def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return the readable entries below `prefix` among the next `limit` points of its scope.

        They are ordered by point id, the order in which Qdrant returns pages.
        """
        start = None if after is None else point_id(after)
        records, _ = self._client.scroll(self._name, _live(prefix), limit=limit + 2, offset=start)
        payloads = [record.payload or {} for record in records if record.id != start]
        page = {str(payload["key"]): payload for payload in payloads[:limit]}
        found = [entry for entry in _readable(page) if entry.key.startswith(prefix)]
        return found, [*page][-1] if len(payloads) > limit else None

    def newest(self, prefix: str, after: EntryPosition | None, limit: int) -> list[EntryPosition]:
        """Return a page of positions below `prefix`, the newest first."""
        found: list[EntryPosition] = []
        for page in self._older(prefix, after, limit if _is_scope(prefix) else _PAGE):
            found += [
                position
                for position in page
                if position.key.startswith(prefix) and (after is None or position < after)
            ]
            if len(found) >= limit:
                break
        return sorted(found, reverse=True)[:limit]

    def count(self, prefix: str) -> int:
        """Return the number of entries below `prefix`."""
        if _is_scope(prefix):
            return self._client.count(self._name, _live(prefix)).count
        return len(self.keys(prefix))

    def volume(self) -> int:
        """Return the size of values and vectors in bytes, which Qdrant does not report."""
        sizes = sum(int(payload.get("size", 0)) for payload in self._scroll("", ["size"]))
        return sizes + 4 * self._size * self.vectors.count()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _create(self) -> None:
        params = models.VectorParams(size=self._size, distance=models.Distance.COSINE)
        try:
            self._client.create_collection(self._name, vectors_config={VECTOR: params})
        except UnexpectedResponse as error:
            if error.status_code != _CONFLICT:  # another client has just created it
                raise

    def _check_vectors(self, vectors: object) -> None:
        params = vectors.get(VECTOR) if isinstance(vectors, dict) else None
        if params and (params.size, params.distance) == (self._size, models.Distance.COSINE):
            return
        held = (
            f"{params.distance} vectors of size {params.size}" if params else "no vectors of ours"
        )
        raise StoreUnavailable(
            "open",
            f"the collection {self._name!r} has {held}, and is to have Cosine vectors of size"
            f" {self._size}: name another collection, or delete this one",
        )

    def _payloads(self, keys: Sequence[str]) -> dict[str, PointPayload]:
        """Return the payloads of live entries under `keys`, in no particular order."""
        by_id = {point_id(key): key for key in keys}
        if not by_id:
            return {}
        records = self._client.retrieve(self._name, _point_ids(keys))
        found = {by_id[str(record.id)]: record.payload or {} for record in records}
        now = time.time()
        return {key: payload for key, payload in found.items() if _is_alive(payload, now)}

    def _check_authored(
        self, puts: Sequence[WriteRequest], known: Mapping[str, PointPayload]
    ) -> None:
        wanted = {put.key for put in puts if not put.disposable}
        new = sum(known.get(key, {}).get("disposable", True) for key in wanted)
        if not new:
            return
        authored = models.FieldCondition(key="disposable", match=models.MatchValue(value=False))
        count = self._client.count(self._name, _live("", authored)).count
        if count + new > self._authored_limit:
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
        """Yield the removal of our ended entries, if it is due; foreign points stay."""
        if time.monotonic() >= self._swept + SWEEP_SECONDS:
            self._swept = time.monotonic()
            ended = models.Filter(must=[_ended(time.time())], must_not=[_lacks("written")])
            yield models.DeleteOperation(delete=models.FilterSelector(filter=ended))

    def _scroll(
        self, prefix: str, fields: list[str], *more: models.Condition
    ) -> Iterator[PointPayload]:
        wanted, offset = _live(prefix, *more), None
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
        """Yield the positions of the scope of `prefix` from `after` on, whole times together."""
        until = after.at if after else None
        if until is not None:
            yield self._positions_at(prefix, until)
        while True:
            page = self._latest(prefix, until, size)
            if len(page) < size:
                yield page
                return
            until = page[-1].at
            yield [each for each in page if each.at > until] + self._positions_at(prefix, until)

    def _latest(self, prefix: str, before: float | None, limit: int) -> list[EntryPosition]:
        earlier = models.FieldCondition(key="at", range=models.Range(lt=before))
        records, _ = self._client.scroll(
            self._name,
            _live(prefix, *([] if before is None else [earlier])),
            limit=limit,
            order_by=_NEWEST_FIRST,
            with_payload=["at", "key"],
        )
        return [_position(record.payload or {}) for record in records]

    def _positions_at(self, prefix: str, at: float) -> list[EntryPosition]:
        moment = models.FieldCondition(key="at", range=models.Range(gte=at, lte=at))
        return [_position(each) for each in self._scroll(prefix, ["at", "key"], moment)]


def _upsert(
    puts: Sequence[WriteRequest], known: Mapping[str, PointPayload]
) -> Iterator[models.UpdateOperation]:
    now = time.time()
    versions = {key: _version(payload) for key, payload in known.items()}
    points: dict[str, models.PointStruct] = {}
    for put in puts:
        versions[put.key] = versions.get(put.key, 0) + 1
        payload = _payload(put, versions[put.key], now)
        points[put.key] = models.PointStruct(id=point_id(put.key), payload=payload, vector={})
    if points:
        upsert = models.PointsList(points=[*points.values()])
        yield models.UpsertOperation(upsert=upsert)


def _delete(keys: Sequence[str]) -> Iterator[models.UpdateOperation]:
    if keys:
        yield models.DeleteOperation(delete=models.PointIdsList(points=_point_ids(keys)))
