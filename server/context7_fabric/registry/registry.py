"""Registry of all known libraries: seeds, and rows that upstream's lists taught.

It is loaded behind the first requests; until then look-ups go by plain names.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import anyio
from anyio import to_thread

from context7_fabric.errors import SeedError, StoreError
from context7_fabric.models import Clock
from context7_fabric.parsing.ids import folded_id
from context7_fabric.parsing.libraries import Library, LibraryList
from context7_fabric.registry.matching import NameIndex, NameMatch, fitting, shares_name
from context7_fabric.registry.readings import is_version, languages_in
from context7_fabric.registry.row_store import MARGIN, MOST_ROWS, RowsRevision, RowStore
from context7_fabric.registry.rows import OTHER, Row, naming, vouched
from context7_fabric.registry.seeds import Seeds
from context7_fabric.seed_files import log_left_out

log = logging.getLogger(__name__)

STEP_SECONDS = 5.0
"""Seconds between two looks at the changes of other processes, and two writes of our counts."""

SURE_SECONDS = 60.0
"""Seconds between two looks at the revision, should an announcement get lost."""

TOGETHER_SECONDS = 0.1
"""Seconds in which the writes of others are taken in together."""


@contextmanager
def _gc_paused() -> Iterator[None]:
    """Pause the garbage collector, which would walk a growing number of rows over and over."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@dataclass(frozen=True, slots=True)
class _Listed:
    """Library of a list with all its names; `ecosystem` is "" if it is not known."""

    id: str
    name: str
    aliases: tuple[str, ...]
    ecosystem: str = ""

    @property
    def key(self) -> str:
        return self.id


class RowTable:
    """Rows by key and id with their name index; found rows are up to date."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        """Hold `rows`; with 100,000 of them this takes seconds."""
        self.rows = {row.key: row for row in rows}
        self._keys = {row.id: key for key, row in self.rows.items() if row.id}
        # Of ids with capitals alone: for the others it would be a copy of `_keys`.
        self._capitals = dict(_with_capitals(self._keys))
        self._index = NameIndex(row for row in self.rows.values() if row.ecosystem)

    def row(self, library_id: str) -> Row | None:
        """Return the row of the library with id `library_id` (no version), in any case."""
        key = self._keys.get(library_id)
        if key is None:
            folded = folded_id(library_id)
            key = self._keys.get(self._capitals.get(folded, folded))
        return None if key is None else self.rows[key]

    def find(self, text: str, question: str = "") -> NameMatch[Row] | None:
        """Return the row that a name means, if the languages in the question agree."""
        match = self._index.find(text, question)
        return match and replace(match, row=self._current(match.row))

    def namesakes(self, text: str, question: str = "") -> list[Row]:
        """Return every row that has a name and agrees with each language in the question."""
        return [self._current(row) for row in self._index.namesakes(text, question)]

    def put(self, row: Row) -> None:
        """Add `row` in place of the one with its key."""
        before = self.rows.get(row.key)
        if before is not None and before.id != row.id:
            self._keys.pop(before.id, None)
        self.rows[row.key] = row
        if row.id:
            self._keys[row.id] = row.key
            self._capitals.update(_with_capitals((row.id,)))
        if row.ecosystem and (before is None or naming(before) != naming(row)):
            self._index.add(row)

    def named(self, text: str, titles: Mapping[str, str]) -> frozenset[str]:
        """Return the libraries that `text` means by the exact rule, of those with `titles` by id.

        The names of each are its title, its project and the names of its row, as well as those of
        any row that `text` means and that shares a name with it.
        """
        match = self.find(text)
        meant = [match.row] if match else self.namesakes(text)
        listed = [self._listed(*each, meant) for each in titles.items()]
        return frozenset(each.id for each in fitting(text, listed))

    def taught(
        self, listed: Sequence[Library], asked: NameMatch[Row] | None, now: float
    ) -> list[Row]:
        """Return the rows of the entries of upstream's list, verified `now`.

        Each is made of the row with the entry's id, of the one `asked` for, or of none. The row
        asked for gets no id if several entries have its name.
        """
        titles = {entry.id: entry.title for entry in listed}
        is_one = asked is not None and len(self.named(asked.row.name, titles)) == 1
        asked = asked if is_one else None
        return [self._taught(entry, asked, now) for entry in listed]

    def _listed(self, library_id: str, title: str, meant: Iterable[Row]) -> _Listed:
        row, own = self.row(library_id), (title, *_project(library_id))
        if row is not None and row.ecosystem:
            return _Listed(library_id, row.name, (*own, *row.aliases), row.ecosystem)
        bare = _Listed(library_id, own[-1], own)
        shared = [each for each in meant if shares_name(each, bare)]
        names = (name for each in shared for name in (each.name, *each.aliases))
        return replace(bare, aliases=(*own, *names))

    def _taught(self, entry: Library, asked: NameMatch[Row] | None, now: float) -> Row:
        new = Row(name=entry.id.lstrip("/"), ecosystem="", source="context7")
        row = self.row(entry.id) or self._meant(entry, asked) or new
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

    def _meant(self, entry: Library, asked: NameMatch[Row] | None) -> Row | None:
        """Return the row asked for if it has no id yet and the entry's title is its name."""
        row = None if asked is None else self.rows.get(asked.row.key)
        if row is None or row.id or _names_another_language(entry, row):
            return None
        titled = self.find(entry.title)
        return row if titled is not None and titled.row.key == row.key else None

    def _current(self, row: Row) -> Row:
        """Return a row of the index, which keeps it as it was named, in its current state."""
        return self.rows.get(row.key, row)


def _with_capitals(ids: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the ids that are not in lower case, each after its folded form."""
    return ((folded, each) for each in ids if (folded := folded_id(each)) != each)


def _names_another_language(entry: Library, row: Row) -> bool:
    """Return whether an entry's project or description names languages, but not the row's."""
    words = f"{entry.id.rpartition('/')[2].replace('-', ' ')}. {entry.description}"
    languages = languages_in(words, besides=row.name)
    return languages is not None and row.ecosystem not in (languages | {OTHER})


def _project(library_id: str) -> tuple[str, ...]:
    """Return the project of an id; none if the id names a part of a project."""
    parts = library_id.strip("/").split("/")
    is_whole = len(parts) == 2 or (len(parts) == 3 and is_version(parts[2]))  # noqa: PLR2004
    return (parts[1],) if is_whole else ()


def _differing_keys(before: Mapping[str, Row], after: Mapping[str, Row]) -> list[str]:
    """Return the keys of the rows that are gone, new or changed."""
    gone = [key for key in before if key not in after]
    return [*gone, *(key for key, row in after.items() if before.get(key) != row)]


class Registry:
    """Rows that one principal may see; event loops in several threads may share them."""

    def __init__(
        self,
        store: RowStore,
        seeds: Callable[[], Seeds],
        clock: Clock,
        step_seconds: float = STEP_SECONDS,
    ) -> None:
        """Start empty, until `load` has run; `keep_in_step` looks every `step_seconds`."""
        self._step_seconds = step_seconds
        self._store = store
        self._seeds = seeds
        self._seeded: dict[str, Row] = {}
        self._clock = clock
        self._table = RowTable()
        self._changing = threading.RLock()  # held while no event loop gets to wait
        self._uses: dict[str, int] = {}  # counted, and not written yet
        self._put_meanwhile: list[dict[str, Row]] = []  # put during each load that is under way
        self._begun = self._done = 0  # numbers of the newest load, and of the newest taken in
        self._revision: RowsRevision | None = None  # of the rows that were read as a whole
        self._heard: RowsRevision | None = None  # of the announced rows that were read since
        self._missed = self._made_up = 0  # times that any row may have changed; those seen to
        self._unreported: dict[str, None] = {}  # keys of changed rows, if reporting was cut short
        self.on_change: Callable[[Sequence[Row]], Awaitable[None]] | None = None
        """Called with rows that are new or changed, once they are stored."""
        self.on_forget: Callable[[Iterable[str]], Awaitable[None]] | None = None
        """Called with the keys of rows that are gone."""
        self.seed_ttl: float | None = None
        """Seconds for which the seed file lets a resolved seed stay fresh, once it is read."""
        self.loaded = anyio.Event()

    async def load(self) -> None:
        """Read seeds and stored rows; an unusable seed file is logged and left out.

        While the store fails the known rows stay, and the next look reads all again.
        """
        number, meanwhile = self._begin()
        try:
            seeds = await to_thread.run_sync(self._seed_rows)
            revision = await self._store.revision()
            with _gc_paused():
                try:
                    stored = await self._store.load()
                except StoreError as error:
                    log.info("the stored rows cannot be read: %s", error)
                    stored, revision = dict(self._table.rows), None
                    self._missed += 1
                self._seeded = {row.key: row for row in seeds}
                rows = self._seeded | self._vouched(stored)
                table = await to_thread.run_sync(RowTable, rows.values())
            before = self._take_in(table, number, meanwhile)
        finally:
            self._end(meanwhile)
        if before is not None:
            self._revision = revision
            await self._report_differences(before.rows, rows)
            self.loaded.set()

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self._table.rows)

    def rows(self) -> list[Row]:
        """Return every row, in no particular order."""
        return list(self._table.rows.values())

    def row(self, library_id: str) -> Row | None:
        """Return the row of the library with id `library_id` (no version)."""
        return self._table.row(library_id)

    def find(self, text: str, question: str = "") -> NameMatch[Row] | None:
        """Return the row that a name means, if the languages in the question agree."""
        return self._table.find(text, question)

    def namesakes(self, text: str, question: str = "") -> list[Row]:
        """Return every row that has a name and agrees with each language in the question."""
        return self._table.namesakes(text, question)

    def named(self, text: str, titles: Mapping[str, str]) -> frozenset[str]:
        """Return the libraries that a name means exactly, of those with `titles` by id."""
        return self._table.named(text, titles)

    async def teach(self, asked: NameMatch[Row] | None, listed: LibraryList) -> None:
        """Take in a list of upstream's: its entries become rows, verified now."""
        taught = self._table.taught(listed.libraries, asked, self._clock())
        for row in taught:
            self._put(row)
        await self._keep(taught)

    async def moved(self, old: str, new: str) -> None:
        """Record that upstream redirects the id `old` to `new`."""
        row = self.row(old)
        if row is not None and row.id != new:
            await self._change(replace(row, id=new, last_verified=self._clock()))

    async def broken(self, library_id: str) -> None:
        """Record that upstream does not know the id any more."""
        row = self.row(library_id)
        if row is not None and not row.broken:
            await self._change(replace(row, broken=True))

    def used(self, library_id: str) -> None:
        """Count one use of a library; written behind."""
        row = self.row(library_id)
        if row is not None:
            self._put(replace(row, usage_count=row.usage_count + 1))
            self._uses[row.key] = self._uses.get(row.key, 0) + 1

    async def flush(self) -> None:
        """Write the pending counts."""
        used, self._uses = self._uses, {}
        if used:
            await self._keep(self._present(used))

    async def keep_in_step(self) -> None:
        """Load; then write counts and take in the changes of others, until cancelled."""
        await self.load()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_repeat, self._step_seconds, self.flush)
            tasks.start_soon(_repeat, SURE_SECONDS, self.load_if_changed)
            while True:
                await self._store.wait(self._step_seconds)
                await anyio.sleep(TOGETHER_SECONDS)
                await self.catch_up()

    async def catch_up(self) -> None:
        """Take in the rows that others wrote; all rows if it is not known which.

        The next call makes up for what fails or is cancelled in this one.
        """
        rows = await self._store.changed()
        self._missed += rows is None
        if self._missed > self._made_up:
            await self.load_if_changed()
        elif rows:
            for row in self._vouched(rows).values():
                self._put(self._with_uses(row))
            await self._report(rows)
            self._heard = await self._store.revision()
        await self._report(())
        if self.size > MARGIN * MOST_ROWS:
            await self.load()

    async def load_if_changed(self) -> None:
        """Load if the store's revision shows rows that were not read yet."""
        missed, revision = self._missed, await self._store.revision()
        if revision is None:
            return
        # Announced rows may be newer than rows that were missed.
        heard = self._revision if missed > self._made_up else self._heard
        if revision not in (self._revision, heard):
            await self.load()
        self._made_up = max(self._made_up, missed)

    async def _change(self, row: Row) -> None:
        self._put(row)
        await self._keep([row])

    async def _keep(self, rows: Sequence[Row]) -> None:
        if self._store.is_notified:
            await self._store.save(rows)
        else:
            await self._save_unannounced(rows)
        await self._announce(rows)

    async def _save_unannounced(self, rows: Sequence[Row]) -> None:
        """Store `rows`; adopt the new revision if no other process wrote in between."""
        before = await self._store.revision()
        await self._store.save(rows)
        after = await self._store.revision()
        # Without a revision before it, there may be rows that were never counted.
        alone = before and after and 0 < before.version == after.version - 1
        if alone and before == self._revision:
            self._revision = after

    async def _announce(self, rows: Sequence[Row]) -> None:
        if rows and self.on_change is not None and self.loaded.is_set():
            await self.on_change(rows)

    async def _report_differences(self, before: Mapping[str, Row], now: Mapping[str, Row]) -> None:
        """Report what changed by reading all rows; after the first time nothing did."""
        if self.loaded.is_set():
            with anyio.CancelScope(shield=True):  # they cannot be compared later
                keys = await to_thread.run_sync(_differing_keys, before, now)
            await self._report(keys)

    async def _report(self, keys: Iterable[str]) -> None:
        """Report the rows `keys` in their current state, and those whose report was cut short."""
        due, self._unreported = self._unreported | dict.fromkeys(keys), {}
        try:
            gone = [key for key in due if key not in self._table.rows]
            if gone and self.on_forget is not None:
                await self.on_forget(gone)
            await self._announce(self._present(due))
        except BaseException:
            self._unreported = due | self._unreported
            raise

    def _seed_rows(self) -> list[Row]:
        try:
            seeds = self._seeds()
        except SeedError as error:
            log.warning("the seeds are left out: %s", error)
            return []
        log_left_out(seeds.left_out)
        self.seed_ttl = seeds.ttl_days * 86400.0
        return list(seeds.rows)

    def _present(self, keys: Iterable[str]) -> list[Row]:
        rows = self._table.rows
        return [rows[key] for key in keys if key in rows]

    def _vouched(self, stored: Mapping[str, Row]) -> dict[str, Row]:
        rows = {key: vouched(row, self._seeded.get(key)) for key, row in stored.items()}
        return {key: row for key, row in rows.items() if row is not None}

    def _with_uses(self, row: Row) -> Row:
        """Return a stored row with the uses that are not written yet."""
        return replace(row, usage_count=row.usage_count + self._uses.get(row.key, 0))

    def _begin(self) -> tuple[int, dict[str, Row]]:
        """Return the number of a new load, and the dictionary of the rows put during it."""
        with self._changing:
            self._begun += 1
            self._put_meanwhile.append({})
            return self._begun, self._put_meanwhile[-1]

    def _end(self, meanwhile: dict[str, Row]) -> None:
        with self._changing:
            self._put_meanwhile = [each for each in self._put_meanwhile if each is not meanwhile]

    def _take_in(self, table: RowTable, number: int, meanwhile: dict[str, Row]) -> RowTable | None:
        """Replace the table, add the rows put during the load, and return the old table.

        None if a load that began later was quicker.
        """
        with self._changing:
            if number < self._done:
                return None
            before, self._table, self._done = self._table, table, number
            for row in meanwhile.values():
                table.put(row)
            for key in self._uses.keys() & table.rows.keys() - meanwhile.keys():
                table.put(self._with_uses(table.rows[key]))
        return before

    def _put(self, row: Row) -> None:
        with self._changing:
            for meanwhile in self._put_meanwhile:
                meanwhile[row.key] = row
            self._table.put(row)


async def _repeat(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await anyio.sleep(seconds)
        await work()
