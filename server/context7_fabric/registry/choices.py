"""Learned choices of libraries: choices by name, lessons, and moved ids.

A choice is the library that a question showed a name to mean; a lesson is a library that a caller
stored for a name. Both belong to a holder and count for no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from context7_fabric.fabric.context import Context
from context7_fabric.fabric.fabric import Fabric, first_of
from context7_fabric.fabric.read_cache import RevisionCache, StoreRevision
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.parsing.keys import bounded, name_key
from context7_fabric.privacy.principals import owned
from context7_fabric.registry.readings import read_name
from context7_fabric.registry.registry import Registry, RowTable
from context7_fabric.registry.rows import LIVE, Row, row_of, row_value

MOST_MOVES = 3
"""Redirects in a row that are followed before upstream's own answer is passed on."""

MOST_LESSONS = 1_000
"""Lessons of one holder, the newest, that a search reads; by its name each one is found."""

LESSONS = "taught:"

MOST_CACHED = 512
"""Choices, and as many moved ids, that are cached until something is stored."""


class LearnedChoices:
    """Choices, lessons and moved ids in the fabric's GLOBAL scope."""

    def __init__(self, fabric: Fabric) -> None:
        """Keep them in `fabric`."""
        self._fabric = fabric
        self._moved = RevisionCache[str](fabric.revision, MOST_CACHED)
        self._choices = RevisionCache[str](fabric.revision, MOST_CACHED)

    async def choose(self, name_key: str, library_id: str, holder: str) -> None:
        """Store that a name means the library `library_id` for `holder`."""
        if await self.choice([name_key], holder) != library_id:
            await self._fabric.set_context(_choice(name_key, holder), library_id, disposable=True)

    async def choice(self, name_keys: Sequence[str], holder: str) -> str | None:
        """Return the id that the first of several names with a choice means for `holder`.

        None without a choice. The caller checks that the library has the name.
        """
        as_of = self._choices.revision()
        known = self._choices.get((name_keys[0], holder)) if name_keys else None
        return known or await self._chosen(name_keys, holder, as_of)

    async def _chosen(
        self, name_keys: Sequence[str], holder: str, as_of: StoreRevision | None
    ) -> str | None:
        names = {_choice(name, holder): name for name in name_keys}

        def read(context: Context) -> str | None:
            known = context.value if isinstance(context.value, str) else None
            if known is not None:
                self._choices.keep((names[context.key], holder), known, as_of)
            return known

        return await first_of(self._fabric, list(names), read)

    async def forget(self, name_key: str, holder: str) -> bool:
        """Forget what a name means for `holder`; return whether it was known.

        Raises:
            StoreError: It could not be removed.
        """
        return await self._fabric.delete_context(_choice(name_key, holder))

    async def teach(self, lessons: Mapping[str, Row], holder: str) -> bool:
        """Store rows by the names that mean them for `holder`; return whether they will last.

        Raises:
            ContextError: The store does not take one of them.
        """
        values = {_lesson(name, holder): row_value(row) for name, row in lessons.items()}
        if not values:
            return True
        return await self._fabric.set_many(values) and self._fabric.trouble() is None

    async def lesson(self, name_keys: Sequence[str], holder: str) -> Row | None:
        """Return the row that `holder` stored for the first of several names that has one."""
        keys = [_lesson(name, holder) for name in name_keys]
        return await first_of(self._fabric, keys, lambda context: row_of(context.value))

    async def lessons(self, holder: str) -> list[Row]:
        """Return the rows that `holder` stored, each once and as stored last."""
        newest = await self._fabric.query(f"{lessons_of(holder)}*", limit=MOST_LESSONS)
        rows = (row_of(context.value) for context in reversed(newest))
        return list({row.key: row for row in rows if row is not None}.values())

    async def move(self, old: str, new: str, principal: str) -> None:
        """Store that upstream redirected `principal` from the id `old` to `new`."""
        await self._fabric.set_context(_move(old, principal), new, disposable=True)

    async def moved(self, library_id: str, principal: str) -> str:
        """Return the id that `library_id` has moved to for `principal`, itself if it has not."""
        as_of, key = self._moved.revision(), (library_id, principal)
        known = self._moved.get(key)
        if known is None:
            known = await self._followed(library_id, principal)
            self._moved.keep(key, known, as_of)
        return known

    async def forget_moves(self, library_id: str, principal: str) -> None:
        """Forget the moves of `library_id` that `principal` was redirected by.

        Raises:
            StoreError: They could not be removed.
        """
        for old in (await self._chain(library_id, principal))[:-1]:
            await self._fabric.delete_context(_move(old, principal))

    async def _followed(self, library_id: str, principal: str) -> str:
        chain = await self._chain(library_id, principal)
        return library_id if chain[-1] in chain[:-1] else chain[-1]

    async def _chain(self, library_id: str, principal: str) -> list[str]:
        """Return the ids from `library_id` on; a repeated one ends them."""
        chain = [library_id]
        while len(chain) <= MOST_MOVES and chain[-1] not in chain[:-1]:
            context = await self._fabric.get_context(_move(chain[-1], principal))
            if context is None or not isinstance(context.value, str):
                break
            chain.append(context.value)
        return chain


def lessons_of(holder: str) -> str:
    """Return the prefix of the keys of a holder's lessons."""
    return f"{LESSONS}{holder}:"


def _lesson(name_key: str, holder: str) -> str:
    return bounded(f"{lessons_of(holder)}{_quoted(name_key)}")


def _choice(name_key: str, holder: str) -> str:
    return owned(bounded(f"choice:{_quoted(name_key)}"), holder)


def _quoted(name_key: str) -> str:
    return quote(name_key, safe="@/+.|:", errors="surrogatepass")


def _move(library_id: str, principal: str) -> str:
    return owned(bounded(f"move:{library_id}"), principal)


@dataclass(frozen=True, slots=True)
class TaughtName:
    """Lesson: `name` means the library `library_id` (no version), with its aliases and category."""

    name: str
    library_id: LibraryId
    aliases: tuple[str, ...] = ()
    category: str = ""


def learned_rows(
    lessons: Iterable[TaughtName], registry: Registry, own: RowTable, now: float
) -> dict[str, Row]:
    """Return the rows of `lessons`, verified `now`, by each name that means them.

    `own` holds the rows that were stored for the same holder before. A lesson's row is the one
    that the name means, unless upstream knows that one by another id. If no row has the name, it
    is the library's own row with the name as an alias, or a new one. If another library has the
    name, it is the library's own row unchanged, or a new one. Aliases that no row has are added,
    and a missing category.
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


def _row_for(lesson: TaughtName, registry: Registry, known: Row | None) -> Row:
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


def _is_free(alias: str, registry: Registry, own: RowTable) -> bool:
    taken = any(
        table.find(alias) is not None or table.namesakes(alias) for table in (registry, own)
    )
    return bool(read_name(alias).name) and not taken


def _joined(row: Row, aliases: Iterable[str]) -> tuple[str, ...]:
    """Return the aliases of `row` and those of `aliases` that it does not have yet."""
    named = {name_key(each) for each in (row.name, *row.aliases)}
    given = {name_key(each): each for each in aliases}
    return (*row.aliases, *(each for key, each in given.items() if key not in named))
