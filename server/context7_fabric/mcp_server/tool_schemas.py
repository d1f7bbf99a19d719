"""Tools of `tools/list`: upstream's own, and the one that only its other generation has.

Until upstream is reached for the first time, built-in descriptions are used.
"""

from __future__ import annotations

from typing import Any

import mcp_types as types
from pydantic import ValidationError

from context7_fabric.mcp_server.extra_tools import OPTIONAL
from context7_fabric.models import GET_DOCS, QUERY_DOCS, RESOLVE
from context7_fabric.upstream.base import ToolList
from context7_fabric.upstream.tool_cache import ToolCache

_LIBRARY_ID = (
    "Context7 library id such as '/vercel/next.js', or '/vercel/next.js/v15.1.8' for one version;"
    " from resolve-library-id, or given by the user in that form."
)
_QUESTION = (
    "What to find out about the library: one topic, said precisely. It is sent to Context7: leave"
    " out secrets, personal data and private code."
)
_ANNOTATIONS = {
    "readOnlyHint": True,
    "destructiveHint": False,
    "openWorldHint": True,
    "idempotentHint": True,
}


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _tool(
    name: str, title: str, description: str, properties: dict[str, Any], required: list[str]
) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required}
    return {
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": schema,
        "annotations": _ANNOTATIONS,
    }


OWN = {
    RESOLVE: _tool(
        RESOLVE,
        "Find a library's Context7 id",
        "Finds the Context7 library id that belongs to the name of a library, framework or product."
        " Call it before asking for documentation, unless the user gave an id in the form"
        " /org/project. Of several matches take the one whose name, description, reputation and"
        " number of snippets fit best; ask the user when it stays unclear.",
        {
            "query": _text(_QUESTION),
            "libraryName": _text("The library's name with its own spelling, e.g. 'Next.js'."),
        },
        ["query", "libraryName"],
    ),
    QUERY_DOCS: _tool(
        QUERY_DOCS,
        "Ask a library's documentation",
        "Returns current documentation and code examples of a library that answer a question. Needs"
        " the library's Context7 id.",
        {"libraryId": _text(_LIBRARY_ID), "query": _text(_QUESTION)},
        ["libraryId", "query"],
    ),
    GET_DOCS: _tool(
        GET_DOCS,
        "Get a library's documentation on a topic",
        "The older form of query-docs: returns documentation of a library on a topic, by pages, as"
        " code examples or as prose.",
        {
            "context7CompatibleLibraryID": _text(_LIBRARY_ID),
            "topic": _text("What the documentation should be about, e.g. 'routing'."),
            "mode": {
                "type": "string",
                "enum": ["code", "info"],
                "default": "code",
                "description": "'code' for examples and API reference, 'info' for explanations.",
            },
            "page": {
                "type": "integer",
                "minimum": 1,
                "maximum": 10,
                "default": 1,
                "description": "A further page of the same topic.",
            },
        },
        ["context7CompatibleLibraryID"],
    ),
}
"""Built-in description of each tool that this server answers."""


def served_tools(upstream: ToolList | None, names: frozenset[str]) -> list[types.Tool]:
    """Return the tools among `names`, those that upstream does not have last."""
    own = map(types.Tool.model_validate, OPTIONAL.values())
    return [tool for tool in (*listed_tools(upstream), *own) if tool.name in names]


def listed_tools(upstream: ToolList | None) -> list[types.Tool]:
    """Return upstream's tools as it describes them, then those it lacks.

    One with an invalid or empty description gets the built-in one.
    """
    known = [tool for tool in (upstream.tools if upstream else ()) if tool.get("name") in OWN]
    names = {tool["name"] for tool in known}
    restored = [tool for name, tool in OWN.items() if name not in names]
    return [_listed(tool) for tool in (*known, *restored)]


def _listed(tool: dict[str, Any]) -> types.Tool:
    try:
        listed = types.Tool.model_validate(tool)
    except ValidationError:
        listed = None
    if listed is None or not listed.description:
        return types.Tool.model_validate(OWN[tool["name"]])
    return listed


class InputSchemas:
    """Input schemas of the served tools, cached: one is needed for every call."""

    def __init__(self, tools: ToolCache, names: frozenset[str]) -> None:
        """Serve the tools `names`, as upstream described them last."""
        self._tools = tools
        self._names = names
        self._of: ToolList | None = None
        self._schemas: dict[str, dict[str, Any]] | None = None

    def __call__(self, name: str) -> dict[str, Any] | None:
        """Return the schema of the tool `name`, None when it is not served."""
        known = self._tools.known
        if self._schemas is None or known is not self._of:
            served = served_tools(known, self._names)
            self._of, self._schemas = known, {each.name: each.input_schema for each in served}
        return self._schemas.get(name)
