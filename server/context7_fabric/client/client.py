"""Client for library ids: memory, then a registry, then a resolver."""

from __future__ import annotations

import inspect
import logging
import os
import re
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import urlsplit

from context7_fabric.answers.docset_names import is_local
from context7_fabric.answers.freshness import is_ahead
from context7_fabric.client.local import LocalRegistry
from context7_fabric.client.source import CachedHit, LibrarySource, RemoteServer
from context7_fabric.errors import SettingError
from context7_fabric.models import Clock, tokens
from context7_fabric.parsing.ids import parse_id
from context7_fabric.parsing.keys import name_key
from context7_fabric.registry.registry import STEP_SECONDS
from context7_fabric.settings import Settings, read_settings
from context7_fabric.settings.values import DAY
from context7_fabric.variables import PREFIX

TTL_DAYS = "LIBRARY_CACHE_TTL_DAYS"
SERVICE_URL = "RAG_SERVICE_URL"
TOKEN = f"{PREFIX}TOKEN"
DEFAULT_TTL = 30 * DAY
MOST_NAMES = 1_000

_DAYS = re.compile(r"[0-9]{1,6}")
_TOKEN = re.compile(r"[!-~]+")

log = logging.getLogger(__name__)

Asker: TypeAlias = Callable[[str], Awaitable[str | None] | str | None]
"""Function that takes a text and returns a text or None; it may be async."""


class NameCache:
    """Hits by normalised name, at most `limit`; the least recently used ones are evicted."""

    def __init__(self, limit: int = MOST_NAMES) -> None:
        self._limit = limit
        self._entries: OrderedDict[str, tuple[CachedHit, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of names, expired ones included."""
        return len(self._entries)

    def get(self, key: str, now: float) -> CachedHit | None:
        """Return the hit under `key` unless it has expired by `now`."""
        entry = self._entries.pop(key, None)  # each step alone is safe between threads
        if entry is None or now > entry[1]:
            return None
        self._entries[key] = entry
        return entry[0]

    def put(self, key: str, found: CachedHit, until: float) -> None:
        """Store `found` until that time, in epoch seconds."""
        self._entries[key] = found, until
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Delete all entries."""
        self._entries.clear()


class Context7CacheClient:
    """Client that finds library ids, cache first.

    Any number of callers may share it, also in one `asyncio.run` after another. It opens the store
    at the first look-up and closes it in `aclose` or at the end of `async with`; a later look-up
    opens it again.
    """

    def __init__(
        self,
        rag_url: str | None = None,
        fallback_resolver: Asker | None = None,
        *,
        clock: Clock = time.time,
        step_seconds: float = STEP_SECONDS,
    ) -> None:
        """Use the registry of the server at `rag_url` or RAG_SERVICE_URL, else this machine's.

        `fallback_resolver` is asked for unknown names; `clock` returns epoch seconds. Every
        `step_seconds` uses are written, and the rows that other processes changed are read.

        Raises:
            SettingError: `rag_url` or a variable cannot be used.
        """
        settings = read_client_settings(os.environ, rag_url)
        self.fallback_resolver = fallback_resolver
        self._clock = clock
        self._step_seconds = step_seconds
        self._ttl = settings.ttl
        self._source = _source(settings, clock, step_seconds)
        self._names = NameCache()
        self._hits = self._misses = self._tokens_saved = 0
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
        """Write the uses that are not stored yet, and close the store."""
        await self._write_uses()
        await self._source.aclose()

    async def get_library_id(
        self,
        library_name: str,
        use_fallback: bool = True,  # noqa: FBT001, FBT002  # callers pass it by position
        *,
        fallback_resolver: Asker | None = None,
    ) -> str | None:
        """Return the id of the library that `library_name` means exactly, None if it is unknown.

        With `use_fallback`, an unknown name is passed to `fallback_resolver`, which precedes the
        client's own. An answer in the form of an id is stored for this client, others and the
        server; any other answer counts as None.

        Raises:
            Whatever the resolver raises. A store that cannot be read is a miss.
        """
        key = name_key(library_name)
        found = self._names.get(key, self._clock())
        if found is not None:
            return await self._hit(library_name, found, write=False)
        found = await self._source.find(library_name)
        if found is not None and self._remember(key, found):
            return await self._hit(library_name, found, write=True)
        self._misses += 1
        log.debug("miss: %s", library_name)
        resolver = fallback_resolver or self.fallback_resolver
        return await self._resolved(library_name, resolver) if use_fallback and resolver else None

    async def get_docs(self, library_id: str, question: str) -> str | None:
        """Return the page of a docset that answers `question` without Context7, None without one.

        A private library is answered whatever the confidence; with an empty question, by its
        overview.
        """
        return await self._source.docs(library_id, question)

    def get_stats(self) -> dict[str, int | float]:
        """Return the counts since the client was made.

        `local_cache_size` is the number of names in memory. `estimated_tokens_saved` is the size
        of the lists that look-ups would have returned less that of the ids, by the lists in the
        store; 0 without any.
        """
        total = self._hits + self._misses
        return {
            "cache_hits": self._hits,
            "cache_misses": self._misses,
            "hit_rate_percent": round(100 * self._hits / total, 2) if total else 0.0,
            "local_cache_size": len(self._names),
            "estimated_tokens_saved": self._tokens_saved,
        }

    def clear_local_cache(self) -> None:
        """Delete the names in memory; the store keeps its entries."""
        self._names.clear()
        log.debug("local cache cleared")

    def _remember(self, key: str, found: CachedHit) -> bool:
        """Put `found` into memory if it is young enough to be used; tell whether it is."""
        now, verified = self._clock(), found.library.verified_at
        until = (now if verified is None else verified) + self._ttl
        if now > until or is_ahead(until - self._ttl, now):
            return False
        self._names.put(key, found, until)
        return True

    async def _hit(self, name: str, found: CachedHit, *, write: bool) -> str:
        library_id = found.library.library_id
        log.debug("hit: %s is %s", name, library_id)
        self._hits += 1
        self._tokens_saved += max(0, found.list_tokens - tokens(library_id))
        self._uses[library_id] += 1
        if write or time.monotonic() >= self._write_at:
            await self._write_uses()
        return library_id

    async def _write_uses(self) -> None:
        uses, self._uses = self._uses, Counter()
        self._write_at = time.monotonic() + self._step_seconds
        if uses:
            await self._source.used(uses)

    async def _resolved(self, name: str, resolver: Asker) -> str | None:
        answer = resolver(name)
        if inspect.isawaitable(answer):
            answer = await answer
        library_id = parse_id(answer) if isinstance(answer, str) else None
        if library_id is None:
            return None
        self._remember(name_key(name), await self._source.learn(name, library_id))
        return str(library_id)


def _source(settings: ClientSettings, clock: Clock, step_seconds: float) -> LibrarySource:
    if settings.service is None:
        return LocalRegistry(settings.server, clock, step_seconds)
    from context7_fabric.client.remote import RemoteRegistry  # noqa: PLC0415  # slow to import

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
    *,
    question: str = "",
) -> str | None:
    """Return the result of `context7_docs_fn` for the id that `library_name` means.

    Without that function, return the id; for an unknown library, None. `context7_resolve_fn` is
    the resolver for this call alone. With a `question`, a docset that is held here and is confident
    answers it, and no function is called for documentation. For a private library none ever is.

    Raises:
        SettingError: As `Context7CacheClient`.
        Whatever the two functions raise.
    """
    client = get_context7_cache()
    library_id = await client.get_library_id(library_name, fallback_resolver=context7_resolve_fn)
    if library_id is None:
        log.debug("no library has the name %s", library_name)
    if library_id is None or (context7_docs_fn is None and not question):
        return library_id
    if question or is_local(library_id):
        page = await client.get_docs(library_id, question)
        if page is not None or is_local(library_id):
            return page
    if context7_docs_fn is None:
        return library_id
    docs = context7_docs_fn(library_id)
    return await docs if inspect.isawaitable(docs) else docs


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Settings of a client: an id is used for `ttl` seconds after upstream listed it.

    A `service` is asked in place of this machine's registry.
    """

    server: Settings
    ttl: float
    service: RemoteServer | None = None


def read_client_settings(environ: Mapping[str, str], rag_url: str | None) -> ClientSettings:
    """Return the settings; `rag_url` precedes the environment's URL of a service.

    Raises:
        SettingError: A variable or the URL cannot be used.
    """
    given = (rag_url or "").strip()
    named = ("rag_url", given) if given else (SERVICE_URL, environ.get(SERVICE_URL, ""))
    server = read_settings(environ)
    ttl = server.freshness.library_ttl
    ttl = _ttl(environ) if ttl is None else ttl
    return ClientSettings(server, ttl, _service(*named, environ))


def _service(name: str, text: str, environ: Mapping[str, str]) -> RemoteServer | None:
    if not text.strip():
        return None
    url = text.strip().rstrip("/")
    if not _is_address(url):
        shown = "…" if "@" in url else text
        raise SettingError(name, shown, "an http(s) URL such as http://127.0.0.1:3000")
    token = environ.get(TOKEN, "").strip() or None
    if token is not None and not _TOKEN.fullmatch(token):
        raise SettingError(TOKEN, "…", "a token: it holds blanks or odd characters")
    if token is not None and "@" in url:
        raise SettingError(name, "…", f"without a password, as it has to be beside {TOKEN}")
    return RemoteServer(url, token)


def _is_address(url: str) -> bool:
    """Tell whether `url` is an HTTP(S) URL to which a path can be added."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    whole = bool(parts.hostname) and not (parts.query or parts.fragment)
    return parts.scheme in ("http", "https") and whole and url.isprintable() and " " not in url


def _ttl(environ: Mapping[str, str]) -> float:
    text = environ.get(TTL_DAYS, "").strip()
    if not text:
        return DEFAULT_TTL
    if not _DAYS.fullmatch(text):
        raise SettingError(TTL_DAYS, text, "a whole number of days")
    return int(text) * DAY
