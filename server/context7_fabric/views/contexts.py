"""The fabric's contexts as one principal and one owner may see and write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from context7_fabric.errors import NotOwner, StoreError
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.search import SearchMatch
from context7_fabric.models import LOCAL_OWNER, Clock
from context7_fabric.views.purge import FETCHED
from context7_fabric.views.visibility import is_listed, visible

BOOKKEEPING = (*FETCHED, "rows:", "upstream:", "vector:", "meter:", "execution:", "feedback:")
"""What the keys begin with of everything that this program itself keeps."""

_LOOKED_AT = 50
_T = TypeVar("_T", bound=Context)


class ContextViews:
    """Reads and writes contexts; what others own is as good as not there."""

    def __init__(self, fabric: Fabric, clock: Clock, principal: str, owner: str) -> None:
        """Use `fabric` for `principal`; what is in USER belongs to `owner`."""
        self._fabric = fabric
        self._clock = clock
        self._principal = principal
        self._owner = owner

    async def get(self, key: str, scope: Scope) -> Context | None:
        """Return the context under `key`, None when there is none to be seen."""
        context = await self._fabric.get_context(self._stored(key, scope), scope)
        return self._named(context) if context is not None and self._shown(context) else None

    async def set(self, key: str, value: Json, scope: Scope) -> None:
        """Store `value` under `key`, never to be evicted.

        Raises:
            NotYours: The key is one that only this program writes, or somebody else has it.
            TypeError, ValueError: The value is nothing that JSON can say, or too deep.
            ContextError: It is too large, its key too long, or there are too many.
            StoreError: It could not be stored.
        """
        if key.startswith(BOOKKEEPING):
            raise NotOwner(key, "such keys are the program's own bookkeeping")
        key = self._stored(key, scope)
        metadata = self._belonging(scope)
        draft = Context(key, value, scope, self._clock(), metadata=metadata)
        present = await self._fabric.get_context(key, scope)
        if not self._shown(draft) or (present is not None and not self._shown(present)):
            raise NotOwner(key, "it belongs to somebody else")
        if not await self._fabric.set_context(key, value, scope, metadata, disposable=False):
            raise StoreError(f"the value could not be stored: {self._fabric.faults.last}")

    async def query(self, pattern: str, scope: Scope, limit: int) -> list[Context]:
        """Return the newest contexts whose keys match the glob `pattern`, `limit` at most."""
        stored = self._stored(pattern, scope)

        def shown(context: Context) -> bool:
            return self._shown(context) and is_listed(context.key, scope, stored)

        found = await listed(self._fabric, stored, scope, limit, shown)
        return [self._named(each) for each in found]

    async def search(self, query: str, scope: Scope, limit: int) -> list[SearchMatch]:
        """Return the contexts most similar to `query`, the best first, `limit` at most."""

        def shown(context: Context) -> bool:
            return self._shown(context) and is_listed(context.key, scope)

        found = await similar(self._fabric, query, scope, limit, shown)
        return [self._named(each) for each in found]

    def _stored(self, key: str, scope: Scope) -> str:
        """Return the key of the store, in which each owner of USER's contexts has keys of its own.

        The local user's are as they are.
        """
        shared = scope is not Scope.USER or self._owner == LOCAL_OWNER
        return key if shared else f"{key}#{self._owner}"

    def _named(self, context: _T) -> _T:
        """Return a context under the key that its owner knows it by."""
        own = self._stored("", context.scope)
        return replace(context, key=context.key.removesuffix(own)) if own else context

    def _belonging(self, scope: Scope) -> dict[str, Json]:
        """Return the metadata that says whose an entry of `scope` is."""
        if scope is Scope.USER:
            return {"owner": self._owner}
        return {} if scope is Scope.GLOBAL else {"principal": self._principal}

    def _shown(self, context: Context) -> bool:
        return visible(context, self._principal, self._owner)


async def listed(
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
        page = await fabric.query(pattern, scope, _LOOKED_AT, after=after)
        found += filter(shown, page)
        if len(page) < _LOOKED_AT:
            break
        after = page[-1]
    return found[:limit]


async def similar(
    fabric: Fabric, query: str, scope: Scope, limit: int, shown: Callable[[Context], bool]
) -> list[SearchMatch]:
    """Return the contexts most similar to `query` that are `shown`, `limit` at most."""
    most = limit
    while True:
        matches = await fabric.search(query, scope, most)
        found = [match for match in matches if shown(match)]
        if len(found) >= limit or len(matches) < most:
            return found[:limit]
        most *= 10  # those that are not shown were among them: look further down
