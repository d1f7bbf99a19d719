"""What using Context7 taught: choices, lessons, and where an id moved to.

A choice is the library that a question showed a name to stand for; a lesson is a library that a
caller stored for a name. Both belong to a holder, and are followed for no other.
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
from context7_fabric.registry.matching.index import read_name
from context7_fabric.registry.registry import Registry, RowTable
from context7_fabric.registry.row_store import row_in, row_value
from context7_fabric.registry.rows import LIVE, Row

MOST_MOVES = 3
"""How many redirects in a row are followed before upstream's own word is passed on."""

MOST_LESSONS = 1_000
"""How many lessons of one holder, the newest, are looked through; by its name each is found."""

LESSONS = "taught:"

MOST_LATELY = 512
"""How many ids, with where they lead, and choices are kept in memory until something is stored."""


class LearnedChoices:
    """Choices and moves, kept in the fabric's GLOBAL scope."""

    def __init__(self, fabric: Fabric) -> None:
        """Remember in `fabric`."""
        self._fabric = fabric
        self._lately = RevisionCache[str](fabric.revision, MOST_LATELY)
        self._choices = RevisionCache[str](fabric.revision, MOST_LATELY)

    async def choose(self, name_key: str, library_id: str, holder: str) -> None:
        """Remember that `holder` means the library `library_id` by a name."""
        if await self.choice([name_key], holder) != library_id:
            await self._fabric.set_context(_choice(name_key, holder), library_id, disposable=True)

    async def choice(self, name_keys: Sequence[str], holder: str) -> str | None:
        """Return the id that `holder` means by the first of several names that has a choice.

        None without a choice. Whether its library goes by the name is for the caller to check.
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
        """Forget what `holder` means by a name; tell whether it was known.

        Raises:
            StoreError: It could not be removed.
        """
        return await self._fabric.delete_context(_choice(name_key, holder))

    async def teach(self, lessons: Mapping[str, Row], holder: str) -> bool:
        """Store rows by the names that `holder` says mean them; return whether they will last.

        Raises:
            ContextError: The store does not take one of them.
        """
        values = {_lesson(name, holder): row_value(row) for name, row in lessons.items()}
        if not values:
            return True
        return await self._fabric.set_many(values) and self._fabric.trouble() is None

    async def lesson(self, name_keys: Sequence[str], holder: str) -> Row | None:
        """Return the row that `holder` stored for the first of several names that has one."""
        places = [_lesson(name, holder) for name in name_keys]
        return await first_of(self._fabric, places, row_in)

    async def lessons(self, holder: str) -> list[Row]:
        """Return the rows that `holder` stored, each once and as it was stored last."""
        newest = await self._fabric.query(f"{lessons_of(holder)}*", limit=MOST_LESSONS)
        rows = (row_in(context) for context in reversed(newest))
        return list({row.key: row for row in rows if row is not None}.values())

    async def move(self, old: str, new: str, principal: str) -> None:
        """Remember that upstream redirects the id `old` to `new`, as told to `principal`."""
        await self._fabric.set_context(_move(old, principal), new, disposable=True)

    async def moved(self, library_id: str, principal: str) -> str:
        """Return where `library_id` leads by the moves known to `principal`, itself by none."""
        as_of, key = self._lately.revision(), (library_id, principal)
        known = self._lately.get(key)
        if known is None:
            known = await self._followed(library_id, principal)
            self._lately.keep(key, known, as_of)
        return known

    async def forget_moves(self, library_id: str, principal: str) -> None:
        """Forget the moves that lead `principal` on from `library_id`.

        Raises:
            StoreError: They could not be removed.
        """
        for old in (await self._way(library_id, principal))[:-1]:
            await self._fabric.delete_context(_move(old, principal))

    async def _followed(self, library_id: str, principal: str) -> str:
        way = await self._way(library_id, principal)
        return library_id if way[-1] in way[:-1] else way[-1]

    async def _way(self, library_id: str, principal: str) -> list[str]:
        """Return the ids from `library_id` on; one that comes again ends them."""
        way = [library_id]
        while len(way) <= MOST_MOVES and way[-1] not in way[:-1]:
            target = await self._text(_move(way[-1], principal))
            if target is None:
                break
            way.append(target)
        return way

    async def _text(self, key: str) -> str | None:
        context = await self._fabric.get_context(key)
        return context.value if context and isinstance(context.value, str) else None


def lessons_of(holder: str) -> str:
    """Return how the keys of a holder's lessons begin."""
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
    """`name` means the library `library_id` (no version); what else is said of the library."""

    name: str
    library_id: LibraryId
    aliases: tuple[str, ...] = ()
    category: str = ""


def learned_rows(
    lessons: Iterable[TaughtName], registry: Registry, own: RowTable, now: float
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
    """Return the aliases of `row` and those of `aliases` that it does not go by yet."""
    named = {name_key(each) for each in (row.name, *row.aliases)}
    given = {name_key(each): each for each in aliases}
    return (*row.aliases, *(each for key, each in given.items() if key not in named))
