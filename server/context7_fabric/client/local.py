"""This machine's registry as a source of library ids, opened at the first use.

One may be shared by tasks, by threads, and by one event loop after another: nothing that is kept
open belongs to a loop, except the locks that its tasks wait for.
"""

from __future__ import annotations

import logging
import threading
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

import anyio
from anyio import to_thread

from context7_fabric.client.learning import learned_row
from context7_fabric.client.opening import Opened, open_home
from context7_fabric.client.source import CachedLibrary, Found
from context7_fabric.documents.ids import LibraryId
from context7_fabric.errors import ContextError
from context7_fabric.models import Clock
from context7_fabric.registry.names import read_name
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row
from context7_fabric.services.egress import redact
from context7_fabric.services.subjects import LookUp, Subject, subject_of
from context7_fabric.settings import Settings

log = logging.getLogger(__name__)

IN_PYTHON = "in Python"
"""What a name is looked up for, as far as the caller's own language tells."""

UNKNOWN = "unknown"
"""The category of a library that nobody has put into one."""


class LocalRegistry:
    """The rows, choices and lists in the home that the server uses as well."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Open nothing yet."""
        self._settings = settings
        self._clock = clock
        self._redacted = redact if settings.redact else str
        self._opened: Opened | None = None
        self._opening = threading.Lock()
        self._locks: WeakKeyDictionary[AbstractEventLoop, anyio.Lock] = WeakKeyDictionary()

    async def find(self, name: str) -> Found | None:
        """Return what `name` means by a learned choice or the registry's exact rule.

        A name that is used in several languages means the library that Python programs install.
        """
        opened, name = await self._in_step(), self._redacted(name)
        subject = subject_of(LookUp(name), opened.registry)
        chosen = await opened.choice(subject.names)
        if chosen is None:
            library = _meant(name, opened.registry)
        else:
            library = _chosen(chosen, subject, opened.registry)
        if library is None:
            return None
        return Found(library, await opened.lists.tokens(subject.keys))

    async def learn(self, name: str, library_id: LibraryId) -> Found:
        """Remember an id as a row and a choice; one with a version only the caller keeps."""
        opened, name = await self._in_step(), self._redacted(name)
        subject = subject_of(LookUp(name), opened.registry)
        now = self._clock()
        if library_id.version is None and read_name(name).name:
            row = learned_row(name, library_id, opened.registry, now)
            with _unstorable_let_go():
                await opened.remember(subject.names, row, library_id.base)
        library = _bare(subject.plain, str(library_id), _shown(now), 1)
        return Found(library, await opened.lists.tokens(subject.keys))

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

    async def _in_step(self) -> Opened:
        async with self._lock:
            opened = self._opened
            if opened is None:
                opened = await to_thread.run_sync(self._open)
            await opened.keep_in_step()
        return opened

    def _open(self) -> Opened:
        with self._opening:
            if self._opened is None:
                self._opened = open_home(self._settings, self._clock)
            return self._opened


@contextmanager
def _unstorable_let_go() -> Iterator[None]:
    """Go on without what the store does not take: what is larger than its bound."""
    try:
        yield
    except ContextError as error:
        log.debug("not kept: %s", error)


def _chosen(library_id: str, subject: Subject, registry: Registry) -> CachedLibrary | None:
    row = registry.row(library_id)
    return _of(row) if row else _bare(subject.plain, library_id, "", 0)


def _meant(name: str, registry: Registry) -> CachedLibrary | None:
    match = registry.find(name) or registry.find(name, IN_PYTHON)
    return _of(match.row) if match else None


def _of(row: Row) -> CachedLibrary | None:
    """Return a row as users see it; None when its id is not known, or not upstream's any more."""
    if not row.id or row.broken:
        return None
    return CachedLibrary(
        library_name=row.name,
        library_id=row.id,
        aliases=list(row.aliases),
        category=row.category or UNKNOWN,
        last_verified="" if row.last_verified is None else _shown(row.last_verified),
        usage_count=row.usage_count,
        relevance_score=1.0,
    )


def _bare(name: str, library_id: str, last_verified: str, usage_count: int) -> CachedLibrary:
    return CachedLibrary(name, library_id, [], UNKNOWN, last_verified, usage_count, 1.0)


def _shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
