"""Resources on the wire: what is stored, what is known of libraries, and the figures, as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from context7_fabric.fabric.context import Json, Scope
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
)
from context7_fabric.models import Viewer
from context7_fabric.services import Services
from context7_fabric.views.libraries import LibraryViews
from context7_fabric.views.stats import StatsView
from context7_fabric.views.visibility import EntryIndex, entry_json, is_public, page_json

MIME_TYPE = "application/json"
_ANNOTATIONS = types.Annotations(audience=["user", "assistant"], priority=0.3)

_SCOPES = {
    Scope.GLOBAL: "What is stored for all: answers, lists, libraries and what they taught.",
    Scope.EXECUTION: "Records of calls: what was asked, how it was answered, how long it took.",
    Scope.FEEDBACK: "What was thought of answers, by the call it is about.",
    Scope.USER: "What you stored for yourself.",
}


def _resource(uri: str, name: str, title: str, description: str) -> types.Resource:
    return types.Resource(
        uri=uri,
        name=name,
        title=title,
        description=description,
        mime_type=MIME_TYPE,
        annotations=_ANNOTATIONS,
    )


def _template(uri: str, name: str, title: str, description: str) -> types.ResourceTemplate:
    return types.ResourceTemplate(
        uri_template=uri,
        name=name,
        title=title,
        description=description,
        mime_type=MIME_TYPE,
        annotations=_ANNOTATIONS,
    )


RESOURCES = (
    *(
        _resource(
            index_uri(scope),
            f"fabric-{scope.lower()}",
            f"Stored contexts: {scope}",
            f"{about} The newest keys, fifty a page, and how many you may see.",
        )
        for scope, about in _SCOPES.items()
    ),
    _resource(
        REGISTRY,
        "library-registry",
        "Known libraries",
        "The libraries whose Context7 ids are known, the most used first.",
    ),
    _resource(
        STATS,
        "fabric-stats",
        "Figures",
        "Calls made and saved this month, the share of hits of the last day, how much is stored.",
    ),
)

TEMPLATES = (
    _template(
        ENTRY_TEMPLATE,
        "fabric-entry",
        "A stored context",
        "The value under a key, with its metadata and times. The key is percent-encoded.",
    ),
    _template(
        INDEX_TEMPLATE,
        "fabric-index",
        "A page of stored contexts",
        "The keys that are older than the key `after`; a page names the next one.",
    ),
    _template(
        REGISTRY_TEMPLATE,
        "library-search",
        "Libraries that words may mean",
        "Libraries ranked for `q`: what it means by the exact rule, then what is only alike.",
    ),
    _template(
        LIBRARY_TEMPLATE,
        "library",
        "A library",
        "What is known of the library with the id /org/project, and the questions stored of it.",
    ),
)


RESOURCE_NOT_FOUND = -32002
"""The code of the protocol's legacy era; the modern one takes a missing resource for bad params."""

PUBLIC_TTL_MS = 5_000
"""How long a client may show a public entry without asking again."""

_SHOWN = 500
"""Characters of an unknown URI that the error repeats."""


@dataclass(frozen=True, slots=True)
class ResourceContent:
    """What a resource says; `is_public` tells whether that is the same for everybody."""

    told: dict[str, Json]
    is_public: bool = False


class Resources:
    """Lists and reads resources."""

    def __init__(self, desk: Services, viewer: Viewer) -> None:
        """Show what `desk` knows and `viewer` may read."""
        self._viewer = viewer
        self._views = desk.views
        self._libraries = LibraryViews(desk.views, desk.registry, desk.suggester, desk.meanings)
        self._stats = StatsView(desk.views, desk.meter)

    async def list(
        self, _ctx: HandlerContext, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """Return the resources that have one address."""
        return types.ListResourcesResult(resources=list(RESOURCES))

    async def templates(
        self, _ctx: HandlerContext, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """Return the resources that have an address by parameters."""
        return types.ListResourceTemplatesResult(resource_templates=list(TEMPLATES))

    async def read(
        self, ctx: HandlerContext, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """Return what a resource says.

        Raises:
            MCPError: There is none at this address, or none that the caller may see.
        """
        shown = await self.shown(params.uri)
        if shown is None:
            raise _missing(params.uri, ctx.protocol_version)
        content = types.TextResourceContents(
            uri=params.uri, mime_type=MIME_TYPE, text=_json(shown.told)
        )
        return types.ReadResourceResult(
            contents=[content],
            ttl_ms=PUBLIC_TTL_MS if shown.is_public else 0,
            cache_scope="public" if shown.is_public else "private",
        )

    async def shown(self, uri: str) -> ResourceContent | None:
        """Return what is to be seen at `uri`, None when there is nothing."""
        asked = read_uri(uri)
        if isinstance(asked, EntryUri):
            return await self._entry(asked)
        told = await self._told(asked) if asked else None
        return None if told is None else ResourceContent(told)

    async def _told(
        self, asked: IndexUri | RegistryUri | LibraryUri | StatsUri
    ) -> dict[str, Json] | None:
        match asked:
            case IndexUri(scope, after):
                page = await self._views.page(scope, after, self._viewer)
                return _index(page) if page else None
            case RegistryUri(phrase):
                return await self._libraries.registry(phrase)
            case LibraryUri(library):
                return await self._libraries.library(library, self._viewer)
            case StatsUri():
                return await self._stats.read(self._viewer)

    async def _entry(self, asked: EntryUri) -> ResourceContent | None:
        context = await self._views.entry(asked.scope, asked.key, self._viewer)
        return ResourceContent(entry_json(context), is_public(context)) if context else None


def _index(page: EntryIndex) -> dict[str, Json]:
    """Return a page with the address of each entry, and that of the next page."""
    further = index_uri(page.scope, page.entries[-1].key) if page.more else None
    return page_json(page, entry_uri) | {"next": further}


def _json(told: dict[str, Json]) -> str:
    """Return `told` as JSON; what UTF-8 cannot say (lone surrogates) is escaped."""
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(told, separators=(",", ":"))
    return text


def _missing(uri: str, version: str) -> MCPError:
    """Return the error of the caller's era for an address where there is nothing to be seen."""
    modern = version in MODERN_PROTOCOL_VERSIONS
    code = types.INVALID_PARAMS if modern else RESOURCE_NOT_FOUND
    told = uri if len(uri) <= _SHOWN else f"{uri[:_SHOWN]}…"
    return MCPError(code, f"Resource not found: {told}", {"uri": told})
