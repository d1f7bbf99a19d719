"""Reads the entries of a backend as contexts; ended and unreadable ones count as missing."""

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
"""Entries that are read at once where there are many."""

FIRST_PAGE = 50
"""Positions in the first page of the newest; each further page has twice as many."""

_FEW = 50
"""Entries up to which decoding blocks the event loop for less time than a worker thread costs."""


@runtime_checkable
class RepairableBackend(Protocol):
    """A backend that can repair damage."""

    async def check_entry(self, key: str) -> None:
        """Look for damage at an entry that cannot be decoded, and repair it."""
        ...


class ContextReader:
    """Reads the contexts of one backend; errors are counted, and the result is empty."""

    def __init__(self, backend: Backend, clock: Clock, faults: StoreErrors) -> None:
        """Read `backend` at the time of `clock`, and count errors in `faults`."""
        self._backend = backend
        self._clock = clock
        self._faults = faults

    async def get(self, key: str, scope: Scope) -> Context | None:
        """Return the live and readable context under `key`.

        Raises:
            StoreError: The medium failed, so the context may exist.
        """
        entry = None
        try:
            entry = await self._backend.get(address(scope, key))
            context = entry and decode(key, scope, entry.value, entry.version)
        except CorruptEntry as error:
            self._faults.note(error)
            if entry is not None and isinstance(self._backend, RepairableBackend):
                await self.guarded(self._backend.check_entry(entry.key), otherwise=None)
            return None
        return context if context and context.alive(self._clock()) else None

    async def get_many(self, keys: Sequence[str], scope: Scope) -> list[Context]:
        """Return the live and readable contexts under `keys`, in their order."""
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
        """Yield the live and readable contexts whose keys begin with `prefix`, page by page.

        A failure of the medium ends it, or where the `whole` is needed raises a `StoreError`.
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
        """Return the contexts whose keys match a glob, newest first, from behind `after`."""
        start = address(scope, "")
        place = EntryPosition(after.created_at, address(scope, after.key)) if after else None
        matches = compiled(translate(pattern)).match
        found: list[Context] = []
        size = FIRST_PAGE
        while limit is None or len(found) < limit:
            newest = self._backend.newest(start + _literal(pattern), place, size)
            page = await self.guarded(newest, otherwise=[])
            keys = [each.key.removeprefix(start) for each in page]
            found += await self.get_many([key for key in keys if matches(key)], scope)
            if len(page) < size:
                break
            place, size = page[-1], min(PAGE, 2 * size)
        return found[:limit]

    async def run_blocking(self, call: Callable[..., _T], *arguments: str) -> _T | None:
        """Return the result of a plain call of the backend, made in a worker thread."""
        return await self.guarded(to_thread.run_sync(call, *arguments), otherwise=None)

    async def guarded(self, work: Awaitable[_T], *, otherwise: _T) -> _T:
        """Return the result of `work`, or `otherwise` when the medium fails."""
        try:
            done = await work
        except StoreError as error:
            self._faults.note(error)
            return otherwise
        self._faults.note_success()
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
    """Return the beginning of all matches of the glob `pattern`."""
    ends = (pattern.find(sign) for sign in "*?[")
    return pattern[: min((end for end in ends if end >= 0), default=len(pattern))]
