"""The one client of a program, and documentation by library name through it."""

from __future__ import annotations

import inspect
import logging
from functools import cache

from context7_fabric.client.client import Asker, Context7CacheClient

log = logging.getLogger(__name__)


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
