"""Look-ups of library ids for Python programs: memory, then a registry, then a resolver."""

from __future__ import annotations

import inspect
import logging
import os
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Self, TypeAlias

from context7_fabric.answers.freshness import is_ahead
from context7_fabric.client.environment import ClientSettings, read_client_settings
from context7_fabric.client.local import LocalRegistry
from context7_fabric.client.source import CachedHit, LibrarySource
from context7_fabric.models import Clock, tokens
from context7_fabric.parsing.ids import parse_id
from context7_fabric.parsing.keys import name_key
from context7_fabric.registry.registry import STEP_SECONDS


class ClientCounts:
    """The counts since the client was made."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._hits = 0
        self._misses = 0
        self._tokens_saved = 0

    def hit(self, found: CachedHit) -> None:
        """Count a hit: who asked reads an id in place of a list."""
        self._hits += 1
        self._tokens_saved += max(0, found.list_tokens - tokens(found.library.library_id))

    def miss(self) -> None:
        """Count a miss."""
        self._misses += 1

    def told(self, local_cache_size: int) -> dict[str, int | float]:
        """Return the counts by the names that users know them by."""
        total = self._hits + self._misses
        return {
            "cache_hits": self._hits,
            "cache_misses": self._misses,
            "hit_rate_percent": round(100 * self._hits / total, 2) if total else 0.0,
            "local_cache_size": local_cache_size,
            "estimated_tokens_saved": self._tokens_saved,
        }


MOST_NAMES = 1_000


@dataclass(frozen=True, slots=True)
class _Kept:
    found: CachedHit
    until: float


class NameCache:
    """What was found by normalised name; at most `limit` names."""

    def __init__(self, limit: int = MOST_NAMES) -> None:
        """Hold nothing."""
        self._limit = limit
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def __len__(self) -> int:
        """Return how many names are held, also those past their end."""
        return len(self._kept)

    def get(self, key: str, now: float) -> CachedHit | None:
        """Return what was found by the name `key`, unless it has ended by `now`."""
        kept = self._kept.pop(key, None)  # and back as the newest, in steps that threads may share
        if kept is None or now > kept.until:
            return None
        self._kept[key] = kept
        return kept.found

    def put(self, key: str, found: CachedHit, until: float) -> None:
        """Hold `found` until that time, in epoch seconds."""
        self._kept[key] = _Kept(found, until)
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Hold nothing."""
        self._kept.clear()


log = logging.getLogger(__name__)

Asker: TypeAlias = Callable[[str], Awaitable[str | None] | str | None]
"""A function that is given a text and returns one, or None; it may be async."""


class Context7CacheClient:
    """Finds library ids, cache first.

    One client may be shared by any number of callers, and used in one `asyncio.run` after another.
    It opens what it needs at the first look-up, and closes it in `aclose` or at the end of
    `async with`; a look-up after that opens it again.
    """

    def __init__(
        self,
        rag_url: str | None = None,
        fallback_resolver: Asker | None = None,
        *,
        clock: Clock = time.time,
    ) -> None:
        """Use the registry of the server at `rag_url` or RAG_SERVICE_URL, else this machine's.

        `fallback_resolver` is asked for names that are not known; `clock` gives epoch seconds.

        Raises:
            SettingError: `rag_url` or a variable of the environment cannot be used.
        """
        settings = read_client_settings(os.environ, rag_url)
        self.fallback_resolver = fallback_resolver
        self._clock = clock
        self._ttl = settings.ttl
        self._source = _source(settings, clock)
        self._names = NameCache()
        self._tally = ClientCounts()
        self._uses: Counter[str] = Counter()
        self._write_at = 0.0

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.aclose()

    async def aclose(self) -> None:
        """Write the counts that are not written yet, and close the store."""
        await self._write_uses()
        await self._source.aclose()

    async def get_library_id(
        self,
        library_name: str,
        use_fallback: bool = True,  # noqa: FBT001, FBT002  # callers know it by position
        *,
        fallback_resolver: Asker | None = None,
    ) -> str | None:
        """Return the id of the library that `library_name` means, None when nobody knows.

        A name means a library exactly or not at all. With `use_fallback`, an unknown name is
        given to `fallback_resolver`, which goes before the client's own; its answer is remembered
        for this client, for others and for the server. What is not the form of an id is no answer.

        Raises:
            Whatever the resolver raises. A store that cannot be read is a miss.
        """
        key = name_key(library_name)
        found = self._names.get(key, self._clock())
        if found is not None:
            return await self._hit(library_name, found, write=False)
        found = await self._source.find(library_name)
        if found is not None and self._keep(key, found):
            return await self._hit(library_name, found, write=True)
        self._tally.miss()
        log.debug("miss: %s", library_name)
        resolver = fallback_resolver or self.fallback_resolver
        return await self._resolved(library_name, resolver) if use_fallback and resolver else None

    def get_stats(self) -> dict[str, int | float]:
        """Return the counts since the client was made.

        `cache_hits`, `cache_misses`, `hit_rate_percent` (0 to 100), `local_cache_size` (names in
        memory) and `estimated_tokens_saved`: by how much the lists that look-ups would have
        brought are larger than the ids, measured on the lists in the store; 0 without any.
        """
        return self._tally.told(len(self._names))

    def clear_local_cache(self) -> None:
        """Forget the names in memory; what is in the store stays."""
        self._names.clear()
        log.debug("the local cache is cleared")

    def _keep(self, key: str, found: CachedHit) -> bool:
        """Keep `found` in memory; tell whether it is young enough to be used."""
        now, verified = self._clock(), found.library.verified_at
        until = (now if verified is None else verified) + self._ttl
        if now > until or is_ahead(until - self._ttl, now):
            return False
        self._names.put(key, found, until)
        return True

    async def _hit(self, name: str, found: CachedHit, *, write: bool) -> str:
        library_id = found.library.library_id
        log.debug("hit: %s is %s", name, library_id)
        self._tally.hit(found)
        self._uses[library_id] += 1
        if write or time.monotonic() >= self._write_at:
            await self._write_uses()
        return library_id

    async def _write_uses(self) -> None:
        uses, self._uses = self._uses, Counter()
        self._write_at = time.monotonic() + STEP_SECONDS
        if uses:
            await self._source.used(uses)

    async def _resolved(self, name: str, resolver: Asker) -> str | None:
        answer = resolver(name)
        if inspect.isawaitable(answer):
            answer = await answer
        library_id = parse_id(answer) if isinstance(answer, str) else None
        if library_id is None:
            return None
        self._keep(name_key(name), await self._source.learn(name, library_id))
        return str(library_id)


def _source(settings: ClientSettings, clock: Clock) -> LibrarySource:
    if settings.service is None:
        return LocalRegistry(settings.server, clock)
    from context7_fabric.client.remote import RemoteRegistry  # noqa: PLC0415  # HTTP is heavy

    return RemoteRegistry(settings.service, clock, redacts=settings.server.redact)


@cache
def get_context7_cache() -> Context7CacheClient:
    """Return the program's client, made at the first call.

    Raises:
        SettingError: As `Context7CacheClient`.
    """
    return Context7CacheClient()


async def get_library_docs_cached(
    library_name: str,
    context7_resolve_fn: Asker | None = None,
    context7_docs_fn: Asker | None = None,
) -> str | None:
    """Return what `context7_docs_fn` says of the id that `library_name` means.

    Without that function it is the id itself; None when nobody knows the library.
    `context7_resolve_fn` is asked for a name that is not known, for this call alone.

    Raises:
        SettingError: As `Context7CacheClient`.
        Whatever the two functions raise.
    """
    client = get_context7_cache()
    library_id = await client.get_library_id(library_name, fallback_resolver=context7_resolve_fn)
    if library_id is None:
        log.debug("no library is known by the name %s", library_name)
    if library_id is None or context7_docs_fn is None:
        return library_id
    docs = context7_docs_fn(library_id)
    return await docs if inspect.isawaitable(docs) else docs
