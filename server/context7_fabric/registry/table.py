"""The rows in memory: by key, by id, and by the names that mean them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from context7_fabric.documents.libraries import Library
from context7_fabric.registry.names import Match, NameIndex, languages_in
from context7_fabric.registry.rows import Row, naming


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

    def taught(self, entry: Library, asked: Match[Row] | None, now: float) -> Row:
        """Return the row that an entry of upstream's list makes, verified `now`.

        It is made of the row that has the entry's id, of the one `asked` for, or of none.
        """
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
