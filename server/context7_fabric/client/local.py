"""This machine's registry as a source of library ids, opened at the first use.

One may be shared by tasks, by threads, and by one event loop after another: nothing that is kept
open belongs to a loop, except the locks that its tasks wait for.
"""

from __future__ import annotations

import logging
import threading
import time
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from weakref import WeakKeyDictionary

import anyio
from anyio import from_thread, to_thread

from context7_fabric.answers.docset_names import DocsetNames
from context7_fabric.answers.docset_pages import DocsetPages
from context7_fabric.answers.docset_repeats import DeclinedQuestions
from context7_fabric.answers.library_choice import LibraryChoices, metadata_of
from context7_fabric.answers.lookup import names_of
from context7_fabric.answers.response import screened
from context7_fabric.answers.stored import LISTS, AnswerStore, list_key, record_of
from context7_fabric.client.source import CachedHit, bare_library, library_of
from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.errors import ContextError, StoreError
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Caller, Clock, Question, Viewer, tokens
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.privacy.redaction import redact
from context7_fabric.registry.choices import LearnedChoices, TaughtName
from context7_fabric.registry.readings import read_name
from context7_fabric.registry.registry import STEP_SECONDS, Registry
from context7_fabric.registry.row_store import RowsRevision, RowStore
from context7_fabric.registry.seeds import load_seeds
from context7_fabric.runtime.home_migration import settled
from context7_fabric.runtime.store import open_store, read_principal
from context7_fabric.settings import Settings
from context7_fabric.settings.values import OffTarget

SAMPLE = 100
"""Number of lists, the newest, whose mean size is measured."""


class StoredListSizes:
    """Sizes of the stored lists that one principal may read."""

    def __init__(self, fabric: Fabric, principal: str) -> None:
        self._fabric = fabric
        self._answers = AnswerStore(fabric)
        self._principal = principal
        self._mean: int | None = None

    async def tokens(self, keys: Sequence[str]) -> int:
        """Return the tokens of the list under the first of `keys` that has one.

        Without one, return the mean of the stored lists, 0 if there are none.
        """
        record = await self._answers.read(keys, self._principal)
        if record is not None:
            return tokens(record.text)
        if self._mean is None:
            self._mean = await self._measure()
        return self._mean

    def forget_mean(self) -> None:
        """Drop the cached mean."""
        self._mean = None

    async def _measure(self) -> int:
        contexts = await self._fabric.query(f"{LISTS}*", limit=SAMPLE)
        records = (record_of(context) for context in contexts)
        mine = (each for each in records if each and each.readable_by(self._principal))
        texts = {each.text for each in mine}  # several names may share a list
        return round(fmean(map(tokens, texts))) if texts else 0


@dataclass(slots=True)
class OpenRegistry:
    """Open store and registry, checked for changed rows every `step_seconds`.

    `checked_at` is the time of the last check.
    """

    fabric: Fabric
    principal: str
    rows: RowStore
    registry: Registry
    learned: LearnedChoices
    docsets: DocsetLibrary
    lists: StoredListSizes
    step_seconds: float
    checked_at: float = float("-inf")
    revision: RowsRevision | None = None

    async def refresh(self) -> None:
        """Load the rows, and again after a while if a process has changed some."""
        if time.monotonic() < self.checked_at + self.step_seconds:
            return
        revision = await self.rows.revision()
        if revision != self.revision or not self.registry.loaded.is_set():
            await self.registry.load()
            self.lists.forget_mean()
        self.revision, self.checked_at = revision, time.monotonic()


def open_home(settings: Settings, clock: Clock, step_seconds: float) -> OpenRegistry:
    """Open the server's store; blocks a worker thread of anyio.

    If it cannot be used, entries last as long as this process, which is logged once.
    """
    settings = settled(settings)
    fabric = open_store(settings, clock)
    principal = from_thread.run(read_principal, settings, fabric)
    rows = RowStore(fabric, principal)
    registry = Registry(rows, partial(load_seeds, settings.seed_file), clock)
    lists = StoredListSizes(fabric, principal)
    learned = LearnedChoices(fabric)
    docsets = DocsetLibrary(settings.home / "docsets", settings.docsets, clock)
    return OpenRegistry(fabric, principal, rows, registry, learned, docsets, lists, step_seconds)


log = logging.getLogger(__name__)


class LocalRegistry:
    """Registry, learned choices and lists of this machine, shared with the server."""

    def __init__(
        self, settings: Settings, clock: Clock, step_seconds: float = STEP_SECONDS
    ) -> None:
        self._step_seconds = step_seconds
        self._settings = settings
        self._clock = clock
        self._redacted = redact if settings.redact else str
        self._opened: OpenRegistry | None = None
        self._opening = threading.Lock()
        self._locks: WeakKeyDictionary[AbstractEventLoop, anyio.Lock] = WeakKeyDictionary()

    async def find(self, name: str) -> CachedHit | None:
        """Return the library that `name` means by a learned choice or the registry's exact rule.

        A name that several languages use means the library of Python. A docset's library counts
        where no other has the name, a private one before all.
        """
        opened, name = await self._registry(), self._redacted(name)
        named = DocsetNames(opened.docsets, opened.registry).named
        held = await named(Question(name), Viewer(opened.principal))
        row = None if held and held[0].is_private else await _choices(opened).meant(name)
        if row is None and len(held) == 1:
            row = held[0].row
        if row is None:
            return None
        return CachedHit(
            library_of(metadata_of(row)), await opened.lists.tokens(_keys(name, opened))
        )

    async def docs(self, library_id: str, question: str) -> str | None:
        """Return a docset's page that answers `question` without Context7, None without one."""
        opened, question = await self._registry(), self._redacted(question)
        offline = isinstance(self._settings.upstream.target, OffTarget)
        declined, learned = DeclinedQuestions(opened.fabric), opened.learned
        pages = DocsetPages(
            opened.docsets, opened.registry, learned, declined, self._clock, offline=offline
        )
        caller = Caller(opened.principal, docsets=self._settings.docset_use, address=None)
        answer = await pages.alone(Question(library_id, question), caller)
        return None if answer is None or answer.is_error else screened(answer.text).clean

    async def learn(self, name: str, library_id: LibraryId) -> CachedHit:
        """Store an id as this user's choice; one with a version is not stored."""
        opened, name = await self._registry(), self._redacted(name)
        now = self._clock()
        if library_id.version is None and read_name(name).name:
            with _store_errors_ignored():
                await _choices(opened).learn([TaughtName(name, library_id)], now)
        return CachedHit(
            bare_library(name, library_id, now), await opened.lists.tokens(_keys(name, opened))
        )

    async def used(self, uses: Mapping[str, int]) -> None:
        """Count uses of rows, and write all of them."""
        opened = await self._registry()
        async with self._lock:
            for library_id, times in uses.items():
                for _use in range(times):
                    opened.registry.used(library_id)
            with _store_errors_ignored():
                await opened.registry.flush()

    async def aclose(self) -> None:
        """Close the store."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.docsets.close()
            await opened.fabric.aclose()

    @property
    def _lock(self) -> anyio.Lock:
        return self._locks.setdefault(get_running_loop(), anyio.Lock())

    async def _registry(self) -> OpenRegistry:
        async with self._lock:
            opened = self._opened
            if opened is None:
                opened = await to_thread.run_sync(self._open)
            await opened.refresh()
        return opened

    def _open(self) -> OpenRegistry:
        with self._opening:
            if self._opened is None:
                self._opened = open_home(self._settings, self._clock, self._step_seconds)
            return self._opened


@contextmanager
def _store_errors_ignored() -> Iterator[None]:
    """Log and ignore that the store rejects an entry or fails."""
    try:
        yield
    except (ContextError, StoreError) as error:
        log.debug("not stored: %s", error)


def _keys(name: str, opened: OpenRegistry) -> tuple[str, ...]:
    return tuple(map(list_key, names_of(Question(name), opened.registry)))


def _choices(opened: OpenRegistry) -> LibraryChoices:
    return LibraryChoices(opened.registry, opened.learned, Viewer(opened.principal))
