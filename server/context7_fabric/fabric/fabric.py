"""The fabric: a store of contexts by scope and key over a backend.

Store errors are counted and logged in one place; reads then return nothing.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
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
    """Collects changes, which `execute` makes; those not executed are dropped at the end."""

    def __init__(
        self,
        encoder: EntryEncoder,
        write: Callable[[Sequence[WriteRequest], Sequence[str]], Awaitable[bool]],
    ) -> None:
        """Encode contexts by `encoder`, and pass the changes to `write`."""
        self._encoder = encoder
        self._write = write
        self._changes: dict[str, WriteRequest | None] = {}

    async def __aenter__(self) -> Self:
        """Return the pipeline itself."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Drop the changes that were not executed."""
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
        put = self._encoder.write_request(key, value, scope, metadata, ttl, disposable)
        self._change(put.key, put)

    async def delete_context(self, key: str, scope: Scope | str = Scope.GLOBAL) -> None:
        """Remove `key` with the others."""
        self._change(address(Scope(scope), key), None)

    async def execute(self) -> bool:
        """Make all changes and start anew; return whether they were made.

        Raises:
            TooManyAuthored, TooMuchAuthored: There is no room for them; none was made.
        """
        changes, self._changes = self._changes, {}
        puts = [put for put in changes.values() if put]
        deletes = [key for key, put in changes.items() if put is None]
        return not changes or await self._write(puts, deletes)

    def _change(self, key: str, put: WriteRequest | None) -> None:
        self._changes.pop(key, None)  # the last change of a key counts, at its place in the order
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
        """Store in `backend`, which is closed with the fabric; `clock` returns epoch seconds.

        A context takes at most `value_limit` bytes. `searcher` None ranks by words.
        """
        self.backend = backend
        self.faults = StoreErrors()
        self._encoder = EntryEncoder(clock, value_limit)
        self._searcher = searcher or WordSearch()
        self._stats = StoreStats()
        self._reader = ContextReader(backend, clock, self.faults)
        self.revision = revision_of(backend)

    async def __aenter__(self) -> Self:
        """Return the fabric itself."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close the fabric."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close searcher and backend."""
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
        """Store `value`, for `ttl` seconds if given; return whether it was stored.

        A full store evicts `disposable` contexts, those used longest ago first. None: contexts with
        a ttl or in EXECUTION are disposable; the others are authored and stay.

        Raises:
            TypeError: The value or the metadata is not JSON; the text names the place inside.
            ValueError: There is no such scope, or JSON cannot express the value (NaN, too deep).
            KeyTooLong, ValueTooLarge, TooManyAuthored: Nothing was stored.
        """
        put = self._encoder.write_request(key, value, scope, metadata, ttl, disposable)
        return await self._write([put])

    async def get_context(self, key: str, scope: Scope | str = Scope.GLOBAL) -> Context | None:
        """Return the live and readable context under `key`, or None."""
        start = time.perf_counter()
        context = None
        try:
            context = await self._reader.get(key, Scope(scope))
            self.faults.note_success()
        except StoreError as error:
            self.faults.note(error)
        self._stats.count_read(found=context is not None)
        self._stats.count_operation(start)
        return context

    async def delete_context(self, key: str, scope: Scope | str = Scope.GLOBAL) -> bool:
        """Remove `key`; return whether it existed.

        Raises:
            StoreError: It could not be removed.
        """
        with self._stats.timed():
            return await self.backend.delete(address(Scope(scope), key))

    def trouble(self) -> str | None:
        """Return why nothing outlives this process, None when contexts are kept."""
        return self.backend.trouble() if isinstance(self.backend, WatchableBackend) else None

    def pipeline(self) -> Pipeline:
        """Return a pipeline, whose changes are made in one round trip, all or none."""
        return Pipeline(self._encoder, self._write)

    async def query(
        self,
        pattern: str = "*",
        scope: Scope | str = Scope.GLOBAL,
        limit: int | None = None,
        *,
        after: Context | None = None,
    ) -> list[Context]:
        """Return the contexts whose keys match the glob `pattern`, newest first.

        `after` is the last context of the page before.
        """
        with self._stats.timed():
            return await self._reader.newest(pattern, Scope(scope), limit, after)

    async def search(
        self, query: str, scope: Scope | str = Scope.GLOBAL, limit: int = 5
    ) -> list[SearchMatch]:
        """Return the contexts that are most similar to `query`, the best first.

        Each has its `similarity` (0 to 1); `ranked_by` is "vectors" where the fabric has them,
        else "words".
        """
        with self._stats.timed():
            return await self._searcher.search(self._reader, query, Scope(scope), limit)

    async def count_contexts(self, scope: Scope | str | None = None) -> int:
        """Return the number of contexts, in one scope or in all."""
        scopes = list(Scope) if scope is None else [Scope(scope)]
        starts = [address(each, "") for each in scopes]
        counts = [await self._reader.run_blocking(self.backend.dbsize, each) for each in starts]
        return sum(count or 0 for count in counts)

    async def get_memory_usage(self) -> int:
        """Return the size of the medium in bytes, 0 when it is unknown."""
        info = await self._reader.run_blocking(self.backend.info) or {}
        size = info.get("memory")
        return size if isinstance(size, int) else 0

    async def get_hit_rate(self) -> float:
        """Return the share of this fabric's reads that found a context, 0 to 1."""
        return self._stats.hit_rate

    async def get_avg_latency(self) -> float:
        """Return the mean duration of this fabric's operations, in milliseconds."""
        return self._stats.latency

    async def cleanup(
        self, before_timestamp: str | float | datetime, scope: Scope | str | None = None
    ) -> int:
        """Remove the contexts stored before a time, in one scope or in all; return their number.

        The time is in epoch seconds, a datetime, or a text such as 2024-01-01 or
        2024-01-01T12:00+01:00; without a zone it is UTC.

        Raises:
            ValueError: It is no time.
            StoreError: The store cannot be searched, or a context cannot be removed.
        """
        # Before every key of that time: contexts stored at it stay.
        start = EntryPosition(_seconds(before_timestamp), "")
        scopes = list(Scope) if scope is None else [Scope(scope)]
        return sum([await self._remove_from(start, address(each, "")) for each in scopes])

    async def trim(
        self, prefix: str, most: int, scope: Scope | str = Scope.GLOBAL, *, down_to: int
    ) -> int:
        """Remove all but the newest `down_to` below `prefix`, if there are more than `most`.

        Returns the number of removed contexts.

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
        return await self._remove_from(place, prefix)

    async def delete_matching(
        self, prefix: str, matches: Callable[[Context], bool], scope: Scope | str = Scope.GLOBAL
    ) -> int:
        """Remove the contexts below `prefix` for which `matches` is true, and unreadable ones.

        Returns their number.

        Raises:
            StoreError: The store cannot be searched, or a context cannot be removed.
        """
        found = await self._matching(prefix, matches, Scope(scope))
        return sum([await self.backend.delete(key) for key in found])

    async def count_matching(
        self, prefix: str, matches: Callable[[Context], bool], scope: Scope | str = Scope.GLOBAL
    ) -> int:
        """Return the number of contexts that `delete_matching` would remove.

        Raises:
            StoreError: The store cannot be searched.
        """
        return len(await self._matching(prefix, matches, Scope(scope)))

    async def _matching(
        self, prefix: str, matches: Callable[[Context], bool], scope: Scope
    ) -> list[str]:
        found, start = list[str](), address(scope, "")
        for key in await self.backend.keys(start + prefix):
            context = await self._reader.get(key.removeprefix(start), scope)
            if context is None or matches(context):
                found.append(key)
        return found

    async def keys(self, scope: Scope, prefix: str = "") -> list[str]:
        """Return the keys of `scope` that begin with `prefix`."""
        return await self._reader.keys(scope, prefix)

    def scan(
        self, prefix: str = "", scope: Scope | str = Scope.GLOBAL, *, whole: bool = False
    ) -> AsyncGenerator[list[Context]]:
        """Yield the live and readable contexts whose keys begin with `prefix`, page by page.

        A failure of the store ends it, or where the `whole` is needed raises a `StoreError`.
        """
        return self._reader.scan(prefix, Scope(scope), whole=whole)

    async def get_many(
        self, keys: Sequence[str], scope: Scope | str = Scope.GLOBAL
    ) -> list[Context]:
        """Return the live and readable contexts under `keys`, in their order; one round trip."""
        return await self._reader.get_many(keys, Scope(scope))

    async def set_many(self, values: Mapping[str, Json], scope: Scope | str = Scope.GLOBAL) -> bool:
        """Store all of `values` by key as disposable, or none; return whether they were stored.

        Raises:
            As `set_context`.
        """
        pipe = self.pipeline()
        for key, value in values.items():
            await pipe.set_context(key, value, scope, disposable=True)
        return await pipe.execute()

    async def lease(self, name: str, seconds: float) -> Lease | None:
        """Take the lease `name` for `seconds`; None when a live holder has it."""
        lease = Lease(self.backend, self._reader, name)
        return lease if await lease.take(seconds) else None

    async def _remove_from(self, place: EntryPosition | None, prefix: str) -> int:
        removed = 0
        while page := await self.backend.newest(prefix, place, PAGE):
            await self.backend.write([], [old.key for old in page])
            removed += len(page)
            place = page[-1]
        return removed

    async def _write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> bool:
        with self._stats.timed():
            try:
                await self.backend.write(puts, deletes)
            except StoreError as error:
                self.faults.note(error)
                return False
        self.faults.note_success()
        return True


def _seconds(moment: str | float | datetime) -> float:
    """Return a time in seconds since the epoch."""
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
    """Return the first result of `read` on the contexts under `keys` that is not None.

    A backend in this process is read key by key, any other for all keys in one round trip.
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
