"""What a point of a Qdrant collection says of an entry, and back. Pure, and free of Qdrant.

A point's id is made of the entry's key; its payload is the entry, readable by people: `key`,
`scope` (the key up to its first slash), `at`, `value`, `size` (in bytes), `version`, `expires_at`,
`disposable`. `base64` stands beside a value that is not UTF-8, `written` names this very write, and
`embedded` the model that the point's text was shown to.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID, uuid4, uuid5

from qdrant_client import models

from context7_fabric.errors import CorruptEntry
from context7_fabric.fabric.backend import BackendEntry, WriteRequest


def below(prefix: str, now: float, *more: models.Condition) -> models.Filter:
    """Mean the entries that live at `now` and may have a key that begins with `prefix`."""
    scope = scope_of(prefix)
    must = [*more] if scope is None else [match("scope", scope), *more]
    return models.Filter(must=must, must_not=[_past(now), _without("key")])


def ended(now: float) -> models.Filter:
    """Mean our entries that have ended at `now`, and nothing of others in the collection."""
    return models.Filter(must=[_past(now)], must_not=[_without("written")])


def match(field: str, *values: str) -> models.FieldCondition:
    """Mean the points whose `field` is one of `values`."""
    return models.FieldCondition(key=field, match=models.MatchAny(any=list(values)))


def moment(at: float) -> models.FieldCondition:
    """Mean the entries of one time."""
    return models.FieldCondition(key="at", range=models.Range(gte=at, lte=at))


def earlier(at: float) -> models.FieldCondition:
    """Mean the entries before a time."""
    return models.FieldCondition(key="at", range=models.Range(lt=at))


def ids(points: Sequence[str]) -> list[models.ExtendedPointId]:
    """Return ids of points as Qdrant's client types them."""
    return cast("list[models.ExtendedPointId]", list(points))


def _past(now: float) -> models.FieldCondition:
    return models.FieldCondition(key="expires_at", range=models.Range(lte=now))


def _without(field: str) -> models.IsEmptyCondition:
    return models.IsEmptyCondition(is_empty=models.PayloadField(key=field))


PointPayload = dict[str, Any]
"""JSON values by the names of a point's fields."""

_NAMESPACE = UUID("6e9b6f0c-3f0a-4d3e-9d5e-6a1f0c7b2d48")


def point_id(key: str) -> str:
    """Return the id of the point that holds `key`.

    Raises:
        UnicodeEncodeError: The key is not valid Unicode.
    """
    return str(uuid5(_NAMESPACE, key))


def scope_of(prefix: str) -> str | None:
    """Return the scope of all keys that begin with `prefix`, None when they may have several."""
    scope, slash, _ = prefix.partition("/")
    return scope if slash else None


def payload_of(put: WriteRequest, version: int, now: float) -> PointPayload:
    """Return the payload of `put`, the `version`th write of its key, made at `now`."""
    return {
        "key": put.key,
        "scope": scope_of(put.key) or "",
        "at": float(put.at),
        **_said(put.value),
        "size": len(put.value),
        "version": version,
        "expires_at": None if put.expires_in is None else now + put.expires_in,
        "disposable": put.disposable,
        "written": uuid4().hex,
    }


def entry_of(key: str, payload: PointPayload) -> BackendEntry:
    """Return the entry that a payload holds.

    Raises:
        CorruptEntry: The payload is none of ours.
    """
    value, version = payload.get("value"), version_of(payload)
    if not isinstance(value, str) or not version:
        raise CorruptEntry(key, "its payload is not one that we wrote")
    try:
        data = b64decode(value, validate=True) if payload.get("base64") else value.encode()
    except ValueError as error:
        raise CorruptEntry(key, "its value is not the text of bytes") from error
    return BackendEntry(key, data, version)


def alive(payload: PointPayload, now: float) -> bool:
    """Tell whether the entry of a payload has not ended at `now`."""
    until = payload.get("expires_at")
    return not isinstance(until, int | float) or now < until


def version_of(payload: PointPayload) -> int:
    """Return which write of its key a payload is, 0 when it does not say."""
    version = payload.get("version")
    return version if isinstance(version, int) else 0


def _said(value: bytes) -> PointPayload:
    try:
        return {"value": value.decode()}
    except UnicodeDecodeError:
        return {"value": b64encode(value).decode(), "base64": True}
