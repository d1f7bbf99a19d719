"""Which library a name means to one principal, exactly or not at all, and what it is taught."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from context7_fabric.errors import StoreError
from context7_fabric.fabric.context import Json
from context7_fabric.registry.learned import Learned
from context7_fabric.registry.learning import LIVE, Lesson, found_row, learned_rows
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row
from context7_fabric.registry.store import RowStore
from context7_fabric.services.subjects import LookUp, subject_of

IN_PYTHON = "in Python"
"""What a name is looked up for, as far as the language of our callers tells."""

UNKNOWN = "unknown"
"""The category of a library that nobody has put into one."""


class Meanings:
    """Choices go before the registry's rule; both are `principal`'s."""

    def __init__(
        self, registry: Registry, rows: RowStore, learned: Learned, principal: str
    ) -> None:
        """Look into `registry`, which has to be loaded; learn into `rows` and `learned`."""
        self._registry = registry
        self._rows = rows
        self._learned = learned
        self._principal = principal

    async def meant(self, name: str) -> Row | None:
        """Return the row that `name` means, with an id that upstream is believed to know.

        A name that is used in several languages means the library that Python programs install.
        """
        subject = subject_of(LookUp(name), self._registry)
        chosen = await self._choice(subject.names)
        if chosen is not None:
            bare = Row(subject.plain, "", chosen, source=LIVE)
            return usable(self._registry.row(chosen) or bare)
        registry = self._registry
        row = found_row(name, registry) or found_row(name, registry, IN_PYTHON)
        return usable(row) if row else None

    async def learn(self, lessons: Sequence[Lesson], now: float) -> list[Row]:
        """Store what `lessons` say, for the registry as well; return the rows.

        Raises:
            ContextError: The store does not take one of them.
            StoreError: It fails, or would not keep them.
        """
        rows = learned_rows(lessons, self._registry, now)
        for lesson in lessons:
            for name in subject_of(LookUp(lesson.name), self._registry).names:
                await self._learned.choose(name, lesson.library_id.base, self._principal)
        if not await self._rows.save(rows):
            raise StoreError("the libraries could not be stored: the log tells why")
        self._registry.take_in_stored(rows)
        return rows

    async def _choice(self, names: Sequence[str]) -> str | None:
        """Return the id that was chosen for the first of `names` that has one."""
        chosen = await self._learned.choice(names, self._principal)
        return None if chosen is None else await self._learned.moved(chosen, self._principal)


def usable(row: Row) -> Row | None:
    """Return `row`; None when its id is not known, or not upstream's any more."""
    return row if row.id and not row.broken else None


def metadata_of(row: Row) -> dict[str, Json]:
    """Return what users are told of a row; `last_verified` is empty where it never was."""
    verified = row.last_verified
    return {
        "library_name": row.name,
        "library_id": row.id,
        "aliases": list(row.aliases),
        "category": row.category or UNKNOWN,
        "ecosystem": row.ecosystem,
        "description": row.description,
        "last_verified": "" if verified is None else shown_moment(verified),
        "usage_count": row.usage_count,
        "source": row.source,
    }


def shown_moment(moment: float) -> str:
    """Return a time in epoch seconds in ISO 8601."""
    return datetime.fromtimestamp(moment, UTC).isoformat()
