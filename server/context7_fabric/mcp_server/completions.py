"""Completion of the parameters in our resources' addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mcp_types as types
from mcp.shared.exceptions import MCPError

from context7_fabric.fabric.context import Scope
from context7_fabric.mcp_server.tools import HandlerContext
from context7_fabric.mcp_server.uris import (
    ENTRY_TEMPLATE,
    INDEX_TEMPLATE,
    LIBRARY_TEMPLATE,
    REGISTRY_TEMPLATE,
    scope_named,
)
from context7_fabric.models import Viewer
from context7_fabric.services import Services
from context7_fabric.views.libraries import LibraryViews

MOST = 100
"""Values that one completion may have, says the protocol."""

_PARAMETERS = {
    ENTRY_TEMPLATE: ("scope", "key"),
    INDEX_TEMPLATE: ("scope", "after"),
    REGISTRY_TEMPLATE: ("q",),
    LIBRARY_TEMPLATE: ("org", "project"),
}


class Completions:
    """Completes what a user has begun to type."""

    def __init__(self, desk: Services, viewer: Viewer) -> None:
        """Propose what `desk` knows and `viewer` may read."""
        self._viewer = viewer
        self._views = desk.views
        self._libraries = LibraryViews(desk.views, desk.registry, desk.suggester, desk.meanings)

    async def complete(
        self, _ctx: HandlerContext, params: types.CompleteRequestParams
    ) -> types.CompleteResult:
        """Return values that begin with what was typed; a prompt's arguments have none.

        Raises:
            MCPError: It is about no template of ours, or no parameter of it.
        """
        if not isinstance(params.ref, types.ResourceTemplateReference):
            return _result([])
        argument = params.argument
        if argument.name not in _PARAMETERS.get(params.ref.uri, ()):
            raise MCPError(
                types.INVALID_PARAMS,
                f"There is no parameter {argument.name!r} of a template {params.ref.uri!r}",
            )
        given = (params.context.arguments if params.context else None) or {}
        return _result(await self._values(argument.name, argument.value, given))

    async def _values(self, name: str, begun: str, given: Mapping[str, str]) -> Sequence[str]:
        match name:
            case "scope":
                return [scope for scope in Scope if scope.startswith(begun.upper())]
            case "org":
                return await self._libraries.orgs(begun)
            case "project":
                return await self._libraries.projects(given.get("org", ""), begun)
            case "q":
                return await self._libraries.names(begun)
            case _:
                return await self._keys(given.get("scope", ""), begun)

    async def _keys(self, scope_name: str, begun: str) -> list[str]:
        """Return the newest keys of a scope, one more than are shown: others may be there."""
        scope = scope_named(scope_name)
        if scope is None:
            return []
        found = await self._views.newest(scope, begun, MOST + 1, self._viewer)
        return [context.key for context in found]


def _result(values: Sequence[str]) -> types.CompleteResult:
    """Return the first of `values`; where all of them are there, their number is told as well."""
    more = len(values) > MOST
    total = None if more else len(values)
    completion = types.Completion(values=list(values[:MOST]), total=total, has_more=more)
    return types.CompleteResult(completion=completion)
