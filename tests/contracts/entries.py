"""Short words for what the contracts of backends do over and over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from context7_fabric.fabric.backend import Backend, BackendEntry, WriteRequest

LONG = 3600.0
PAST = -1.0


async def put(backend: Backend, key: str, value: bytes, *, expires_in: float | None = None) -> None:
    """Store one disposable entry."""
    await backend.write([WriteRequest(key, value, expires_in=expires_in)])


async def put_many(backend: Backend, entries: Mapping[str, bytes]) -> None:
    """Store several at once."""
    await backend.write([WriteRequest(key, value) for key, value in entries.items()])


async def got(backend: Backend, key: str) -> bytes | None:
    """Return the bytes under a key."""
    entry = await backend.get(key)
    return entry.value if entry else None


def held(entries: Sequence[BackendEntry]) -> dict[str, bytes]:
    """Return the bytes of entries by their keys."""
    return {entry.key: entry.value for entry in entries}


async def everything(backend: Backend, prefix: str, page: int = 3) -> list[BackendEntry]:
    """Return all entries of a prefix, read a few at a time."""
    found: list[BackendEntry] = []
    after: str | None = None
    while True:
        entries, after = await backend.items(prefix, after, page)
        assert len(entries) <= page
        found += entries
        if after is None:
            return found
