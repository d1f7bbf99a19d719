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

from context7_fabric.answers.library_choice import LibraryChoices, metadata_of
from context7_fabric.answers.lookup import names_of
from context7_fabric.answers.stored import LISTS, AnswerStore, list_key, record_of
from context7_fabric.client.source import CachedHit, bare_library, library_of
from context7_fabric.errors import ContextError, StoreError
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Clock, Question, Viewer, tokens
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.privacy.redaction import redact
from context7_fabric.registry.choices import LearnedChoices, TaughtName
from context7_fabric.registry.matching.index import read_name
from context7_fabric.registry.registry import STEP_SECONDS, Registry
from context7_fabric.registry.row_store import RowsRevision, RowStore
from context7_fabric.registry.seeds import load_seeds
from context7_fabric.runtime.store import open_store, read_principal
from context7_fabric.settings import Settings

SAMPLE = 100
"""How many lists, the newest, stand for all."""


class StoredListSizes:
    """The sizes of the stored lists that one principal may read."""

    def __init__(self, fabric: Fabric, principal: str) -> None:
        """Read the lists in `fabric`."""
        self._fabric = fabric
        self._shelf = AnswerStore(fabric)
        self._principal = principal
        self._mean: int | None = None

    async def tokens(self, keys: Sequence[str]) -> int:
        """Return the size of the list under the first of `keys` that has one, in tokens.

        Without one it is the mean size of the stored lists, 0 when there are none.
        """
        record = await self._shelf.read(keys, self._principal)
        if record is not None:
            return tokens(record.text)
        if self._mean is None:
            self._mean = await self._measured()
        return self._mean

    def forget_mean(self) -> None:
        """Measure the mean again when it is next wanted."""
        self._mean = None

    async def _measured(self) -> int:
        contexts = await self._fabric.query(f"{LISTS}*", limit=SAMPLE)
        records = (record_of(context) for context in contexts)
        mine = (each for each in records if each and each.readable_by(self._principal))
        texts = {each.text for each in mine}  # one list may lie under several names
        return round(fmean(map(tokens, texts))) if texts else 0


@dataclass(slots=True)
class OpenRegistry:
    """What is open; `looked_at` is when the store was last looked at for changed rows."""

    fabric: Fabric
    principal: str
    rows: RowStore
    registry: Registry
    learned: LearnedChoices
    lists: StoredListSizes
    looked_at: float = float("-inf")
    revision: RowsRevision | None = None

    async def keep_in_step(self) -> None:
        """Read the rows, and now and then again when any process has changed some."""
        if time.monotonic() < self.looked_at + STEP_SECONDS:
            return
        revision = await self.rows.revision()
        if revision != self.revision or not self.registry.loaded.is_set():
            await self.registry.load()
            self.lists.forget_mean()
        self.revision, self.looked_at = revision, time.monotonic()


def open_home(settings: Settings, clock: Clock) -> OpenRegistry:
    """Open the store that `settings` name, as the server does; blocks a thread of anyio's.

    Where it cannot be used, nothing is remembered past this process, which the log says once.
    """
    fabric = open_store(settings, clock)
    principal = from_thread.run(read_principal, settings, fabric)
    rows = RowStore(fabric, principal)
    registry = Registry(rows, partial(load_seeds, settings.seed_file), clock)
    lists = StoredListSizes(fabric, principal)
    return OpenRegistry(fabric, principal, rows, registry, LearnedChoices(fabric), lists)


log = logging.getLogger(__name__)


class LocalRegistry:
    """The rows, choices and lists in the home that the server uses as well."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Open nothing yet."""
        self._settings = settings
        self._clock = clock
        self._redacted = redact if settings.redact else str
        self._opened: OpenRegistry | None = None
        self._opening = threading.Lock()
        self._locks: WeakKeyDictionary[AbstractEventLoop, anyio.Lock] = WeakKeyDictionary()

    async def find(self, name: str) -> CachedHit | None:
        """Return what `name` means by a lesson, a choice or the registry's exact rule.

        A name that is used in several languages means the library that Python programs install.
        """
        opened, name = await self._in_step(), self._redacted(name)
        row = await _meanings(opened).meant(name)
        if row is None:
            return None
        return CachedHit(
            library_of(metadata_of(row)), await opened.lists.tokens(_keys(name, opened))
        )

    async def learn(self, name: str, library_id: LibraryId) -> CachedHit:
        """Remember an id as this user's lesson; one with a version only the caller keeps."""
        opened, name = await self._in_step(), self._redacted(name)
        now = self._clock()
        if library_id.version is None and read_name(name).name:
            with _unstorable_let_go():
                await _meanings(opened).learn([TaughtName(name, library_id)], now)
        return CachedHit(
            bare_library(name, library_id, now), await opened.lists.tokens(_keys(name, opened))
        )

    async def used(self, uses: Mapping[str, int]) -> None:
        """Count uses of rows; all are written when this returns."""
        opened = await self._in_step()
        async with self._lock:
            for library_id, times in uses.items():
                for _use in range(times):
                    opened.registry.used(library_id)
            with _unstorable_let_go():
                await opened.registry.flush()

    async def aclose(self) -> None:
        """Close the store."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.fabric.aclose()

    @property
    def _lock(self) -> anyio.Lock:
        return self._locks.setdefault(get_running_loop(), anyio.Lock())

    async def _in_step(self) -> OpenRegistry:
        async with self._lock:
            opened = self._opened
            if opened is None:
                opened = await to_thread.run_sync(self._open)
            await opened.keep_in_step()
        return opened

    def _open(self) -> OpenRegistry:
        with self._opening:
            if self._opened is None:
                self._opened = open_home(self._settings, self._clock)
            return self._opened


@contextmanager
def _unstorable_let_go() -> Iterator[None]:
    """Go on without what the store does not take: what is too large, or anything if it fails."""
    try:
        yield
    except (ContextError, StoreError) as error:
        log.debug("not kept: %s", error)


def _keys(name: str, opened: OpenRegistry) -> tuple[str, ...]:
    return tuple(map(list_key, names_of(Question(name), opened.registry)))


def _meanings(opened: OpenRegistry) -> LibraryChoices:
    return LibraryChoices(opened.registry, opened.learned, Viewer(opened.principal))
