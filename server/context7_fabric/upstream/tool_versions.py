"""Both generations of Context7's tools: which tool to call, with which arguments. Pure.

The first generation (server 1.x) has `get-library-docs` with topic, mode and page; the second
(2.0.0 and later) has `query-docs` with a question, and requires a question for a look-up too.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeAlias

from context7_fabric.models import GET_DOCS, QUERY_DOCS, RESOLVE, Question
from context7_fabric.upstream.base import ToolList

ToolCall: TypeAlias = tuple[str, dict[str, Any]]
"""A tool's name and its arguments, as upstream takes them."""


class ToolGeneration(Enum):
    """Set of tools that upstream has."""

    TOPIC = 1
    QUESTION = 2


def generation_of(tools: ToolList) -> ToolGeneration:
    """Return the generation of a tool list; the newer one unless only the older tool is there."""
    if tools.get(GET_DOCS) and not tools.get(QUERY_DOCS):
        return ToolGeneration.TOPIC
    return ToolGeneration.QUESTION


def resolve_call(generation: ToolGeneration, look_up: Question) -> ToolCall:
    """Return the call that looks up a library's name."""
    if generation is ToolGeneration.TOPIC:
        return RESOLVE, {"libraryName": look_up.library}
    return RESOLVE, {"query": look_up.text or look_up.library, "libraryName": look_up.library}


def docs_call(generation: ToolGeneration, question: Question, title: str = "") -> ToolCall:
    """Return the call that asks `question`; only the older generation has mode and page.

    The newer one requires a question: the library's `title` replaces an empty one.
    """
    if generation is ToolGeneration.QUESTION:
        return QUERY_DOCS, {"libraryId": question.library, "query": question.text or title}
    arguments: dict[str, Any] = {"context7CompatibleLibraryID": question.library}
    if question.text:
        arguments["topic"] = question.text
    if question.mode is not None:
        arguments["mode"] = question.mode
    if question.page > 1:
        arguments["page"] = question.page
    return GET_DOCS, arguments
