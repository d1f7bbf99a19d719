"""The fabric: contexts by scope and key over a backend, with expiry by a clock that is handed in.

A fault of the store is never a caller's fault: it is counted and logged here, and reading goes on
as if nothing were stored.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Self, TypeVar

from anyio import to_thread

from context7_fabric.errors import CorruptEntry, StoreClosed, StoreError
from context7_fabric.fabric.backends.base import Backend
from context7_fabric.fabric.codec import decode, encode
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.models import Clock

log = logging.getLogger(__name__)
_T = TypeVar("_T")

PAGE = 1000
"""Entries that are read at once where many are."""


@dataclass(slots=True)
class Faults:
    """How often the store failed since the start, and how it last did."""

    count: int = 0
    last: str | None = None


class Fabric:
    """A scoped store of contexts."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        """Store in `backend`, which is closed with the fabric; `clock` gives epoch seconds."""
        self.backend = backend
        self.faults = Faults()
        self._clock = clock

    async def __aenter__(self) -> Self:
        """Return the fabric itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the backend."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the backend."""
        await self.backend.aclose()

    async def set_context(
        self,
        key: str,
        value: Json,
        scope: Scope | str = Scope.GLOBAL,
        metadata: dict[str, Json] | None = None,
        ttl: float | None = None,
    ) -> bool:
        """Store `value`; with `ttl`, for that many seconds. Tell whether it was stored.

        Raises:
            TypeError: The value or the metadata is not JSON.
            ValueError: There is no such scope.
        """
        now = self._clock()
        until = None if ttl is None else now + ttl
        context = Context(key, value, Scope(scope), now, until, metadata or {})
        put = self.backend.put(_address(context.scope, key), encode(context), expires_in=ttl)
        return await self._guarded(_told(put), otherwise=False)

    async def get_context(self, key: str, scope: Scope | str = Scope.GLOBAL) -> Context | None:
        """Return what is stored under `key`, None when nothing alive and readable is."""
        return await self._guarded(self._read(key, Scope(scope)), otherwise=None)

    async def delete_context(self, key: str, scope: Scope | str = Scope.GLOBAL) -> bool:
        """Remove `key`; tell whether it was there.

        Raises:
            StoreError: It could not be removed: whoever deletes must know.
        """
        return await self.backend.delete(_address(Scope(scope), key))

    async def delete_matching(
        self, prefix: str, doomed: Callable[[Context], bool], scope: Scope | str = Scope.GLOBAL
    ) -> int:
        """Remove the entries below `prefix` that are `doomed`, and those that nobody can read.

        Returns how many went.

        Raises:
            StoreError: The store cannot be searched, or an entry not be removed.
        """
        scope, removed = Scope(scope), 0
        start = _address(scope, "")
        for address in await self.backend.keys(start + prefix):
            context = await self._read(address.removeprefix(start), scope)
            if context is None or doomed(context):
                removed += await self.backend.delete(address)
        return removed

    async def query(
        self, pattern: str, scope: Scope | str = Scope.GLOBAL, limit: int | None = None
    ) -> list[Context]:
        """Return the contexts whose keys match the glob `pattern`, newest first."""
        scope = Scope(scope)
        keys = [
            key for key in await self.keys(scope, _literal(pattern)) if fnmatchcase(key, pattern)
        ]
        found = [await self.get_context(key, scope) for key in keys]
        alive = [context for context in found if context is not None]
        alive.sort(key=lambda context: context.created_at, reverse=True)
        return alive[:limit]

    async def keys(self, scope: Scope, prefix: str = "") -> list[str]:
        """Return the keys of `scope` that begin with `prefix`."""
        start = _address(scope, "")
        found = await self._guarded(self.backend.keys(start + prefix), otherwise=[])
        return [address.removeprefix(start) for address in found]

    async def scan(
        self, prefix: str, scope: Scope | str = Scope.GLOBAL
    ) -> AsyncGenerator[list[Context]]:
        """Yield what is alive and readable under keys that begin with `prefix`, page by page."""
        scope, start = Scope(scope), _address(Scope(scope), "")
        after: str | None = None
        while True:
            page = self.backend.items(start + prefix, after, PAGE)
            found, further = await self._guarded(page, otherwise=([], None))
            yield await to_thread.run_sync(self._decoded, scope, len(start), found)
            if further is None:
                return
            after = further

    async def get_many(
        self, keys: Sequence[str], scope: Scope | str = Scope.GLOBAL
    ) -> list[Context]:
        """Return what is alive and readable under `keys`; one round trip."""
        scope, start = Scope(scope), _address(Scope(scope), "")
        found = await self._guarded(
            self.backend.get_many([start + key for key in keys]), otherwise=[]
        )
        return await to_thread.run_sync(self._decoded, scope, len(start), found)

    async def set_many(self, values: Mapping[str, Json], scope: Scope | str = Scope.GLOBAL) -> bool:
        """Store all of `values` by key, or none; one round trip. Tell whether they were stored.

        Raises:
            TypeError: A value is not JSON.
        """
        now, scope = self._clock(), Scope(scope)
        encoded = {
            _address(scope, key): encode(Context(key, value, scope, now))
            for key, value in values.items()
        }
        return await self._guarded(_told(self.backend.put_many(encoded)), otherwise=False)

    async def lease(self, name: str, seconds: float) -> bool:
        """Take the lease `name` for `seconds`; False when somebody else has it."""
        key = _lease(name)
        return await self._guarded(self.backend.add(key, b"1", expires_in=seconds), otherwise=True)

    async def renew(self, name: str, seconds: float) -> None:
        """Keep the lease `name`, which is ours, for another `seconds`."""
        put = self.backend.put(_lease(name), b"1", expires_in=seconds)
        await self._guarded(put, otherwise=None)

    async def release(self, name: str) -> None:
        """Give the lease `name` back."""
        await self._guarded(self.backend.delete(_lease(name)), otherwise=False)

    def _decoded(self, scope: Scope, start: int, found: list[tuple[str, bytes]]) -> list[Context]:
        contexts = []
        for address, data in found:
            try:
                context = decode(address[start:], scope, data)
            except CorruptEntry as error:
                self._note(error)
                continue
            if context.alive(self._clock()):
                contexts.append(context)
        return contexts

    async def _read(self, key: str, scope: Scope) -> Context | None:
        """Return what is alive under `key`; a corrupt entry is counted, and as good as none."""
        try:
            data = await self.backend.get(_address(scope, key))
            context = None if data is None else decode(key, scope, data)
        except CorruptEntry as error:
            self._note(error)
            return None
        return context if context and context.alive(self._clock()) else None

    async def _guarded(self, work: Awaitable[_T], *, otherwise: _T) -> _T:
        try:
            return await work
        except StoreError as error:
            self._note(error)
            return otherwise

    def _note(self, error: StoreError) -> None:
        self.faults.count += 1
        self.faults.last = str(error)
        # What is still under way when the store is closed comes too late, and nothing is wrong.
        level = logging.DEBUG if isinstance(error, StoreClosed) else logging.WARNING
        log.log(level, "%s", error)


async def _told(work: Awaitable[None]) -> bool:
    await work
    return True


def _address(scope: Scope, key: str) -> str:
    return f"{scope}/{key}"


def _lease(name: str) -> str:
    return f"lease/{name}"


def _literal(pattern: str) -> str:
    """Return what every match of the glob `pattern` begins with."""
    ends = (pattern.find(sign) for sign in "*?[")
    return pattern[: min((end for end in ends if end >= 0), default=len(pattern))]
