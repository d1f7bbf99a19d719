"""The fabric: contexts by scope and key over a backend, with expiry by a clock that is handed in.

A fault of the store is never a caller's fault: it is counted and logged in one place, and reading
goes on as if nothing were stored.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, TypeVar

from anyio import to_thread

from context7_fabric.errors import StoreError
from context7_fabric.fabric.backend import Backend, EntryPosition, WatchableBackend, WriteRequest
from context7_fabric.fabric.codec import EntryEncoder
from context7_fabric.fabric.context import Context, Json, Scope, address
from context7_fabric.fabric.leases import Lease
from context7_fabric.fabric.read_cache import RevisionedBackend, revision_of
from context7_fabric.fabric.reader import PAGE, ContextReader
from context7_fabric.fabric.search import Searcher, SearchMatch, WordSearch
from context7_fabric.fabric.stats import StoreErrors, StoreStats
from context7_fabric.models import VALUE_LIMIT, Clock


class Pipeline:
    """Collects changes; `execute` makes them. What was not executed is forgotten at the end."""

    def __init__(
        self,
        drafts: EntryEncoder,
        write: Callable[[Sequence[WriteRequest], Sequence[str]], Awaitable[bool]],
    ) -> None:
        """Prepare changes by `drafts`, to be handed to `write`."""
        self._drafts = drafts
        self._write = write
        self._changes: dict[str, WriteRequest | None] = {}

    async def __aenter__(self) -> Self:
        """Return the pipeline itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Forget what was not executed."""
        self._changes.clear()

    async def set_context(
        self,
        key: str,
        value: Json,
        scope: Scope | str = Scope.GLOBAL,
        metadata: dict[str, Json] | None = None,
        ttl: float | None = None,
        *,
        disposable: bool | None = None,
    ) -> None:
        """Store `value` with the others; arguments and errors as `Fabric.set_context`."""
        put = self._drafts.put(key, value, scope, metadata, ttl, disposable)
        self._change(put.key, put)

    async def delete_context(self, key: str, scope: Scope | str = Scope.GLOBAL) -> None:
        """Remove `key` with the others."""
        self._change(address(Scope(scope), key), None)

    async def execute(self) -> bool:
        """Make all changes, and begin anew; tell whether they were made.

        Raises:
            TooManyAuthored: There is no room for them; none was made.
        """
        changes, self._changes = self._changes, {}
        puts = [put for put in changes.values() if put]
        deletes = [key for key, put in changes.items() if put is None]
        return not changes or await self._write(puts, deletes)

    def _change(self, key: str, put: WriteRequest | None) -> None:
        self._changes.pop(key, None)  # the last word on a key counts, at its place in the order
        self._changes[key] = put


class Fabric:
    """A scoped store of contexts."""

    def __init__(
        self,
        backend: Backend,
        clock: Clock = time.time,
        *,
        value_limit: int = VALUE_LIMIT,
        searcher: Searcher | None = None,
    ) -> None:
        """Store in `backend`, which is closed with the fabric; `clock` gives epoch seconds.

        A context takes at most `value_limit` bytes. `searcher` None ranks by words.
        """
        self.backend = backend
        self.faults = StoreErrors()
        self._drafts = EntryEncoder(clock, value_limit)
        self._searcher = searcher or WordSearch()
        self._gauge = StoreStats()
        self._reader = ContextReader(backend, clock, self.faults)
        self.revision = revision_of(backend)

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
        await self._searcher.aclose()
        await self.backend.aclose()

    async def set_context(
        self,
        key: str,
        value: Json,
        scope: Scope | str = Scope.GLOBAL,
        metadata: dict[str, Json] | None = None,
        ttl: float | None = None,
        *,
        disposable: bool | None = None,
    ) -> bool:
        """Store `value`; with `ttl`, for that many seconds. Tell whether it was stored.

        A store that is full drops `disposable` contexts, those used longest ago first. None: what
        has a ttl or lies in EXECUTION is disposable, the rest is authored and stays.

        Raises:
            TypeError: The value or the metadata is not JSON; the text names the place inside.
            ValueError: There is no such scope, or JSON cannot say it (NaN, too deep).
            KeyTooLong, ValueTooLarge, TooManyAuthored: Nothing was stored.
        """
        put = self._drafts.put(key, value, scope, metadata, ttl, disposable)
        return await self._written([put])

    async def get_context(self, key: str, scope: Scope | str = Scope.GLOBAL) -> Context | None:
        """Return what is stored under `key`, None when nothing alive and readable is."""
        start = time.perf_counter()
        context = None
        try:
            context = await self._reader.one(key, Scope(scope))
            self.faults.worked()
        except StoreError as error:
            self.faults.note(error)
        self._gauge.read(found=context is not None)
        self._gauge.took(start)
        return context

    async def delete_context(self, key: str, scope: Scope | str = Scope.GLOBAL) -> bool:
        """Remove `key`; tell whether it was there.

        Raises:
            StoreError: It could not be removed: whoever deletes must know.
        """
        with self._gauge.timed():
            return await self.backend.delete(address(Scope(scope), key))

    def trouble(self) -> str | None:
        """Return why nothing is kept past this process or at all, None when it is."""
        return self.backend.trouble() if isinstance(self.backend, WatchableBackend) else None

    def pipeline(self) -> Pipeline:
        """Return a collector of changes that are made in one round trip, all or none."""
        return Pipeline(self._drafts, self._written)

    async def query(
        self,
        pattern: str = "*",
        scope: Scope | str = Scope.GLOBAL,
        limit: int | None = None,
        *,
        after: Context | None = None,
    ) -> list[Context]:
        """Return the contexts whose keys match the glob `pattern`, newest first.

        With `after`, the last of one page, the next page.
        """
        with self._gauge.timed():
            return await self._reader.newest(pattern, Scope(scope), limit, after)

    async def search(
        self, query: str, scope: Scope | str = Scope.GLOBAL, limit: int = 5
    ) -> list[SearchMatch]:
        """Return the contexts that are most similar to `query`, the best first.

        Each tells its `similarity` (0 to 1) and by what it was ranked: `ranked_by` is "vectors"
        where the fabric has them, else "words".
        """
        with self._gauge.timed():
            return await self._searcher.search(self, query, Scope(scope), limit)

    async def count_contexts(self, scope: Scope | str | None = None) -> int:
        """Return how many contexts there are, in one scope or in all."""
        scopes = list(Scope) if scope is None else [Scope(scope)]
        counts = [
            await self._reader.told(self.backend.dbsize, address(each, "")) for each in scopes
        ]
        return sum(count or 0 for count in counts)

    async def get_memory_usage(self) -> int:
        """Return how many bytes the medium takes, 0 when it does not tell."""
        info = await self._reader.told(self.backend.info) or {}
        size = info.get("memory")
        return size if isinstance(size, int) else 0

    async def get_hit_rate(self) -> float:
        """Return the share of this fabric's reads that found something, 0 to 1."""
        return self._gauge.hit_rate

    async def get_avg_latency(self) -> float:
        """Return the mean time of this fabric's operations, in milliseconds."""
        return self._gauge.latency

    async def cleanup(
        self, before_timestamp: str | float | datetime, scope: Scope | str | None = None
    ) -> int:
        """Remove the contexts stored before a time, in one scope or in all; return how many.

        The time is in epoch seconds, a datetime, or a text such as 2024-01-01 or
        2024-01-01T12:00+01:00; without a zone it is UTC.

        Raises:
            ValueError: It is no time.
            StoreError: The store cannot be searched, or an entry not be removed.
        """
        # Before every key of that very time: what was stored then stays.
        start = EntryPosition(_seconds(before_timestamp), "")
        scopes = list(Scope) if scope is None else [Scope(scope)]
        return sum([await self._remove_behind(start, address(each, "")) for each in scopes])

    async def trim(
        self, prefix: str, most: int, scope: Scope | str = Scope.GLOBAL, *, down_to: int
    ) -> int:
        """Where more than `most` lie below `prefix`, remove all but the newest `down_to`.

        Returns how many went.

        Raises:
            StoreError: As `cleanup`.
        """
        prefix, place = address(Scope(scope), prefix), None
        if await to_thread.run_sync(self.backend.dbsize, prefix) <= most:
            return 0
        while down_to > 0:
            page = await self.backend.newest(prefix, place, min(down_to, PAGE))
            if not page:
                return 0
            place, down_to = page[-1], down_to - len(page)
        return await self._remove_behind(place, prefix)

    async def delete_matching(
        self, prefix: str, doomed: Callable[[Context], bool], scope: Scope | str = Scope.GLOBAL
    ) -> int:
        """Remove the entries below `prefix` that are `doomed`, and those that nobody can read.

        Returns how many went.

        Raises:
            StoreError: The store cannot be searched, or an entry not be removed.
        """
        scope, removed = Scope(scope), 0
        start = address(scope, "")
        for key in await self.backend.keys(start + prefix):
            context = await self._reader.one(key.removeprefix(start), scope)
            if context is None or doomed(context):
                removed += await self.backend.delete(key)
        return removed

    async def keys(self, scope: Scope, prefix: str = "") -> list[str]:
        """Return the keys of `scope` that begin with `prefix`."""
        return await self._reader.keys(scope, prefix)

    def scan(
        self, prefix: str = "", scope: Scope | str = Scope.GLOBAL, *, whole: bool = False
    ) -> AsyncGenerator[list[Context]]:
        """Yield what is alive and readable under keys that begin with `prefix`, page by page.

        Where the store fails it ends, or if it has to be the `whole`, raises a `StoreError`.
        """
        return self._reader.scan(prefix, Scope(scope), whole=whole)

    async def get_many(
        self, keys: Sequence[str], scope: Scope | str = Scope.GLOBAL
    ) -> list[Context]:
        """Return what is alive and readable under `keys`, in their order; one round trip."""
        return await self._reader.many(keys, Scope(scope))

    async def set_many(self, values: Mapping[str, Json], scope: Scope | str = Scope.GLOBAL) -> bool:
        """Store all of `values` by key as disposable, or none. Tell whether they were stored.

        Raises:
            As `set_context`.
        """
        pipe = self.pipeline()
        for key, value in values.items():
            await pipe.set_context(key, value, scope, disposable=True)
        return await pipe.execute()

    async def lease(self, name: str, seconds: float) -> Lease | None:
        """Take the lease `name` for `seconds`; None when somebody who lives has it."""
        lease = Lease(self.backend, self._reader, name)
        return lease if await lease.take(seconds) else None

    async def _remove_behind(self, place: EntryPosition | None, prefix: str) -> int:
        removed = 0
        while page := await self.backend.newest(prefix, place, PAGE):
            await self.backend.write([], [old.key for old in page])
            removed += len(page)
            place = page[-1]
        return removed

    async def _written(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> bool:
        with self._gauge.timed():
            try:
                await self.backend.write(puts, deletes)
            except StoreError as error:
                self.faults.note(error)
                return False
        self.faults.worked()
        return True


def _seconds(moment: str | float | datetime) -> float:
    """Return a point in time in seconds since the epoch."""
    if isinstance(moment, int | float):
        return float(moment)
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_T = TypeVar("_T")


async def first_of(
    fabric: Fabric,
    keys: Sequence[str],
    read: Callable[[Context], _T | None],
    scope: Scope = Scope.GLOBAL,
) -> _T | None:
    """Return what `read` makes of the first context under `keys` that it makes something of.

    A medium at hand is read key by key, any other for all of them in one round trip.
    """
    if len(keys) == 1 or isinstance(fabric.backend, RevisionedBackend):
        for key in keys:
            context = await fabric.get_context(key, scope)
            found = None if context is None else read(context)
            if found is not None:
                return found
        return None
    contexts = await fabric.get_many(keys, scope)
    return next((found for each in contexts if (found := read(each)) is not None), None)
