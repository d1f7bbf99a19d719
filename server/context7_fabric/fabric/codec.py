"""Between a context and the bytes that a backend keeps: JSON with a format version.

Bytes of another version, truncated or foreign bytes decode to `CorruptEntry`, never to a wrong
value.
"""

from __future__ import annotations

import json
from typing import Any, TypeGuard, cast

from context7_fabric.errors import CorruptEntry
from context7_fabric.fabric.context import Context, Json, Scope

FORMAT = 1


def encode(context: Context) -> bytes:
    """Return the bytes of `context`.

    Raises:
        TypeError: The value or the metadata is not JSON.
        ValueError: It holds NaN or an infinity.
    """
    record = {
        "format": FORMAT,
        "value": context.value,
        "metadata": context.metadata,
        "created_at": context.created_at,
        "expires_at": context.expires_at,
    }
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


def decode(key: str, scope: Scope, data: bytes) -> Context:
    """Return the context that `data` holds for `key`.

    Raises:
        CorruptEntry: The bytes are not an entry of this format.
    """
    try:
        record: Any = json.loads(data.decode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise CorruptEntry(key, "not JSON") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise CorruptEntry(key, "not of a format this version reads")
    return _context(key, scope, record)


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
    return isinstance(value, int | float) and not isinstance(value, bool)
