"""Between the two generations of Context7's tools: what to call, with which arguments. Pure.

The first generation (server 1.x) has `get-library-docs` with topic, mode and page; the second
(2.0.0 and later) has `query-docs` with a question, and wants a question for a look-up too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from context7_fabric.upstream.base import ToolList

RESOLVE = "resolve-library-id"
QUERY_DOCS = "query-docs"
GET_DOCS = "get-library-docs"

Mode = Literal["code", "info"]


class Generation(Enum):
    """Which set of tools upstream has."""

    TOPIC = 1
    QUESTION = 2


@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """A tool's name and its arguments, as upstream takes them."""

    tool: str
    arguments: dict[str, Any]


def generation_of(tools: ToolList) -> Generation:
    """Tell the generation from a tool list; the newer one unless only the older tool is there."""
    if tools.has(GET_DOCS) and not tools.has(QUERY_DOCS):
        return Generation.TOPIC
    return Generation.QUESTION


def resolve_call(generation: Generation, name: str, question: str) -> UpstreamCall:
    """Return the look-up of `name`; `question` says what it is wanted for."""
    if generation is Generation.TOPIC:
        return UpstreamCall(RESOLVE, {"libraryName": name})
    return UpstreamCall(RESOLVE, {"query": question or name, "libraryName": name})


def docs_call(
    generation: Generation, library_id: str, question: str, mode: Mode | None, page: int
) -> UpstreamCall:
    """Return the documentation call for `question`; mode and page exist in the older one only."""
    if generation is Generation.QUESTION:
        return UpstreamCall(QUERY_DOCS, {"libraryId": library_id, "query": question})
    arguments: dict[str, Any] = {"context7CompatibleLibraryID": library_id}
    if question:
        arguments["topic"] = question
    if mode is not None:
        arguments["mode"] = mode
    if page > 1:
        arguments["page"] = page
    return UpstreamCall(GET_DOCS, arguments)
