"""Exact rule for the library that a look-up means, over the registry's names and aliases.

A wrong library is worse than none, so nothing is guessed or corrected. A name that two libraries
share is ambiguous until a language word or the question tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from operator import itemgetter
from typing import Generic, Literal, Protocol, TypeVar

from context7_fabric.registry.readings import (
    Ecosystems,
    Reading,
    both,
    languages_in,
    readings,
    spelling,
)

# Registries that refuse a name which differs from another only by its separators.
_SEPARATORS_MAY_GO = frozenset({"npm", "pypi"})
_JAVASCRIPT = re.compile(r"(.*[^.-])[.-]?js")


class NamedRow(Protocol):
    """Fields of a row that the index needs."""

    @property
    def key(self) -> str:
        """Unique key, made of name and ecosystem."""

    @property
    def name(self) -> str:
        """Name as its ecosystem spells it."""

    @property
    def aliases(self) -> Collection[str]:
        """Other names for the same library."""

    @property
    def ecosystem(self) -> str:
        """Ecosystem that it is published in."""

    @property
    def id(self) -> str:
        """Upstream's id; empty if it is not known."""


RowT = TypeVar("RowT", bound=NamedRow)


@dataclass(frozen=True, slots=True)
class NameMatch(Generic[RowT]):
    """Library that a look-up means, and the version asked for.

    `tier` is "name" for the name of its ecosystem, "alias" for any other. `called` is the bare name
    in the caller's own, normalised spelling.
    """

    row: RowT
    tier: Literal["name", "alias"]
    version: str | None
    called: str


class _Rank(IntEnum):
    """Kind of name; within an ecosystem the first kind wins."""

    NAME = 0
    ALIAS = 1
    VARIANT = 2


class NameIndex(Generic[RowT]):
    """Index of rows by name; a look-up takes constant time."""

    def __init__(self, rows: Iterable[RowT] = ()) -> None:
        self._rows: dict[str, RowT] = {}
        # A row without a list around it, as most spellings belong to one row.
        self._spelled: dict[str, RowT | list[RowT]] = {}
        for row in rows:
            self.add(row)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: RowT) -> None:
        """Index `row` in place of the one with its key."""
        key = row.key
        if key in self._rows:
            self.discard(key)
        self._rows[key] = row
        for spelled in _spellings(row):
            if spelled in self._spelled:
                self._keep(spelled, [*self._called(spelled), row])
            else:
                self._spelled[spelled] = row

    def discard(self, key: str) -> None:
        """Remove the row with this key, if there is one."""
        row = self._rows.pop(key, None)
        for spelled in _spellings(row) if row is not None else ():
            self._keep(spelled, [other for other in self._called(spelled) if other is not row])

    def find(self, text: str, question: str = "") -> NameMatch[RowT] | None:
        """Return the library that `text` means; None if there is none or it is not certain.

        A language that `question` names has to agree.
        """
        for asked in readings(text):
            bare, glued = self._called(asked.name), self._called(asked.glued)
            if bare or glued:
                return _decided(asked, bare, glued, question)
        return None

    def namesakes(self, text: str, question: str = "") -> list[RowT]:
        """Return the rows that have the name in `text` and agree with each language named.

        They are candidates: `find` alone decides which of them is meant.
        """
        for asked in readings(text):
            if called := [*self._called(asked.name), *self._called(asked.glued)]:
                hints = languages_in(question, besides=asked.name)
                return _admitted(called, both(asked.ecosystems, hints))
        return []

    def _called(self, spelled: str) -> Sequence[RowT]:
        rows = self._spelled.get(spelled, [])
        return rows if isinstance(rows, list) else [rows]

    def _keep(self, spelled: str, rows: list[RowT]) -> None:
        if rows:
            self._spelled[spelled] = rows if rows[1:] else rows[0]
        else:
            del self._spelled[spelled]


def fitting(text: str, rows: Iterable[RowT]) -> list[RowT]:
    """Return the rows named by the first reading of `text` that names any of them.

    A language word in `text` leaves only rows that are known to be of its ecosystems.
    """
    spelled = [(row, _spellings(row)) for row in rows]
    for asked in readings(text):
        wanted = {asked.name, asked.glued} - {""}
        named = [row for row, spellings in spelled if not wanted.isdisjoint(spellings)]
        if named:
            admitted = asked.ecosystems
            return [row for row in named if admitted is None or row.ecosystem in admitted]
    return []


def shares_name(row: NamedRow, other: NamedRow) -> bool:
    """Return whether a look-up may call `row` by a name or an alias of `other`."""
    named = {_own(text) for text in (other.name, *other.aliases)} - {""}
    return not named.isdisjoint(_spellings(row))


def _spellings(row: NamedRow) -> set[str]:
    """Return the spellings of a row's names; the row's own string is reused if it is equal."""
    own = {_own(text) for text in (row.name, *row.aliases)}
    return own.union(_variants(row, own).difference(own)) - {""}


def _variants(row: NamedRow, own: set[str]) -> set[str]:
    hyphened = spelling(row.name).replace(".", "-")
    if row.ecosystem not in _SEPARATORS_MAY_GO:
        return {hyphened}
    stems = {match[1] for name in own if (match := _JAVASCRIPT.fullmatch(name))}
    return {hyphened, hyphened.replace("-", "")} | {
        f"{stem}{ending}" for stem in stems for ending in (".js", "js")
    }


def _own(text: str) -> str:
    spelled = spelling(text)
    return text if text == spelled else spelled


def _rank(row: NamedRow, spelled: str) -> _Rank:
    if spelling(row.name) == spelled:
        return _Rank.NAME
    if any(spelling(alias) == spelled for alias in row.aliases):
        return _Rank.ALIAS
    return _Rank.VARIANT


def _decided(
    asked: Reading, bare: Sequence[RowT], glued: Sequence[RowT], question: str
) -> NameMatch[RowT] | None:
    """Return the one library among those named `asked.name` and those named `asked.glued`."""
    hints = languages_in(question, besides=asked.name)
    # A question with several languages may be about any of them: it confirms but never decides.
    choosing = hints if hints is not None and len(hints) <= 1 else None
    admitted = both(asked.ecosystems, choosing)
    named = _matches(bare, asked.name, asked.version, admitted)
    attached = _matches(glued, asked.glued, None, admitted)
    matches = [*named, *attached]
    if len({match.row.id or match.row.key for match in matches}) != 1:
        return None
    first = matches[0]
    if hints is not None and first.row.ecosystem not in hints:
        return None
    # "boto 3" is boto3; "boto 3.1" may be a version of something else.
    return first if named or (asked.version or "").isdigit() else None


def _admitted(rows: Iterable[RowT], ecosystems: Ecosystems | None) -> list[RowT]:
    return [row for row in rows if ecosystems is None or row.ecosystem in ecosystems]


def _matches(
    rows: Sequence[RowT], called: str, version: str | None, admitted: Ecosystems | None
) -> list[NameMatch[RowT]]:
    """Return the rows that rank first in their ecosystem, of those that are admitted."""
    ranked = [(_rank(row, called), row) for row in _admitted(rows, admitted)]
    best: dict[str, _Rank] = {}
    for rank, row in ranked:
        best[row.ecosystem] = min(rank, best.get(row.ecosystem, rank))
    return [
        NameMatch(row, "name" if rank is _Rank.NAME else "alias", version, called)
        for rank, row in sorted(ranked, key=itemgetter(0))
        if rank == best[row.ecosystem]
    ]
