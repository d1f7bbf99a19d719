"""What was worked out from the store, kept for as long as nobody writes to it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar, runtime_checkable

from context7_fabric.fabric.backend import Backend

_T = TypeVar("_T")

StoreRevision = object
"""Equal to an earlier one only if no process wrote to the store in between.

What nothing is worked out from may be left out, such as records of calls and leases.
"""


@runtime_checkable
class RevisionedBackend(Protocol):
    """A backend that can tell at once, and for next to nothing, whether somebody wrote to it."""

    def revision(self) -> StoreRevision | None:
        """Return the revision of what is stored, None when it cannot be told now."""
        ...


def revision_of(backend: Backend) -> Callable[[], StoreRevision | None]:
    """Return what tells the revision of `backend`: always None where that is not known."""
    return backend.revision if isinstance(backend, RevisionedBackend) else lambda: None


class RevisionCache(Generic[_T]):
    """Values by key, all forgotten with the first write to the store, whoever makes it.

    Whoever works a value out asks for `revision` first, and keeps the value as of that: a write
    that comes in between is then never overlooked.
    """

    def __init__(self, revision: Callable[[], StoreRevision | None], most: int) -> None:
        """Keep at most `most` values while `revision` stays the same."""
        self._told = revision
        self._most = most
        self._as_of: StoreRevision | None = None
        self._kept: dict[Hashable, _T] = {}

    def revision(self) -> StoreRevision | None:
        """Return how the store stands, None when that is not known; forget what is out of date."""
        now = self._told()
        if now is None or now != self._as_of:
            self._kept.clear()
            self._as_of = now
        return now

    def get(self, key: Hashable) -> _T | None:
        """Return what is kept under `key`, which was true when `revision` was last asked for."""
        return self._kept.get(key)

    def keep(self, key: Hashable, value: _T, as_of: StoreRevision | None) -> None:
        """Keep `value`, worked out from the store since its revision was `as_of`."""
        if as_of is None or as_of != self._as_of:
            return
        if len(self._kept) >= self._most:
            self._kept.clear()
        self._kept[key] = value
