"""Every library that is known: the seeds, and what upstream's lists taught, in memory and stored.

Loaded behind the first requests; until then nothing is found, and callers go by plain names.
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
from context7_fabric.parsing.libraries import Library, LibraryList
from context7_fabric.registry.matching.index import (
    NameIndex,
    NameMatch,
    fitting,
    goes_by_one_of,
    languages_in,
)
from context7_fabric.registry.matching.readings import is_version
from context7_fabric.registry.row_store import MARGIN, MOST_ROWS, RowsRevision, RowStore
from context7_fabric.registry.rows import Row, naming, vouched
from context7_fabric.registry.seeds import Seeds
from context7_fabric.seed_files.yaml_file import tell_left_out


@contextmanager
def collector_resting() -> Iterator[None]:
    """Keep it from walking them over and over."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


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


class RowTable:
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

    def find(self, text: str, question: str = "") -> NameMatch[Row] | None:
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

    def taught(
        self, listed: Sequence[Library], asked: NameMatch[Row] | None, now: float
    ) -> list[Row]:
        """Return the rows that the entries of upstream's list make, verified `now`.

        Each is made of the row that has the entry's id, of the one `asked` for, or of none. The
        row asked for gets no id where several entries have its name.
        """
        titles = {entry.id: entry.title for entry in listed}
        is_one = asked is not None and len(self.named(asked.row.name, titles)) == 1
        asked = asked if is_one else None
        return [self._taught(entry, asked, now) for entry in listed]

    def _taught(self, entry: Library, asked: NameMatch[Row] | None, now: float) -> Row:
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

    def _meant(self, entry: Library, asked: NameMatch[Row] | None) -> Row | None:
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


log = logging.getLogger(__name__)

STEP_SECONDS = 5.0
"""Seconds between two looks at what other processes changed, and two writes of our counts."""

SURE_SECONDS = 60.0
"""Seconds between two looks where it is heard what others change."""

TOGETHER_SECONDS = 0.1
"""Seconds in which what others write is taken in together."""


class Registry:
    """The rows that one principal may see; event loops in several threads may share them."""

    def __init__(self, store: RowStore, seeds: Callable[[], Seeds], clock: Clock) -> None:
        """Know nothing until `load` has run."""
        self._store = store
        self._seeds = seeds
        self._seeded: dict[str, Row] = {}
        self._clock = clock
        self._table = RowTable()
        self._changing = threading.RLock()  # held while no event loop gets to wait
        self._uses: dict[str, int] = {}  # that are counted, and not written yet
        self._meanwhile: list[dict[str, Row]] = []  # what is put while all rows are read, by load
        self._begun = self._done = 0  # loads, the newest whose rows were taken in
        self._revision: RowsRevision | None = None  # that all rows were read as of
        self._heard: RowsRevision | None = None  # that what was heard since was read as of
        self._missed = self._made_up = 0  # times that any row may have changed; seen to
        self._untold: dict[str, None] = {}  # keys of rows that changed, if telling was cut short
        self.on_change: Callable[[Sequence[Row]], Awaitable[None]] | None = None
        """Hears of rows that are new or changed, once they are stored."""
        self.on_forget: Callable[[Iterable[str]], Awaitable[None]] | None = None
        """Hears of the keys of rows that are gone."""
        self.seed_ttl: float | None = None
        """How long the seed file lets a resolved seed stay fresh, in seconds, once it is read."""
        self.loaded = anyio.Event()

    async def load(self) -> None:
        """Read seeds and stored rows; a seed file that cannot be used is logged and left out.

        While the store fails what is known of it stays, and the next look reads all again.
        """
        number, meanwhile = self._begin()
        try:
            seeds = await to_thread.run_sync(self._seed_rows)
            revision = await self._store.revision()
            with collector_resting():
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
            await self._tell_of_all(before.rows, rows)
            self.loaded.set()

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self._table.rows)

    def rows(self) -> list[Row]:
        """Return every row, in no particular order."""
        return list(self._table.rows.values())

    def row(self, library_id: str) -> Row | None:
        """Return the row of the library with id `library_id` (no version)."""
        return self._table.row(library_id)

    def find(self, text: str, question: str = "") -> NameMatch[Row] | None:
        """Return the row that a name means, guarded by what the question says of the language."""
        return self._table.find(text, question)

    def namesakes(self, text: str, question: str = "") -> list[Row]:
        """Return every row that goes by a name and agrees with each language named."""
        return self._table.namesakes(text, question)

    def named(self, text: str, titles: Mapping[str, str]) -> frozenset[str]:
        """Return which libraries a name means exactly, of those with `titles` by id."""
        return self._table.named(text, titles)

    async def teach(self, asked: NameMatch[Row] | None, listed: LibraryList) -> None:
        """Take in a list that upstream sent: its entries become rows, verified now."""
        now = self._clock()
        taught = self._table.taught(listed.libraries, asked, now)
        for row in taught:
            self._put(row)
        await self._keep(taught)

    async def moved(self, old: str, new: str) -> None:
        """Take note that upstream redirects the id `old` to `new`."""
        row = self.row(old)
        if row is not None and row.id != new:
            await self._change(replace(row, id=new, last_verified=self._clock()))

    async def broken(self, library_id: str) -> None:
        """Take note that upstream does not know the id any more."""
        row = self.row(library_id)
        if row is not None and not row.broken:
            await self._change(replace(row, broken=True))

    def used(self, library_id: str) -> None:
        """Count one use of a library; written behind."""
        row = self.row(library_id)
        if row is not None:
            counted = replace(row, usage_count=row.usage_count + 1)
            self._put(counted)
            self._uses[row.key] = self._uses.get(row.key, 0) + 1

    async def flush(self) -> None:
        """Write the counts that are not written yet."""
        used, self._uses = self._uses, {}
        if used:
            rows = self._table.rows
            await self._keep([rows[key] for key in used if key in rows])

    async def keep_in_step(self) -> None:
        """Load; then write the counts now and then, and read again what others changed.

        Runs until it is cancelled.
        """
        await self.load()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write_counts)
            tasks.start_soon(self._make_sure)
            while True:
                await self._store.wait(STEP_SECONDS)
                await anyio.sleep(TOGETHER_SECONDS)
                await self.catch_up()

    async def catch_up(self) -> None:
        """Take in what was written; all rows where it cannot be told which.

        What fails or is cancelled in it is made up for by the next call.
        """
        rows = await self._store.changed()
        self._missed += rows is None
        if self._missed > self._made_up:
            await self.load_if_changed()
        elif rows:
            for row in self._vouched(rows).values():
                self._put(self._with_uses(row))
            await self._tell_of(rows)
            self._heard = await self._store.revision()
        await self._tell_of(())
        if self.size > MARGIN * MOST_ROWS:
            await self.load()

    async def load_if_changed(self) -> None:
        """Load if rows were written that we have not seen, as far as the store tells."""
        missed, revision = self._missed, await self._store.revision()
        if revision is None:
            return
        # What was heard may be newer than rows that were missed.
        heard = self._revision if missed > self._made_up else self._heard
        if revision not in (self._revision, heard):
            await self.load()
        self._made_up = max(self._made_up, missed)

    async def _write_counts(self) -> None:
        while True:
            await anyio.sleep(STEP_SECONDS)
            await self.flush()

    async def _make_sure(self) -> None:
        """Look now and then: who writes by an earlier release may not announce it."""
        while True:
            await anyio.sleep(SURE_SECONDS)
            await self.load_if_changed()

    async def _change(self, row: Row) -> None:
        self._put(row)
        await self._keep([row])

    async def _keep(self, rows: Sequence[Row]) -> None:
        if self._store.hears:
            await self._store.save(rows)
        else:
            await self._save_alone(rows)
        await self._tell(rows)

    async def _save_alone(self, rows: Sequence[Row]) -> None:
        """Store `rows`; what nobody else wrote in between need not be read again."""
        before = await self._store.revision()
        await self._store.save(rows)
        after = await self._store.revision()
        # Without a revision before it, rows may be there that nobody counted.
        alone = before and after and 0 < before.version == after.version - 1
        if alone and before == self._revision:
            self._revision = after

    async def _tell(self, rows: Sequence[Row]) -> None:
        if rows and self.on_change is not None and self.loaded.is_set():
            await self.on_change(rows)

    def _seed_rows(self) -> list[Row]:
        try:
            seeds = self._seeds()
        except SeedError as error:
            log.warning("the seeds are left out: %s", error)
            return []
        tell_left_out(seeds.left_out)
        self.seed_ttl = seeds.ttl_days * 86400.0
        return [seed.row for seed in seeds.libraries]

    async def _tell_of_all(self, before: dict[str, Row], now: dict[str, Row]) -> None:
        """Tell of what differs now that all rows were read; at first there was nothing before."""
        if self.loaded.is_set():
            with anyio.CancelScope(shield=True):  # nobody could compare them later
                gone, changed = await to_thread.run_sync(differences, before, now)
            await self._tell_of([*gone, *(row.key for row in changed)])

    async def _tell_of(self, keys: Iterable[str]) -> None:
        """Tell how the rows `keys` stand now, and those of which it was not told to the end."""
        due, self._untold = self._untold | dict.fromkeys(keys), {}
        try:
            gone = [key for key in due if key not in self._table.rows]
            if gone and self.on_forget is not None:
                await self.on_forget(gone)
            rows = self._table.rows
            await self._tell([rows[key] for key in due if key in rows])
        except BaseException:
            self._untold = due | self._untold
            raise

    def _vouched(self, stored: Mapping[str, Row]) -> dict[str, Row]:
        rows = {key: vouched(row, self._seeded.get(key)) for key, row in stored.items()}
        return {key: row for key, row in rows.items() if row is not None}

    def _with_uses(self, row: Row) -> Row:
        """Return a row that was stored, with the uses that are not written yet."""
        return replace(row, usage_count=row.usage_count + self._uses.get(row.key, 0))

    def _begin(self) -> tuple[int, dict[str, Row]]:
        """Return the number of a load that begins, and what will hold the rows put meanwhile."""
        with self._changing:
            self._begun += 1
            self._meanwhile.append({})
            return self._begun, self._meanwhile[-1]

    def _end(self, meanwhile: dict[str, Row]) -> None:
        with self._changing:
            self._meanwhile = [each for each in self._meanwhile if each is not meanwhile]

    def _take_in(self, table: RowTable, number: int, meanwhile: dict[str, Row]) -> RowTable | None:
        """Put `table` in place of what there was, with what was put since its rows were read.

        Returns what there was; None where a load that began later was quicker.
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
            for meanwhile in self._meanwhile:
                meanwhile[row.key] = row
            self._table.put(row)
