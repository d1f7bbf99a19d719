"""Cache of values derived from the store, invalidated by any write to the store."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar, runtime_checkable

from context7_fabric.fabric.backend import Backend

_T = TypeVar("_T")

StoreRevision = object
"""Changes with every write of any process to the store.

Writes that no derived value depends on, such as call records and leases, need not change it.
"""


@runtime_checkable
class RevisionedBackend(Protocol):
    """A backend with a revision that is cheap to read."""

    def revision(self) -> StoreRevision | None:
        """Return the revision of the store, None when it is unknown now."""
        ...


def revision_of(backend: Backend) -> Callable[[], StoreRevision | None]:
    """Return a function for the revision of `backend`; where there is none, it returns None."""
    return backend.revision if isinstance(backend, RevisionedBackend) else lambda: None


class RevisionCache(Generic[_T]):
    """Values by key, which are all dropped after a write to the store.

    A caller reads `revision` before it derives a value, and passes it to `keep`: a write in between
    is never overlooked.
    """

    def __init__(self, revision: Callable[[], StoreRevision | None], most: int) -> None:
        """Keep at most `most` values while the result of `revision` is the same."""
        self._read_revision = revision
        self._most = most
        self._as_of: StoreRevision | None = None
        self._kept: dict[Hashable, _T] = {}

    def revision(self) -> StoreRevision | None:
        """Return the revision of the store, None if unknown, and drop outdated values."""
        now = self._read_revision()
        if now is None or now != self._as_of:
            self._kept.clear()
            self._as_of = now
        return now

    def get(self, key: Hashable) -> _T | None:
        """Return the value under `key`, which is valid as of the last call of `revision`."""
        return self._kept.get(key)

    def keep(self, key: Hashable, value: _T, as_of: StoreRevision | None) -> None:
        """Keep `value`, which was derived from the store at the revision `as_of`."""
        if as_of is None or as_of != self._as_of:
            return
        if len(self._kept) >= self._most:
            self._kept.clear()
        self._kept[key] = value
