"""Between a context and the bytes that a backend keeps: JSON with a format version and a checksum.

Bytes of another version, truncated, damaged or foreign bytes decode to `CorruptEntry`, never to a
wrong value.
"""

from __future__ import annotations

import json
from typing import Any, TypeGuard, cast
from zlib import crc32

from pydantic_core import from_json

from context7_fabric.errors import CorruptEntry
from context7_fabric.fabric.context import Context, Json, Scope

FORMAT = 1
MAX_DEPTH = 100
"""How many lists and objects may stand inside of one another."""

_START = b'{"format":%d,' % FORMAT
_HEAD = _START + b'"crc32":"%08x",'
_HEAD_LENGTH = len(_HEAD % 0)
_FURTHEST = 1e15
"""Seconds from the epoch beyond which nothing is a time."""


def encode(context: Context) -> bytes:
    """Return the bytes of `context`: one JSON object, which people can read too.

    Raises:
        TypeError: The value or the metadata is not JSON.
        ValueError: It holds NaN or an infinity, or is nested more than `MAX_DEPTH` deep.
    """
    record = {
        "value": context.value,
        "metadata": context.metadata,
        "created_at": context.created_at,
        "expires_at": context.expires_at,
    }
    _check(record)
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    body = text.encode("utf-8", "surrogatepass").removeprefix(b"{")
    return _HEAD % crc32(body) + body


def decode(key: str, scope: Scope, data: bytes) -> Context:
    """Return the context that `data` holds for `key`.

    Raises:
        CorruptEntry: The bytes are not an entry of this format.
    """
    if not data.startswith(_START):
        raise CorruptEntry(key, "not of a format this version reads")
    if data[:_HEAD_LENGTH] != _HEAD % crc32(data[_HEAD_LENGTH:]):
        raise CorruptEntry(key, "its checksum is wrong")
    try:
        record = _parsed(data)
    except (ValueError, RecursionError) as error:
        raise CorruptEntry(key, "not JSON") from error
    return _context(key, scope, record)


def _parsed(data: bytes) -> Any:  # noqa: ANN401  # any JSON
    """Read JSON; pydantic's reader takes a third of the time, but knows no lone surrogates."""
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError:
        return json.loads(data.decode("utf-8", "surrogatepass"))


def _check(value: object, depth: int = 0) -> None:
    """Refuse what json would write and not read back: names that are no text, deep nesting."""
    if depth > MAX_DEPTH + 1:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise TypeError("a name in a JSON object is text")
        value = list(value.values())
    for item in value if isinstance(value, list | tuple) else ():
        _check(item, depth + 1)


def _context(key: str, scope: Scope, record: dict[str, Any]) -> Context:
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
    )


def _is_time(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -_FURTHEST < value < _FURTHEST
