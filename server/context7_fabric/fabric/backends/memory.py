"""A backend in this process's memory: for tests, and for a home that cannot be written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from context7_fabric.errors import StoreClosed
from context7_fabric.fabric.backends.base import Item

MAX_BYTES = 256 * 2**20


class MemoryBackend:
    """A dict of bytes, bounded by dropping what was written longest ago."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        """Hold at most `max_bytes` of values, or a single larger one."""
        self._entries: dict[str, bytes] = {}
        self._until: dict[str, float] = {}
        self._bytes = 0
        self._max_bytes = max_bytes
        self._open = True

    async def get(self, key: str) -> bytes | None:
        """Return the bytes under `key`, or None."""
        self._check()
        self._drop_expired(key)
        return self._entries.get(key)

    async def put(self, key: str, value: bytes, *, expires_in: float | None = None) -> None:
        """Store `value` under `key`, making room if need be."""
        self._check()
        self._remove(key)
        self._entries[key] = value
        if expires_in is not None:
            self._until[key] = time.monotonic() + expires_in
        self._bytes += len(value)
        while self._bytes > self._max_bytes and len(self._entries) > 1:
            self._remove(next(iter(self._entries)))

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` where nothing is, for `expires_in` seconds."""
        self._check()
        self._drop_expired(key)
        if key in self._entries:
            return False
        await self.put(key, value, expires_in=expires_in)
        return True

    async def delete(self, key: str) -> bool:
        """Remove `key`; tell whether it was there."""
        self._check()
        self._drop_expired(key)
        return self._remove(key)

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`."""
        self._check()
        for key in tuple(self._until):
            self._drop_expired(key)
        return [key for key in self._entries if key.startswith(prefix)]

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[Item], str | None]:
        """Return the next entries whose keys begin with `prefix`, behind the key `after`."""
        keys = sorted(key for key in await self.keys(prefix) if after is None or key > after)
        page = keys[:limit]
        return [(key, self._entries[key]) for key in page], page[-1] if keys[limit:] else None

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes]]:
        """Return the entries under `keys`."""
        found = [(key, await self.get(key)) for key in keys]
        return [(key, value) for key, value in found if value is not None]

    async def put_many(self, entries: Mapping[str, bytes]) -> None:
        """Store all of `entries`."""
        self._check()
        for key, value in entries.items():
            await self.put(key, value)

    async def aclose(self) -> None:
        """Forget everything."""
        self._open = False
        self._entries.clear()

    def _check(self) -> None:
        if not self._open:
            raise StoreClosed

    def _drop_expired(self, key: str) -> None:
        if time.monotonic() >= self._until.get(key, float("inf")):
            self._remove(key)

    def _remove(self, key: str) -> bool:
        self._until.pop(key, None)
        value = self._entries.pop(key, None)
        self._bytes -= len(value or b"")
        return value is not None
