"""Between the two generations of Context7's tools: what to call, with which arguments. Pure.

The first generation (server 1.x) has `get-library-docs` with topic, mode and page; the second
(2.0.0 and later) has `query-docs` with a question, and wants a question for a look-up too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from context7_fabric.models import GET_DOCS, QUERY_DOCS, RESOLVE, Mode
from context7_fabric.upstream.base import ToolList


class ToolGeneration(Enum):
    """Which set of tools upstream has."""

    TOPIC = 1
    QUESTION = 2


@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """A tool's name and its arguments, as upstream takes them."""

    tool: str
    arguments: dict[str, Any]


def generation_of(tools: ToolList) -> ToolGeneration:
    """Tell the generation from a tool list; the newer one unless only the older tool is there."""
    if tools.get(GET_DOCS) and not tools.get(QUERY_DOCS):
        return ToolGeneration.TOPIC
    return ToolGeneration.QUESTION


def resolve_call(generation: ToolGeneration, name: str, question: str) -> UpstreamCall:
    """Return the look-up of `name`; `question` says what it is wanted for."""
    if generation is ToolGeneration.TOPIC:
        return UpstreamCall(RESOLVE, {"libraryName": name})
    return UpstreamCall(RESOLVE, {"query": question or name, "libraryName": name})


@dataclass(frozen=True, slots=True)
class DocsRequest:
    """A documentation question; the newer generation asks an empty one with the library's title."""

    library_id: str
    question: str
    mode: Mode | None = None
    page: int = 1
    title: str = ""


def docs_call(generation: ToolGeneration, request: DocsRequest) -> UpstreamCall:
    """Return the documentation call of `request`; only the older one knows mode and page."""
    if generation is ToolGeneration.QUESTION:
        question = request.question or request.title
        return UpstreamCall(QUERY_DOCS, {"libraryId": request.library_id, "query": question})
    arguments: dict[str, Any] = {"context7CompatibleLibraryID": request.library_id}
    if request.question:
        arguments["topic"] = request.question
    if request.mode is not None:
        arguments["mode"] = request.mode
    if request.page > 1:
        arguments["page"] = request.page
    return UpstreamCall(GET_DOCS, arguments)
