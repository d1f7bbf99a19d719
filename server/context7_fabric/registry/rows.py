"""One row of the registry: a library that somebody may mean by a name. Values only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID, uuid5

NAMESPACE = UUID("6f1c5cf5-5d0e-5b0c-9d1e-2a4c2d1b7f10")
"""Namespace of the ids that rows have in a vector index; it never changes."""

COLLECTION = "library_registry"

LIVE = "context7-live-resolve"
"""The source of rows that callers added."""


@dataclass(frozen=True, slots=True)
class Row:
    """A library by name and ecosystem, which together are its key.

    `ecosystem` is where it is published (pypi, npm, crates, go, maven, other) or "" where nobody
    knows. `id` is empty where nobody knows it; `last_verified` (epoch seconds) is None until
    upstream listed the id. `source` is `seed`, `context7` or
    `context7-live-resolve` (somebody's own resolver).
    """

    name: str
    ecosystem: str
    id: str = ""
    aliases: tuple[str, ...] = ()
    category: str = ""
    title: str = ""
    description: str = ""
    versions: tuple[str, ...] = ()
    snippets: int | None = None
    reputation: str | None = None
    score: float | None = None
    last_verified: float | None = None
    usage_count: int = 0
    source: str = "seed"
    broken: bool = False

    @property
    def key(self) -> str:
        """The row's key, readable: `lib-{ecosystem}-{name}`."""
        return f"lib-{self.ecosystem}-{self.name}"

    @property
    def point_id(self) -> str:
        """The row's id in a vector index, a UUID derived from its key."""
        return str(uuid5(NAMESPACE, self.key))

    @property
    def text(self) -> str:
        """What an embedding of the row is made of: name, aliases, description."""
        names = ", ".join(dict.fromkeys(filter(None, (self.title, self.name, *self.aliases))))
        return f"{names}: {self.description}" if self.description else names


def naming(row: Row) -> tuple[object, ...]:
    """Return what of a row decides which names mean it."""
    return row.name, row.aliases, row.ecosystem, row.id


def vouched(row: Row, seed: Row | None) -> Row | None:
    """Return what upstream or the `seed` of its key vouches for in a stored row, None if nothing.

    Earlier releases kept in the rows what callers claimed: rows of their own, aliases, and the id
    of a row that upstream had never listed, which shows in that it has no title.
    """
    if row.source == LIVE:
        return seed
    known = seed or replace(row, id="", aliases=(), last_verified=None)
    is_listed = bool(row.title) or row.last_verified is None
    kept = row if is_listed else replace(row, id=known.id, last_verified=known.last_verified)
    return replace(kept, aliases=known.aliases)
