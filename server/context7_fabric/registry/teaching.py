"""Rows made of what callers say that names mean. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from context7_fabric.parsing.ids import LibraryId
from context7_fabric.parsing.keys import name_key
from context7_fabric.registry.matching.index import read_name
from context7_fabric.registry.registry import Registry, Table
from context7_fabric.registry.rows import LIVE, Row


@dataclass(frozen=True, slots=True)
class Lesson:
    """`name` means the library `library_id` (no version); what else is said of the library."""

    name: str
    library_id: LibraryId
    aliases: tuple[str, ...] = ()
    category: str = ""


def learned_rows(
    lessons: Iterable[Lesson], registry: Registry, own: Table, now: float
) -> dict[str, Row]:
    """Return the rows that say what `lessons` say, verified `now`, by each name that means them.

    `own` holds the rows that were stored for the same holder before. A lesson's row is the one
    that the name means, unless upstream knows that one by another id; where nothing has the name,
    the library's own row with the name as an alias, or a new one. Where the name is taken, it is
    the library's own row as it was, or a new one. Aliases are added that nothing has, and the
    category where there is none.
    """
    ids: dict[str, str] = {}
    for lesson in lessons:
        base = lesson.library_id.base
        row = _row_for(lesson, registry, own.row(base) or registry.row(base))
        free = [each for each in lesson.aliases if _is_free(each, registry, own)]
        fuller = replace(row, aliases=_joined(row, free), category=row.category or lesson.category)
        own.put(replace(fuller, id=base, last_verified=now, broken=False))
        ids |= dict.fromkeys((lesson.name, *free), base)
    rows = {name: own.row(base) for name, base in ids.items()}
    return {name: row for name, row in rows.items() if row is not None}


def found_row(name: str, registry: Registry, question: str = "") -> Row | None:
    """Return the row that a name means."""
    match = registry.find(name, question)
    return match.row if match else None


def _row_for(lesson: Lesson, registry: Registry, known: Row | None) -> Row:
    meant, base = found_row(lesson.name, registry), lesson.library_id.base
    if meant is not None and (meant.broken or meant.id in ("", base)):
        return known if known is not None and known.key == meant.key else meant
    is_taken = meant is not None or bool(registry.namesakes(lesson.name))
    if known is not None and is_taken:
        return known
    if known is not None and known.ecosystem:
        return replace(known, aliases=_joined(known, (lesson.name,)))
    name, title = name_key(lesson.name), lesson.name.strip()
    return Row(name, "other", title=title, usage_count=1, source=LIVE)


def _is_free(alias: str, registry: Registry, own: Table) -> bool:
    taken = any(
        table.find(alias) is not None or table.namesakes(alias) for table in (registry, own)
    )
    return bool(read_name(alias).name) and not taken


def _joined(row: Row, aliases: Iterable[str]) -> tuple[str, ...]:
    """Return the aliases of `row` and those of `aliases` that it does not go by yet."""
    named = {name_key(each) for each in (row.name, *row.aliases)}
    given = {name_key(each): each for each in aliases}
    return (*row.aliases, *(each for key, each in given.items() if key not in named))
