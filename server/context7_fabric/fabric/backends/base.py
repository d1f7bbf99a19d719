"""The seam between the fabric and a medium: bytes under readable keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

Item = tuple[str, bytes]
"""A key and what is stored under it."""


class Backend(Protocol):
    """Keeps bytes under string keys.

    Every method raises `StoreClosed` after `aclose` and `StoreUnavailable` when the medium fails.
    """

    async def get(self, key: str) -> bytes | None:
        """Return what is stored under `key`, None when nothing is.

        Raises:
            CorruptEntry: Something is there, and it is not bytes that we wrote.
        """
        ...

    async def put(self, key: str, value: bytes, *, expires_in: float | None = None) -> None:
        """Store `value` under `key`, in place of what was there.

        After `expires_in` seconds the medium may drop it; None keeps it.
        """
        ...

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` only where nothing is, for `expires_in` seconds; tell whether it was.

        Atomic over every process that shares the medium.
        """
        ...

    async def delete(self, key: str) -> bool:
        """Remove `key`; tell whether it was there."""
        ...

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`, in no particular order."""
        ...

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[Item], str | None]:
        """Return the next readable entries whose keys begin with `prefix`, by key.

        Those behind the key `after` (None: from the start), `limit` at most, in one round trip; and
        the key to go on behind, None when there are no more.
        """
        ...

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes]]:
        """Return the readable entries under `keys`, in one round trip."""
        ...

    async def put_many(self, entries: Mapping[str, bytes]) -> None:
        """Store all of `entries`, or none of them."""
        ...

    async def aclose(self) -> None:
        """Let go of the medium; a second call does nothing."""
        ...
