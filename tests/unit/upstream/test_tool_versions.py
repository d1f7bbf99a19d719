"""Each question is put to either generation of Context7's tools in that one's own arguments."""

from __future__ import annotations

import pytest

from context7_fabric.models import GET_DOCS, QUERY_DOCS, RESOLVE, Question
from context7_fabric.upstream.base import ToolList
from context7_fabric.upstream.tool_versions import (
    ToolGeneration,
    docs_call,
    generation_of,
    resolve_call,
)

OLDER, NEWER = ToolGeneration.TOPIC, ToolGeneration.QUESTION


@pytest.mark.parametrize(
    ("names", "generation"),
    [
        ((RESOLVE, GET_DOCS), OLDER),
        ((RESOLVE, QUERY_DOCS), NEWER),
        ((RESOLVE, GET_DOCS, QUERY_DOCS), NEWER),
        ((RESOLVE,), NEWER),
        ((), NEWER),
    ],
)
def test_only_a_server_without_the_newer_tool_is_of_the_older_generation(
    names: tuple[str, ...], generation: ToolGeneration
) -> None:
    assert generation_of(ToolList(tuple({"name": name} for name in names))) is generation


@pytest.mark.parametrize(
    ("generation", "question", "arguments"),
    [
        (OLDER, "", {"libraryName": "react"}),
        (OLDER, "hooks", {"libraryName": "react"}),
        (NEWER, "hooks", {"query": "hooks", "libraryName": "react"}),
        (NEWER, "", {"query": "react", "libraryName": "react"}),
    ],
)
def test_a_look_up_asks_with_the_name_where_a_question_is_wanted_and_none_is_there(
    generation: ToolGeneration, question: str, arguments: dict[str, str]
) -> None:
    assert resolve_call(generation, Question("react", question)) == (RESOLVE, arguments)


@pytest.mark.parametrize(
    ("question", "title", "arguments"),
    [
        (Question("/a/b", "hooks"), "", {"topic": "hooks"}),
        (Question("/a/b", ""), "", {}),
        (Question("/a/b", ""), "B", {}),
        (Question("/a/b", "hooks", "code", 1), "", {"topic": "hooks", "mode": "code"}),
        (Question("/a/b", "hooks", "info", 2), "", {"topic": "hooks", "mode": "info", "page": 2}),
    ],
)
def test_docs_call_for_the_older_tool_passes_topic_mode_and_page_that_are_given(
    question: Question, title: str, arguments: dict[str, object]
) -> None:
    expected = {"context7CompatibleLibraryID": "/a/b"} | arguments
    assert docs_call(OLDER, question, title) == (GET_DOCS, expected)


@pytest.mark.parametrize(
    ("question", "title", "query"),
    [
        (Question("/a/b", "hooks"), "B", "hooks"),
        (Question("/a/b", "hooks", "info", 3), "", "hooks"),
        (Question("/a/b", ""), "B", "B"),
        (Question("/a/b", ""), "", ""),
    ],
)
def test_docs_call_for_the_newer_tool_passes_the_question_or_the_librarys_title(
    question: Question, title: str, query: str
) -> None:
    expected = (QUERY_DOCS, {"libraryId": "/a/b", "query": query})
    assert docs_call(NEWER, question, title) == expected
