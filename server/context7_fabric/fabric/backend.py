"""Interface between the fabric and a medium: bytes under readable keys, in the order of time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

AUTHORED_LIMIT = 10_000
"""Most authored entries, which are never evicted; more are refused."""

AUTHORED_BYTES = 128 * 2**20
"""Most bytes of their values, which are also bounded by half of the medium."""

CLOCK_SLACK = 300.0
"""Seconds that a stored time may lie in the future, for clocks differ. Later times are invalid."""

CHECKED_START = b'{"format":2,'
"""Start of values with a checksum over their key, which shows that a value is another key's."""

_T = TypeVar("_T")


class BackendEntry(NamedTuple):
    """A key and its value; `version` counts the writes of the key, from 1."""

    key: str
    value: bytes
    version: int = 1


WrittenKeys: TypeAlias = tuple[str, ...] | None
"""Keys that were written or removed; None for any number of unknown keys."""


class EntryPosition(NamedTuple):
    """Position of an entry in the order of time; `at` is in seconds since the epoch."""

    at: float
    key: str


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """An entry to be stored under its key, with its time `at`.

    After `expires_in` seconds the medium may drop it; None keeps it. A full medium evicts
    `disposable` entries and never others.
    """

    key: str
    value: bytes
    at: float = 0.0
    expires_in: float | None = None
    disposable: bool = True


def authored_room(most: int) -> int:
    """Return how many of the `most` bytes of a medium authored values may take."""
    return min(AUTHORED_BYTES, most // 2)


@runtime_checkable
class WatchableBackend(Protocol):
    """A backend that knows whether it keeps entries."""

    def trouble(self) -> str | None:
        """Return why nothing is kept, None when entries are kept."""
        ...


class Backend(Protocol):
    """Keeps bytes under string keys.

    Every method raises `StoreClosed` after `aclose` and `StoreUnavailable` when the medium fails.
    """

    async def get(self, key: str) -> BackendEntry | None:
        """Return the entry under `key`, None when there is none.

        Raises:
            CorruptEntry: There is one that we did not write.
        """
        ...

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`, in one round trip."""
        ...

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        """Store all of `puts` and remove `deletes`, or change nothing; one round trip.

        Raises:
            TooManyAuthored, TooMuchAuthored: There is no room for the authored entries.
        """
        ...

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` under a free `key` for `expires_in` seconds; return whether it was free.

        Atomic over all processes that share the medium. Where ends are times of this machine's
        clock, an entry that ends more than `CLOCK_SLACK` seconds later than the new one is
        replaced: the clock was ahead when it was stored.
        """
        ...

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        """Replace the value `old` by the disposable `new`, or remove it if `new` is None.

        Returns whether `old` was there. Foreign values are never equal to `old`. `expires_in` is
        as in `WriteRequest`. Atomic as `add`.
        """
        ...

    async def delete(self, key: str) -> bool:
        """Remove `key`; return whether it existed."""
        ...

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`, in no particular order."""
        ...

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return a page of readable entries whose keys begin with `prefix`, by key.

        It starts after the key `after` (None: at the first) and has `limit` entries at most, in one
        round trip. The second result is the key to continue after, None at the end.
        """
        ...

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return a page of positions of keys that begin with `prefix`, the newest first.

        It starts after `after` (None: at the newest) and has `limit` positions at most. Entries of
        one time are in the reverse order of their keys.
        """
        ...

    def info(self) -> dict[str, object]:
        """Return facts about the medium: `backend`, `memory` (bytes), `memory_human` and more.

        Like `dbsize` a plain call, which may block.
        """
        ...

    def dbsize(self, prefix: str = "") -> int:
        """Return the number of entries whose keys begin with `prefix`."""
        ...

    async def aclose(self) -> None:
        """Close the medium; a second call does nothing."""
        ...


class ForwardingBackend(ABC):
    """Forwards every call to another backend, by way of `_forward`."""

    @abstractmethod
    async def _forward(self, operation: str, call: Callable[[Backend], Awaitable[_T]]) -> _T:
        """Return the result of `call` on the other backend; `operation` names it in errors."""

    async def get(self, key: str) -> BackendEntry | None:
        """Return the entry under `key`."""
        return await self._forward("get", lambda backend: backend.get(key))

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`."""
        return await self._forward("get", lambda backend: backend.get_many(keys))

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        """Store and remove."""
        await self._forward("put", lambda backend: backend.write(puts, deletes))

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` under a free `key`."""
        return await self._forward(
            "add", lambda backend: backend.add(key, value, expires_in=expires_in)
        )

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        """Replace or remove the value `old`."""
        return await self._forward(
            "swap", lambda backend: backend.swap(key, old, new, expires_in=expires_in)
        )

    async def delete(self, key: str) -> bool:
        """Remove `key`; return whether it existed."""
        return await self._forward("delete", lambda backend: backend.delete(key))

    async def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`."""
        return await self._forward("keys", lambda backend: backend.keys(prefix))

    async def items(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[BackendEntry], str | None]:
        """Return a page of readable entries below `prefix`, by key."""
        return await self._forward("items", lambda backend: backend.items(prefix, after, limit))

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return a page of positions below `prefix`, the newest first."""
        return await self._forward("query", lambda backend: backend.newest(prefix, after, limit))


def human_size(size: float) -> str:
    """Return a number of bytes as Redis prints it, such as 1.50M."""
    for unit in "BKMG":
        if size < 1024 or unit == "G":  # noqa: PLR2004  # bytes in a K
            break
        size /= 1024
    return f"{size:.0f}B" if unit == "B" else f"{size:.2f}{unit}"
