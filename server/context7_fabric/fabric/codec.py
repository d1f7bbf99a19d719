"""Codec between contexts and stored bytes: JSON with a format version and a checksum.

The checksum covers scope and key too, so that a medium cannot return one context for another.
Truncated, damaged and foreign bytes, and those of another version, raise `CorruptEntry`: they never
decode to a wrong value.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeGuard, cast
from zlib import crc32

from pydantic_core import PydanticSerializationError, from_json, to_json

from context7_fabric.errors import CorruptEntry, KeyTooLong, ValueTooLarge
from context7_fabric.fabric.backend import WriteRequest
from context7_fabric.fabric.context import KEY_LIMIT, Context, Json, Scope, address
from context7_fabric.models import VALUE_LIMIT, Clock

FORMAT = 2
MAX_DEPTH = 100
"""Most levels of nested lists and objects."""

_START = b'{"format":%d,' % FORMAT
_HEAD = _START + b'"crc32":"%08x",'
_HEAD_LENGTH = len(_HEAD % 0)
_PLAIN = (str, bool, int, type(None))
_FURTHEST = 1e15
"""Most seconds between the epoch and a valid time."""


def encode(context: Context) -> bytes:
    """Return the bytes of `context`: one JSON object.

    Raises:
        TypeError: The value or the metadata is not JSON; the text names the place inside.
        ValueError: It holds NaN or an infinity, or is nested more than `MAX_DEPTH` deep.
    """
    check_json(context.value, "value")
    check_json(context.metadata, "metadata")
    record = {
        "value": context.value,
        "metadata": context.metadata,
        "created_at": context.created_at,
        "expires_at": context.expires_at,
    }
    body = _to_json(record).removeprefix(b"{")
    return _HEAD % crc32(body, _seed(context.key, context.scope)) + body


def decode(key: str, scope: Scope, data: bytes, version: int = 1) -> Context:
    """Return the context in `data`, the `version`th write of `key`.

    Raises:
        CorruptEntry: The bytes are not an entry of this format.
    """
    if not data.startswith(_START):
        raise CorruptEntry(key, "not of a format this version reads")
    if data[:_HEAD_LENGTH] != _HEAD % crc32(data[_HEAD_LENGTH:], _seed(key, scope)):
        raise CorruptEntry(key, "its checksum is wrong")
    try:
        record = _from_json(data)
    except (ValueError, RecursionError) as error:
        raise CorruptEntry(key, "not JSON") from error
    return _context(key, scope, record, version)


def _seed(key: str, scope: Scope) -> int:
    """Return the checksum of scope and key, which that of a context continues."""
    return crc32(address(scope, key).encode("utf-8", "surrogatepass"))


def _to_json(record: dict[str, Any]) -> bytes:
    """Return JSON; pydantic's writer takes a third of the time, but refuses lone surrogates."""
    try:
        return to_json(record)
    except PydanticSerializationError:
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode("utf-8", "surrogatepass")


def _from_json(data: bytes) -> Any:  # noqa: ANN401  # any JSON
    """Parse JSON; pydantic's reader takes a third of the time, but refuses lone surrogates."""
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError:
        return json.loads(data.decode("utf-8", "surrogatepass"))


def check_json(value: object, name: str) -> None:
    """Check that JSON can express `value`, and that it is read back as it was.

    The error names the place inside `name` in Python's notation: `value['a'][3]`.

    Raises:
        TypeError: It contains an object that is not JSON, or a name that is not text.
        ValueError: It contains NaN or an infinity, or is nested more than `MAX_DEPTH` deep.
    """
    if not _is_json(value):
        _raise_first(value, name)


def _is_json(value: object, depth: int = 0) -> bool:
    if isinstance(value, _PLAIN):
        return True
    if isinstance(value, float):
        return isfinite(value)
    if depth >= MAX_DEPTH or not isinstance(value, dict | list | tuple):
        return False
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str):
                return False
        value = list(value.values())
    for item in value:
        if not isinstance(item, _PLAIN) and not _is_json(item, depth + 1):
            return False
    return True


def _raise_first(value: object, place: str, depth: int = 0) -> None:
    """Raise an error for the first part of `value` that is not JSON."""
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{place} is {value}, which JSON cannot say")
    if depth >= MAX_DEPTH and isinstance(value, dict | list | tuple):
        raise ValueError(f"{place[:80]}… is nested more than {MAX_DEPTH} deep")
    if isinstance(value, list | tuple):
        for number, item in enumerate(value):
            _raise_first(item, f"{place}[{number}]", depth + 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise TypeError(f"{place} is not JSON: its name {name!r} is no text")
            _raise_first(item, f"{place}[{name!r}]", depth + 1)
    elif not isinstance(value, (*_PLAIN, float)):
        raise TypeError(f"{place} is not JSON but {type(value).__name__}")


def _context(key: str, scope: Scope, record: dict[str, Any], version: int) -> Context:
    created_at, expires_at = record.get("created_at"), record.get("expires_at")
    metadata = record.get("metadata")
    if not _is_time(created_at) or not (expires_at is None or _is_time(expires_at)):
        raise CorruptEntry(key, "its times are not numbers")
    if not isinstance(metadata, dict) or "value" not in record:
        raise CorruptEntry(key, "it lacks a part")
    return Context(
        key=key,
        value=cast("Json", record["value"]),
        scope=scope,
        created_at=float(created_at),
        expires_at=None if expires_at is None else float(expires_at),
        metadata=metadata,
        version=version,
    )


def _is_time(value: object) -> TypeGuard[float]:
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, int)):
        return False
    return -_FURTHEST < value < _FURTHEST


@dataclass(frozen=True, slots=True)
class EntryEncoder:
    """Encodes contexts as write requests.

    A key has at most `KEY_LIMIT` characters, an encoded context at most `value_limit` bytes.
    """

    clock: Clock
    value_limit: int = VALUE_LIMIT

    def write_request(
        self,
        key: str,
        value: Json,
        scope: Scope | str,
        metadata: dict[str, Json] | None,
        ttl: float | None,
        disposable: bool | None,  # noqa: FBT001  # passed on from a keyword
    ) -> WriteRequest:
        """Return the request to store `value`; arguments and errors as `Fabric.set_context`."""
        if len(key) > KEY_LIMIT:
            raise KeyTooLong(key, KEY_LIMIT)
        now = self.clock()
        until = None if ttl is None else now + ttl
        context = Context(key, value, Scope(scope), now, until, metadata or {})
        data = encode(context)
        if len(data) > self.value_limit:
            raise ValueTooLarge(key, len(data), self.value_limit)
        if disposable is None:
            disposable = ttl is not None or context.scope is Scope.EXECUTION
        return WriteRequest(address(context.scope, key), data, now, ttl, disposable)
