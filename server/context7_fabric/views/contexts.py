"""Contexts of the fabric as one viewer may read and write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from context7_fabric.errors import NotOwner, StoreError
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.search import SearchMatch
from context7_fabric.models import LOCAL_OWNER, Clock, Viewer
from context7_fabric.views.purge import FETCHED
from context7_fabric.views.visibility import is_listed, is_visible

BOOKKEEPING = (*FETCHED, "rows:", "upstream:", "vector:", "meter:", "execution:", "feedback:")
"""Prefixes of the keys that this program alone writes."""

_PAGE = 50
_T = TypeVar("_T", bound=Context)


class ContextViews:
    """Reads and writes contexts; those of other owners do not exist here."""

    def __init__(self, fabric: Fabric, clock: Clock, viewer: Viewer) -> None:
        """Use `fabric` for `viewer`."""
        self._fabric = fabric
        self._clock = clock
        self._viewer = viewer

    async def get(self, key: str, scope: Scope) -> Context | None:
        """Return the context under `key`, None when there is none to be seen."""
        context = await self._fabric.get_context(self._stored(key, scope), scope)
        return self._named(context) if context is not None and self._shown(context) else None

    async def set(self, key: str, value: Json, scope: Scope) -> None:
        """Store `value` under `key`, never to be evicted.

        Raises:
            NotOwner: The key is reserved for this program, or belongs to another owner.
            TypeError, ValueError: The value is not JSON, or nested too deeply.
            ContextError: It is too large, its key too long, or there are too many.
            StoreError: It could not be stored.
        """
        if key.startswith(BOOKKEEPING):
            raise NotOwner(key, "such keys are reserved for the program itself")
        key = self._stored(key, scope)
        metadata = self._ownership(scope)
        draft = Context(key, value, scope, self._clock(), metadata=metadata)
        present = await self._fabric.get_context(key, scope)
        if not self._shown(draft) or (present is not None and not self._shown(present)):
            raise NotOwner(key, "it belongs to another owner")
        if not await self._fabric.set_context(key, value, scope, metadata, disposable=False):
            raise StoreError(f"the value could not be stored: {self._fabric.faults.last}")

    async def query(self, pattern: str, scope: Scope, limit: int) -> list[Context]:
        """Return the newest contexts whose keys match the glob `pattern`, `limit` at most."""
        stored = self._stored(pattern, scope)

        def shown(context: Context) -> bool:
            return self._shown(context) and is_listed(context.key, scope, stored)

        found = await list_contexts(self._fabric, stored, scope, limit, shown)
        return [self._named(each) for each in found]

    async def search(self, query: str, scope: Scope, limit: int) -> list[SearchMatch]:
        """Return the contexts most similar to `query`, the best first, `limit` at most."""

        def shown(context: Context) -> bool:
            return self._shown(context) and is_listed(context.key, scope)

        found = await search_contexts(self._fabric, query, scope, limit, shown)
        return [self._named(each) for each in found]

    def _stored(self, key: str, scope: Scope) -> str:
        """Return the key in the store; in USER each owner but the local user has its own keys."""
        shared = scope is not Scope.USER or self._viewer.owner == LOCAL_OWNER
        return key if shared else f"{key}#{self._viewer.owner}"

    def _named(self, context: _T) -> _T:
        """Return a context under the key that its owner uses."""
        own = self._stored("", context.scope)
        return replace(context, key=context.key.removesuffix(own)) if own else context

    def _ownership(self, scope: Scope) -> dict[str, Json]:
        """Return the metadata that names the owner of an entry of `scope`."""
        if scope is Scope.USER:
            return {"owner": self._viewer.owner}
        return {} if scope is Scope.GLOBAL else {"principal": self._viewer.principal}

    def _shown(self, context: Context) -> bool:
        return is_visible(context, self._viewer)


async def list_contexts(
    fabric: Fabric,
    pattern: str,
    scope: Scope,
    limit: int,
    shown: Callable[[Context], bool],
    after: Context | None = None,
) -> list[Context]:
    """Return the newest contexts that match the glob `pattern` and are `shown`, `limit` at most."""
    found = list[Context]()
    while len(found) < limit:
        page = await fabric.query(pattern, scope, _PAGE, after=after)
        found += filter(shown, page)
        if len(page) < _PAGE:
            break
        after = page[-1]
    return found[:limit]


async def search_contexts(
    fabric: Fabric, query: str, scope: Scope, limit: int, shown: Callable[[Context], bool]
) -> list[SearchMatch]:
    """Return the contexts most similar to `query` that are `shown`, `limit` at most."""
    most = limit
    while True:
        matches = await fabric.search(query, scope, most)
        found = [match for match in matches if shown(match)]
        if len(found) >= limit or len(matches) < most:
            return found[:limit]
        most *= 10  # hidden contexts were among the matches: look further down
