"""Replies that can be read but break the protocol: their text is used."""

from __future__ import annotations

from typing import Any

import pytest
from mcp_types import CallToolResult

from context7_fabric.upstream.replies import tidy

TEXT = {"type": "text", "text": "the answer"}


@pytest.mark.parametrize(
    "result",
    [
        {"content": [TEXT], "isError": None},
        {"content": [TEXT], "isError": 0, "_meta": None},
        {"content": [TEXT], "structuredContent": None},
        {"content": [TEXT], "structuredContent": "not an object"},
        {"content": [{"type": "audio", "data": "AA==", "mimeType": "audio/wav"}, TEXT]},
        {"content": [{"type": "resource_link", "uri": "x", "name": "y"}, TEXT]},
        {"content": [{"type": "image"}, TEXT, {"type": "hologram", "rays": 3}]},
        {"content": [TEXT, None, 7, ["text"], {}]},
        {"content": [TEXT | {"annotations": None, "_meta": None}]},
        {"content": [TEXT | {"annotations": {"audience": "all", "priority": 7}}]},
        {"content": [{"text": "the answer"}]},
        {"content": ["the answer"]},
        {"content": TEXT},
        {"content": "the answer"},
        {"content": [{"type": "resource", "resource": {"uri": "a:b", "text": "the answer"}}]},
    ],
)
def test_a_result_with_odd_members_is_read_for_its_text(result: dict[str, Any]) -> None:
    read = CallToolResult.model_validate(tidy(result), by_name=False)
    assert [block.model_dump()["text"] for block in read.content] == ["the answer"]
    assert not read.is_error


@pytest.mark.parametrize("is_error", [True, 1, "true", "TRUE"])
def test_an_error_stays_an_error(is_error: object) -> None:
    assert tidy({"content": [TEXT], "isError": is_error})["isError"] is True


@pytest.mark.parametrize("result", [{"content": None}, {"content": []}, {"isError": False}])
def test_a_result_without_text_is_empty(result: dict[str, Any]) -> None:
    assert tidy(result)["content"] == []


def test_tools_lose_null_members_and_those_without_a_name() -> None:
    schema = {"type": "object", "default": None}
    tools = [
        {"name": "one", "title": None, "annotations": None, "inputSchema": schema},
        {"name": "two", "inputSchema": None},
        {"name": None},
        "three",
    ]
    tidied = tidy({"tools": tools, "nextCursor": None})
    assert tidied == {
        "tools": [
            {"name": "one", "inputSchema": schema},
            {"name": "two", "inputSchema": {"type": "object"}},
        ]
    }


def test_other_results_stay_as_they_are() -> None:
    result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
    assert tidy(result) == result
