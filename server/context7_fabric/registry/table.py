"""The rows in memory: by key, by id, and by the names that mean them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from context7_fabric.parsing.libraries import Library
from context7_fabric.registry.names import (
    Match,
    NameIndex,
    fitting,
    goes_by_one_of,
    languages_in,
)
from context7_fabric.registry.rows import Row, naming
from context7_fabric.registry.versions import is_version


@dataclass(frozen=True, slots=True)
class _Listed:
    """A library of a list by all that it goes by; `ecosystem` is "" where it is not known."""

    id: str
    name: str
    aliases: tuple[str, ...]
    ecosystem: str = ""

    @property
    def key(self) -> str:
        return self.id


class Table:
    """Rows, and what finds them; what a name finds is the row as it is now."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        """Hold `rows`; with 100,000 of them this takes seconds."""
        self.rows = {row.key: row for row in rows}
        self._keys = {row.id: key for key, row in self.rows.items() if row.id}
        self._index = NameIndex(row for row in self.rows.values() if row.ecosystem)

    def row(self, library_id: str) -> Row | None:
        """Return the row of the library with id `library_id` (no version)."""
        key = self._keys.get(library_id)
        return None if key is None else self.rows[key]

    def find(self, text: str, question: str = "") -> Match[Row] | None:
        """Return the row that a name means, guarded by what the question says of the language."""
        match = self._index.find(text, question)
        return match and replace(match, row=self._now(match.row))

    def namesakes(self, text: str, question: str = "") -> list[Row]:
        """Return every row that goes by a name and agrees with each language named."""
        return [self._now(row) for row in self._index.namesakes(text, question)]

    def put(self, row: Row) -> None:
        """Put `row` in place of the one with its key."""
        before = self.rows.get(row.key)
        if before is not None and before.id != row.id:
            self._keys.pop(before.id, None)
        self.rows[row.key] = row
        if row.id:
            self._keys[row.id] = row.key
        if row.ecosystem and (before is None or naming(before) != naming(row)):
            self._index.add(row)

    def named(self, text: str, titles: Mapping[str, str]) -> frozenset[str]:
        """Return which libraries `text` means by the exact rule, of those with `titles` by id.

        Each goes by its title, its project and the names of its row; one that is titled as a row
        that `text` means goes by that row's names as well.
        """
        match = self.find(text)
        meant = [match.row] if match else self.namesakes(text)
        listed = [self._listed(*each, meant) for each in titles.items()]
        return frozenset(each.id for each in fitting(text, listed))

    def _listed(self, library_id: str, title: str, meant: Iterable[Row]) -> _Listed:
        row, own = self.row(library_id), (title, *_project(library_id))
        if row is not None and row.ecosystem:
            return _Listed(library_id, row.name, (*own, *row.aliases), row.ecosystem)
        bare = _Listed(library_id, own[-1], own)
        shared = [each for each in meant if goes_by_one_of(each, bare)]
        names = (name for each in shared for name in (each.name, *each.aliases))
        return replace(bare, aliases=(*own, *names))

    def taught(self, listed: Sequence[Library], asked: Match[Row] | None, now: float) -> list[Row]:
        """Return the rows that the entries of upstream's list make, verified `now`.

        Each is made of the row that has the entry's id, of the one `asked` for, or of none. The
        row asked for gets no id where several entries have its name.
        """
        titles = {entry.id: entry.title for entry in listed}
        is_one = asked is not None and len(self.named(asked.row.name, titles)) == 1
        asked = asked if is_one else None
        return [self._taught(entry, asked, now) for entry in listed]

    def _taught(self, entry: Library, asked: Match[Row] | None, now: float) -> Row:
        row = self.row(entry.id) or self._meant(entry, asked) or _new_row(entry)
        return replace(
            row,
            id=entry.id,
            title=entry.title,
            description=entry.description or row.description,
            versions=entry.versions,
            snippets=entry.snippets,
            reputation=entry.reputation,
            score=entry.benchmark,
            last_verified=now,
            broken=False,
        )

    def _meant(self, entry: Library, asked: Match[Row] | None) -> Row | None:
        """Return the row asked for when it has no id yet and the entry's title is its name."""
        row = None if asked is None else self.rows.get(asked.row.key)
        if row is None or row.id or _speaks_of_another(entry, row):
            return None
        titled = self.find(entry.title)
        return row if titled is not None and titled.row.key == row.key else None

    def _now(self, row: Row) -> Row:
        """Return a row of the index, which knows it as it was named, as it is now."""
        return self.rows.get(row.key, row)


def _speaks_of_another(entry: Library, row: Row) -> bool:
    """Tell whether an entry names languages, by its project or description, but not the row's."""
    words = f"{entry.id.rpartition('/')[2].replace('-', ' ')}. {entry.description}"
    languages = languages_in(words, besides=row.name)
    return languages is not None and row.ecosystem not in (languages | {"other"})


def _new_row(entry: Library) -> Row:
    return Row(name=entry.id.lstrip("/"), ecosystem="", source="context7")


def differences(before: dict[str, Row], after: dict[str, Row]) -> tuple[list[str], list[Row]]:
    """Return the keys of the rows that are gone, and those that are new or changed."""
    gone = [key for key in before if key not in after]
    return gone, [row for key, row in after.items() if before.get(key) != row]


def _project(library_id: str) -> tuple[str, ...]:
    """Return the project part of an id; none of an id that names a part of a project."""
    parts = library_id.strip("/").split("/")
    is_whole = len(parts) == 2 or (len(parts) == 3 and is_version(parts[2]))  # noqa: PLR2004
    return (parts[1],) if is_whole else ()
