"""Reading a backend's entries as contexts: what is over or cannot be read counts as not there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from fnmatch import translate
from re import compile as compiled
from typing import Protocol, TypeVar, runtime_checkable

from anyio import to_thread

from context7_fabric.errors import CorruptEntry, StoreError
from context7_fabric.fabric.backend import Backend, BackendEntry, EntryPosition
from context7_fabric.fabric.codec import decode
from context7_fabric.fabric.context import Context, Scope, address
from context7_fabric.fabric.stats import StoreErrors
from context7_fabric.models import Clock

_T = TypeVar("_T")

PAGE = 1000
"""Entries that are read at once where many are."""

FIRST_PAGE = 50
"""Places that are looked at first for the newest; each further look takes twice as many."""

_FEW = 50
"""Entries up to which decoding takes less of the event loop than a hop to a worker thread."""


@runtime_checkable
class RepairableBackend(Protocol):
    """A backend that can look for damage behind an entry that cannot be decoded."""

    async def doubt(self, key: str) -> None:
        """Look for damage behind the entry under `key`, and mend it."""
        ...


class ContextReader:
    """The contexts of one backend; faults are noted, and are as good as nothing."""

    def __init__(self, backend: Backend, clock: Clock, faults: StoreErrors) -> None:
        """Read `backend` as of `clock`."""
        self._backend = backend
        self._clock = clock
        self._faults = faults

    async def one(self, key: str, scope: Scope) -> Context | None:
        """Return what is alive and readable under `key`.

        Raises:
            StoreError: The medium said no: whether there is something, nobody knows.
        """
        entry = None
        try:
            entry = await self._backend.get(address(scope, key))
            context = entry and decode(key, scope, entry.value, entry.version)
        except CorruptEntry as error:
            self._faults.note(error)
            if entry is not None and isinstance(self._backend, RepairableBackend):
                await self.guarded(self._backend.doubt(entry.key), otherwise=None)
            return None
        return context if context and context.alive(self._clock()) else None

    async def many(self, keys: Sequence[str], scope: Scope) -> list[Context]:
        """Return what is alive and readable under `keys`, in their order."""
        if not keys:
            return []
        wanted = {address(scope, key): place for place, key in enumerate(keys)}
        found = await self.guarded(self._backend.get_many(list(wanted)), otherwise=[])
        return await self._contexts(sorted(found, key=lambda entry: wanted[entry.key]), scope)

    async def keys(self, scope: Scope, prefix: str) -> list[str]:
        """Return the keys of `scope` that begin with `prefix`."""
        start = address(scope, "")
        found = await self.guarded(self._backend.keys(start + prefix), otherwise=[])
        return [key.removeprefix(start) for key in found]

    async def scan(
        self, prefix: str, scope: Scope, *, whole: bool
    ) -> AsyncGenerator[list[Context]]:
        """Yield what is alive and readable under keys that begin with `prefix`, page by page.

        Where the medium says no it ends, or if it has to be the `whole`, raises a `StoreError`.
        """
        start, after = address(scope, prefix), None
        while True:
            page = self._backend.items(start, after, PAGE)
            found, after = await (page if whole else self.guarded(page, otherwise=([], None)))
            yield await self._contexts(found, scope)
            if after is None:
                return

    async def newest(
        self, pattern: str, scope: Scope, limit: int | None, after: Context | None
    ) -> list[Context]:
        """Return the contexts whose keys match a glob, newest first, those behind `after`."""
        start = address(scope, "")
        place = EntryPosition(after.created_at, address(scope, after.key)) if after else None
        matches = compiled(translate(pattern)).match
        found: list[Context] = []
        size = FIRST_PAGE
        while limit is None or len(found) < limit:
            newest = self._backend.newest(start + _literal(pattern), place, size)
            page = await self.guarded(newest, otherwise=[])
            keys = [each.key.removeprefix(start) for each in page]
            found += await self.many([key for key in keys if matches(key)], scope)
            if len(page) < size:
                break
            place, size = page[-1], min(PAGE, 2 * size)
        return found[:limit]

    async def told(self, tell: Callable[..., _T], *arguments: str) -> _T | None:
        """Return what a plain call of the backend tells, made in a worker thread."""
        return await self.guarded(to_thread.run_sync(tell, *arguments), otherwise=None)

    async def guarded(self, work: Awaitable[_T], *, otherwise: _T) -> _T:
        """Return what `work` gives, `otherwise` when the medium says no."""
        try:
            done = await work
        except StoreError as error:
            self._faults.note(error)
            return otherwise
        self._faults.worked()
        return done

    async def _contexts(self, entries: Sequence[BackendEntry], scope: Scope) -> list[Context]:
        if len(entries) <= _FEW:
            return self._decoded(entries, scope)
        return await to_thread.run_sync(self._decoded, entries, scope)

    def _decoded(self, entries: Sequence[BackendEntry], scope: Scope) -> list[Context]:
        start, now = len(address(scope, "")), self._clock()
        contexts = []
        for entry in entries:
            try:
                context = decode(entry.key[start:], scope, entry.value, entry.version)
            except CorruptEntry as error:
                self._faults.note(error)
                continue
            if context.alive(now):
                contexts.append(context)
        return contexts


def _literal(pattern: str) -> str:
    """Return what every match of the glob `pattern` begins with."""
    ends = (pattern.find(sign) for sign in "*?[")
    return pattern[: min((end for end in ends if end >= 0), default=len(pattern))]
