"""The seam between the fabric and a medium: bytes under readable keys, in order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

AUTHORED_LIMIT = 10_000
"""Entries that somebody wrote by hand, which no medium ever evicts: more of them are refused."""

AUTHORED_BYTES = 128 * 2**20
"""Bytes that their values take at most, and never more than half of what a medium may hold."""

CLOCK_SLACK = 300.0
"""Seconds that a stored time may lie in the future: clocks differ. Beyond, it is not believed."""

SEALED = b'{"format":2,'
"""Values that begin so have a checksum over their key, and are told from another key's by it."""


class BackendEntry(NamedTuple):
    """What is kept under a key; `version` counts its writes, the first is 1."""

    key: str
    value: bytes
    version: int = 1


Written: TypeAlias = tuple[str, ...] | None
"""The keys that somebody wrote to a medium or removed from it; None: it may have been any."""


class EntryPosition(NamedTuple):
    """Where an entry stands in the order of time; `at` is in seconds since the epoch."""

    at: float
    key: str


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One entry to be stored, in place of what was there.

    `at` is its time. After `expires_in` seconds the medium may drop it; None keeps it. A medium
    that is full makes room by dropping those that are `disposable`, and never others.
    """

    key: str
    value: bytes
    at: float = 0.0
    expires_in: float | None = None
    disposable: bool = True


def authored_room(most: int) -> int:
    """Return how many bytes authored values may take of the `most` that a medium holds."""
    return min(AUTHORED_BYTES, most // 2)


@runtime_checkable
class WatchableBackend(Protocol):
    """A backend that can tell when nothing is kept."""

    def trouble(self) -> str | None:
        """Return why nothing is kept, None when it is."""
        ...


class Backend(Protocol):
    """Keeps bytes under string keys.

    Every method raises `StoreClosed` after `aclose` and `StoreUnavailable` when the medium fails.
    """

    async def get(self, key: str) -> BackendEntry | None:
        """Return what is stored under `key`, None when nothing is.

        Raises:
            CorruptEntry: Something is there, and it is not bytes that we wrote.
        """
        ...

    async def get_many(self, keys: Sequence[str]) -> list[BackendEntry]:
        """Return the readable entries under `keys`, in one round trip."""
        ...

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        """Store all of `puts` and remove `deletes`, or do nothing of it; one round trip.

        Raises:
            TooManyAuthored, TooMuchAuthored: There is no room for what is not disposable.
        """
        ...

    async def add(self, key: str, value: bytes, *, expires_in: float) -> bool:
        """Store `value` only where nothing is, for `expires_in` seconds; tell whether it was.

        Atomic over every process that shares the medium. Where ends are times of this machine's
        clock, one that ends more than `CLOCK_SLACK` seconds later than this would is replaced: it
        was stored while the clock was ahead.
        """
        ...

    async def swap(
        self, key: str, old: bytes, new: bytes | None, *, expires_in: float | None = None
    ) -> bool:
        """Store `new` as disposable only where `old` is, or if it is None remove that.

        Returns whether it was so. `expires_in` is as in `WriteRequest`. What is not bytes that we
        wrote is never `old`. Atomic as `add`.
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
    ) -> tuple[list[BackendEntry], str | None]:
        """Return the next readable entries whose keys begin with `prefix`, by key.

        Those behind the key `after` (None: from the start), `limit` at most, in one round trip; and
        the key to go on behind, None when there are no more.
        """
        ...

    async def newest(
        self, prefix: str, after: EntryPosition | None, limit: int
    ) -> list[EntryPosition]:
        """Return the next entries whose keys begin with `prefix`, the newest first.

        Those behind `after` (None: from the newest), `limit` at most; entries of one time stand in
        the reverse order of their keys.
        """
        ...

    def info(self) -> dict[str, object]:
        """Tell of the medium: `backend`, `memory` (bytes it takes), `memory_human` and more.

        A plain call, which may block; so is `dbsize`.
        """
        ...

    def dbsize(self, prefix: str = "") -> int:
        """Return how many entries have keys that begin with `prefix`."""
        ...

    async def aclose(self) -> None:
        """Let go of the medium; a second call does nothing."""
        ...


def human(size: float) -> str:
    """Return a number of bytes as people say it, as Redis does: 1.50M."""
    for unit in "BKMG":
        if size < 1024 or unit == "G":  # noqa: PLR2004  # bytes in a K
            break
        size /= 1024
    return f"{size:.0f}B" if unit == "B" else f"{size:.2f}{unit}"
