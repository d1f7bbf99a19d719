"""MCP handlers of resources: stored contexts, libraries and figures as JSON, and completions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from context7_fabric.fabric.context import Json, Scope
from context7_fabric.mcp_server.client_project import ClientProject
from context7_fabric.mcp_server.tools import HandlerContext
from context7_fabric.mcp_server.uris import (
    ENTRY_TEMPLATE,
    INDEX_TEMPLATE,
    LIBRARY_TEMPLATE,
    REGISTRY,
    REGISTRY_TEMPLATE,
    STATS,
    EntryUri,
    IndexUri,
    LibraryUri,
    RegistryUri,
    StatsUri,
    entry_uri,
    index_uri,
    read_uri,
    scope_named,
)
from context7_fabric.models import Caller, Viewer
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.services import Services
from context7_fabric.views.libraries import LibraryViews, pin_json
from context7_fabric.views.stats import StatsView
from context7_fabric.views.visibility import EntryIndex, entry_json, is_public, page_json

MIME_TYPE = "application/json"
_ANNOTATIONS = types.Annotations(audience=["user", "assistant"], priority=0.3)
_resource = partial(types.Resource, mime_type=MIME_TYPE, annotations=_ANNOTATIONS)
_template = partial(types.ResourceTemplate, mime_type=MIME_TYPE, annotations=_ANNOTATIONS)

_SCOPES = {
    Scope.GLOBAL: "Shared entries: answers, lists, libraries and what they taught.",
    Scope.EXECUTION: "Records of calls: question, outcome and time.",
    Scope.FEEDBACK: "Feedback on answers, by the call it is about.",
    Scope.USER: "Your own contexts.",
}

RESOURCES = (
    *(
        _resource(
            uri=index_uri(scope),
            name=f"fabric-{scope.lower()}",
            title=f"Stored contexts: {scope}",
            description=f"{about} The newest keys, fifty a page, and how many you may see.",
        )
        for scope, about in _SCOPES.items()
    ),
    _resource(
        uri=REGISTRY,
        name="library-registry",
        title="Known libraries",
        description="The libraries whose Context7 ids are known, the most used first.",
    ),
    _resource(
        uri=STATS,
        name="fabric-stats",
        title="Figures",
        description="Calls made and saved this month, the hit rate of the last day, the number of"
        " stored entries.",
    ),
)

TEMPLATES = (
    _template(
        uri_template=ENTRY_TEMPLATE,
        name="fabric-entry",
        title="A stored context",
        description="The value under a key, with its metadata and times. The key is"
        " percent-encoded.",
    ),
    _template(
        uri_template=INDEX_TEMPLATE,
        name="fabric-index",
        title="A page of stored contexts",
        description="The keys that are older than the key `after`; a page names the next one.",
    ),
    _template(
        uri_template=REGISTRY_TEMPLATE,
        name="library-search",
        title="Libraries that a phrase may mean",
        description="Libraries ranked for `q`: the exact match first, then suggestions.",
    ),
    _template(
        uri_template=LIBRARY_TEMPLATE,
        name="library",
        title="A library",
        description="The row, the docsets (documentation held here: its facts, and how to ask it)"
        " and the stored questions of the library with the id /org/project.",
    ),
)

_PARAMETERS = {
    ENTRY_TEMPLATE: ("scope", "key"),
    INDEX_TEMPLATE: ("scope", "after"),
    REGISTRY_TEMPLATE: ("q",),
    LIBRARY_TEMPLATE: ("org", "project"),
}

MOST_COMPLETIONS = 100
"""Values of one completion, as the protocol bounds them."""

RESOURCE_NOT_FOUND = -32002
"""Error code of the legacy era; in the modern one a missing resource is invalid params."""

PUBLIC_TTL_MS = 5_000
"""Milliseconds for which a client may cache a public entry."""

_SHOWN = 500
"""Characters of an unknown URI that the error repeats."""


@dataclass(frozen=True, slots=True)
class ResourceContent:
    """Content of a resource; `is_public` says that it is the same for every principal."""

    value: dict[str, Json]
    is_public: bool = False


class Resources:
    """Lists and reads resources, and completes the parameters of their templates."""

    def __init__(self, services: Services, viewer: Viewer, project: ClientProject) -> None:
        """Show what `viewer` may read of `services`, and the pins of its `project`."""
        self._viewer = viewer
        self._project = project
        self._pinned = services.pinned
        self._views = services.views
        self._libraries = LibraryViews(
            services.views,
            services.registry,
            services.suggester,
            services.choices,
            services.docsets,
        )
        self._stats = StatsView(services.views, services.quota)

    async def list(
        self, _ctx: HandlerContext, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """Return the resources that have a fixed address."""
        return types.ListResourcesResult(resources=list(RESOURCES))

    async def templates(
        self, _ctx: HandlerContext, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """Return the resources whose address has parameters."""
        return types.ListResourceTemplatesResult(resource_templates=list(TEMPLATES))

    async def read(
        self, ctx: HandlerContext, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """Return the content of a resource.

        Raises:
            MCPError: There is none at this address that the caller may see.
        """
        found = await self._content(params.uri)
        if found is None:
            raise _not_found(params.uri, ctx.protocol_version)
        content = types.TextResourceContents(
            uri=params.uri, mime_type=MIME_TYPE, text=_json(found.value)
        )
        return types.ReadResourceResult(
            contents=[content],
            ttl_ms=PUBLIC_TTL_MS if found.is_public else 0,
            cache_scope="public" if found.is_public else "private",
        )

    async def complete(
        self, _ctx: HandlerContext, params: types.CompleteRequestParams
    ) -> types.CompleteResult:
        """Return values that begin with what was typed; a prompt's arguments have none.

        Raises:
            MCPError: There is no such template, or no such parameter.
        """
        if not isinstance(params.ref, types.ResourceTemplateReference):
            return _completion([])
        argument = params.argument
        if argument.name not in _PARAMETERS.get(params.ref.uri, ()):
            text = f"There is no parameter {argument.name!r} of a template {params.ref.uri!r}"
            raise MCPError(types.INVALID_PARAMS, text)
        given = (params.context.arguments if params.context else None) or {}
        return _completion(await self._completions(argument.name, argument.value, given))

    async def _content(self, uri: str) -> ResourceContent | None:
        address = read_uri(uri)
        if isinstance(address, EntryUri):
            context = await self._views.entry(address.scope, address.key, self._viewer)
            return ResourceContent(entry_json(context), is_public(context)) if context else None
        value = await self._value(address) if address else None
        return None if value is None else ResourceContent(value)

    async def _value(
        self, address: IndexUri | RegistryUri | LibraryUri | StatsUri
    ) -> dict[str, Json] | None:
        match address:
            case IndexUri(scope, after):
                page = await self._views.page(scope, after, self._viewer)
                return _index(page) if page else None
            case RegistryUri(phrase):
                return await self._libraries.registry(phrase)
            case LibraryUri(library):
                return await self._library(library)
            case StatsUri():
                return await self._stats.read(self._viewer)

    async def _library(self, library: LibraryId) -> dict[str, Json] | None:
        """Return the view of a library, with the pin that counts for it, if any."""
        view = await self._libraries.library(library, self._viewer)
        viewer, directory = self._viewer, self._project.directory
        caller = Caller(viewer.principal, viewer.owner, project=directory)
        pin = await self._pinned.in_force(LibraryId(library.org, library.project), caller)
        return view if view is None or pin is None else view | {"pin": pin_json(pin)}

    async def _completions(self, name: str, begun: str, given: Mapping[str, str]) -> Sequence[str]:
        match name:
            case "scope":
                return [scope for scope in Scope if scope.startswith(begun.upper())]
            case "org":
                return await self._libraries.orgs(begun, self._viewer)
            case "project":
                return await self._libraries.projects(given.get("org", ""), begun, self._viewer)
            case "q":
                return await self._libraries.names(begun)
            case _:
                return await self._keys(given.get("scope", ""), begun)

    async def _keys(self, scope_name: str, begun: str) -> Sequence[str]:
        """Return the newest keys of a scope, one more than is shown where there are more."""
        scope = scope_named(scope_name)
        if scope is None:
            return []
        found = await self._views.newest(scope, begun, MOST_COMPLETIONS + 1, self._viewer)
        return [context.key for context in found]


def _completion(values: Sequence[str]) -> types.CompleteResult:
    """Return the first of `values`, with their number where all of them are there."""
    more = len(values) > MOST_COMPLETIONS
    total = None if more else len(values)
    shown = list(values[:MOST_COMPLETIONS])
    return types.CompleteResult(
        completion=types.Completion(values=shown, total=total, has_more=more)
    )


def _index(page: EntryIndex) -> dict[str, Json]:
    """Return a page with the address of each entry, and that of the next page."""
    following = index_uri(page.scope, page.entries[-1].key) if page.more else None
    return page_json(page, entry_uri) | {"next": following}


def _json(value: dict[str, Json]) -> str:
    """Return `value` as JSON; lone surrogates, which UTF-8 cannot encode, are escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def _not_found(uri: str, version: str) -> MCPError:
    """Return the error of the caller's era."""
    modern = version in MODERN_PROTOCOL_VERSIONS
    code = types.INVALID_PARAMS if modern else RESOURCE_NOT_FOUND
    shown = uri if len(uri) <= _SHOWN else f"{uri[:_SHOWN]}…"
    return MCPError(code, f"Resource not found: {shown}", {"uri": shown})
