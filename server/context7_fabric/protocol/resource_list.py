"""What `resources/list` and `resources/templates/list` say. Constants only."""

from __future__ import annotations

import mcp_types as types

from context7_fabric.fabric.context import Scope
from context7_fabric.protocol.resource_uris import (
    ENTRY_TEMPLATE,
    INDEX_TEMPLATE,
    LIBRARY_TEMPLATE,
    REGISTRY,
    REGISTRY_TEMPLATE,
    STATS,
    index_uri,
)

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
