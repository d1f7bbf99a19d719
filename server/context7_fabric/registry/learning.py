"""Which row of the registry a name belongs in whose id somebody else has found. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from context7_fabric.documents.ids import LibraryId
from context7_fabric.documents.keys import name_key
from context7_fabric.registry.names import read_name
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row

LIVE = "context7-live-resolve"
"""The source of rows that came about in this way."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """`name` means the library `library_id` (no version); what else is said of the library."""

    name: str
    library_id: LibraryId
    aliases: tuple[str, ...] = ()
    category: str = ""


def learned_rows(lessons: Iterable[Lesson], registry: Registry, now: float) -> list[Row]:
    """Return the rows that say what `lessons` say, verified `now`; one for each library.

    It is the row that the name means, unless upstream knows that one by another id; where nothing
    has the name, the library's own row with the name as an alias, or a new one. Where the name is
    taken, it is the library's own row as it was; none when there is none. Aliases are added that
    nothing has, and the category where there is none.
    """
    learned: dict[str, Row] = {}
    for lesson in lessons:
        base = lesson.library_id.base
        row = _row_for(lesson, registry, learned.get(base) or registry.row(base))
        if row is not None:
            fuller = _with_the_rest(row, lesson, registry)
            learned[base] = replace(fuller, id=base, last_verified=now, broken=False)
    return list(learned.values())


def found_row(name: str, registry: Registry, question: str = "") -> Row | None:
    """Return the row that a name means."""
    match = registry.find(name, question)
    return match.row if match else None


def _row_for(lesson: Lesson, registry: Registry, known: Row | None) -> Row | None:
    meant, base = found_row(lesson.name, registry), lesson.library_id.base
    if meant is not None and (meant.broken or meant.id in ("", base)):
        return known if known is not None and known.key == meant.key else meant
    if meant is not None or registry.namesakes(lesson.name):
        return known
    if known is not None and known.ecosystem:
        return replace(known, aliases=_joined(known, (lesson.name,)))
    name, title = name_key(lesson.name), lesson.name.strip()
    return Row(name, "other", title=title, usage_count=1, source=LIVE)


def _with_the_rest(row: Row, lesson: Lesson, registry: Registry) -> Row:
    free = [each for each in lesson.aliases if _is_free(each, registry)]
    return replace(row, aliases=_joined(row, free), category=row.category or lesson.category)


def _is_free(alias: str, registry: Registry) -> bool:
    taken = registry.find(alias) is not None or registry.namesakes(alias)
    return bool(read_name(alias).name) and not taken


def _joined(row: Row, aliases: Iterable[str]) -> tuple[str, ...]:
    """Return the aliases of `row` and those of `aliases` that it does not go by yet."""
    named = {name_key(each) for each in (row.name, *row.aliases)}
    given = {name_key(each): each for each in aliases}
    return (*row.aliases, *(each for key, each in given.items() if key not in named))
