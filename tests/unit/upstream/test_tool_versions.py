"""Each question is put to either generation of Context7's tools in that one's own arguments."""

from __future__ import annotations

import pytest

from context7_fabric.models import GET_DOCS, QUERY_DOCS, RESOLVE
from context7_fabric.upstream.base import ToolList
from context7_fabric.upstream.tool_versions import (
    DocsRequest,
    ToolGeneration,
    UpstreamCall,
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
    assert resolve_call(generation, "react", question) == UpstreamCall(RESOLVE, arguments)


@pytest.mark.parametrize(
    ("request_", "arguments"),
    [
        (DocsRequest("/a/b", "hooks"), {"topic": "hooks"}),
        (DocsRequest("/a/b", ""), {}),
        (DocsRequest("/a/b", "", title="B"), {}),
        (DocsRequest("/a/b", "hooks", mode="code", page=1), {"topic": "hooks", "mode": "code"}),
        (
            DocsRequest("/a/b", "hooks", mode="info", page=2),
            {"topic": "hooks", "mode": "info", "page": 2},
        ),
    ],
)
def test_the_older_tool_gets_topic_mode_and_page_that_are_given(
    request_: DocsRequest, arguments: dict[str, object]
) -> None:
    expected = {"context7CompatibleLibraryID": "/a/b"} | arguments
    assert docs_call(OLDER, request_) == UpstreamCall(GET_DOCS, expected)


@pytest.mark.parametrize(
    ("request_", "question"),
    [
        (DocsRequest("/a/b", "hooks", title="B"), "hooks"),
        (DocsRequest("/a/b", "hooks", mode="info", page=3), "hooks"),
        (DocsRequest("/a/b", "", title="B"), "B"),
        (DocsRequest("/a/b", ""), ""),
    ],
)
def test_the_newer_tool_gets_a_question_or_the_librarys_title(
    request_: DocsRequest, question: str
) -> None:
    expected = UpstreamCall(QUERY_DOCS, {"libraryId": "/a/b", "query": question})
    assert docs_call(NEWER, request_) == expected
