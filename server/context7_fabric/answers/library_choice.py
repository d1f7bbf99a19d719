"""Meanings of names for one holder: exact or none, and the lessons that it stores."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from context7_fabric.answers.lookup import LookUp, subject_of
from context7_fabric.errors import StoreError
from context7_fabric.fabric.context import Json
from context7_fabric.registry.choices import Learned
from context7_fabric.registry.registry import Registry, Table
from context7_fabric.registry.rows import Row
from context7_fabric.registry.teaching import Lesson, found_row, learned_rows
from context7_fabric.views.visibility import Viewer

IN_PYTHON = "in Python"
"""What a name is looked up for, as far as the language of our callers tells."""

UNKNOWN = "unknown"
"""The category of a library that nobody has put into one."""


class Meanings:
    """Lessons go before choices, and these before the registry's rule; both are the holder's own.

    What a holder stored is no part of the registry: no look-up of another is answered by it.
    """

    def __init__(self, registry: Registry, learned: Learned, viewer: Viewer) -> None:
        """Look into `registry`, which has to be loaded; learn into `learned` for `viewer`."""
        self._registry = registry
        self._learned = learned
        self._principal = viewer.principal
        self._holder = viewer.holder

    async def meant(self, name: str) -> Row | None:
        """Return the row that `name` means, with an id that upstream is believed to know.

        A name that is used in several languages means the library that Python programs install.
        """
        row = await self.lesson(LookUp(name)) or await self._chosen(name)
        if row is not None:
            return row
        registry = self._registry
        row = found_row(name, registry) or found_row(name, registry, IN_PYTHON)
        return usable(row) if row else None

    async def lesson(self, look_up: LookUp) -> Row | None:
        """Return the row that the holder stored for a name, None when it stored none."""
        names = subject_of(look_up, self._registry).names
        return await self._learned.lesson(names, self._holder)

    async def lessons(self) -> list[Row]:
        """Return the rows that the holder stored."""
        return await self._learned.lessons(self._holder)

    async def rows(self) -> list[Row]:
        """Return the rows that the holder sees: the registry's, its own in their place."""
        own = {row.key: row for row in await self.lessons()}
        return [*own.values(), *(row for row in self._registry.rows() if row.key not in own)]

    async def row(self, library_id: str) -> Row | None:
        """Return the row of the library with id `library_id`, the holder's own first."""
        own = (row for row in await self.lessons() if row.id == library_id)
        return next(own, None) or self._registry.row(library_id)

    async def learn(self, lessons: Sequence[Lesson], now: float) -> None:
        """Store what `lessons` say.

        Raises:
            ContextError: The store does not take one of them.
            StoreError: It fails, or would not keep them.
        """
        rows = learned_rows(lessons, self._registry, Table(await self.lessons()), now)
        named = {
            each: row
            for name, row in rows.items()
            for each in subject_of(LookUp(name), self._registry).names
        }
        if not await self._learned.teach(named, self._holder):
            raise StoreError("the libraries could not be stored: the log says why")
        for name, row in named.items():
            await self._learned.choose(name, row.id, self._holder)

    async def _chosen(self, name: str) -> Row | None:
        """Return the row that was chosen for `name`, if it goes by that name."""
        names = subject_of(LookUp(name), self._registry).names
        chosen = await self._learned.choice(names, self._holder)
        if chosen is None:
            return None
        row = self._registry.row(await self._learned.moved(chosen, self._principal))
        if row is None or row.id not in self._registry.named(name, {row.id: row.title}):
            return None
        return usable(row)


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
