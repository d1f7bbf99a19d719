"""`tools/list`: upstream's tools as it describes them, and in our words what it lacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest

from context7_fabric.mcp_server.tool_schemas import OWN, listed_tools
from context7_fabric.upstream.base import ToolList

RECORDED = Path(__file__).parents[4] / "shared" / "upstream"
"""Replies of the real servers; they are not part of the repository."""

RESOLVE, QUERY, GET = "resolve-library-id", "query-docs", "get-library-docs"


def recorded(version: str) -> list[dict[str, Any]]:
    path = RECORDED / f"tools-list-{version}.json"
    if not path.is_file():
        pytest.skip(f"the reply of server {version} is not recorded here: {path}")
    tools: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["tools"]
    return tools


def on_the_wire(tools: list[types.Tool]) -> list[dict[str, Any]]:
    return [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in tools]


def names(tools: list[types.Tool]) -> list[str]:
    return [tool.name for tool in tools]


@pytest.mark.parametrize(("version", "restored"), [("4.1.1", GET), ("1.0.33", QUERY)])
def test_a_real_servers_tools_are_listed_unchanged_and_the_other_generations_restored(
    version: str, restored: str
) -> None:
    upstream = recorded(version)
    listed = on_the_wire(listed_tools(ToolList(tuple(upstream))))
    assert listed == [*upstream, OWN[restored]]


def test_before_upstream_was_seen_all_is_described_in_our_words() -> None:
    assert on_the_wire(listed_tools(None)) == list(OWN.values())
    assert names(listed_tools(None)) == [RESOLVE, QUERY, GET]


@pytest.mark.parametrize("name", OWN)
def test_our_words_describe_the_tool_and_every_argument(name: str) -> None:
    tool = OWN[name]
    assert tool["description"]
    schema = tool["inputSchema"]
    assert all(described["description"] for described in schema["properties"].values())
    assert set(schema["required"]) <= set(schema["properties"])


def test_a_tool_that_we_do_not_answer_is_not_listed() -> None:
    unknown = {"name": "delete-everything", "description": "x", "inputSchema": {"type": "object"}}
    assert names(listed_tools(ToolList((unknown,)))) == [RESOLVE, QUERY, GET]


def test_unknown_fields_of_a_tool_are_passed_on() -> None:
    tool = {
        "name": QUERY,
        "description": "As sent.",
        "inputSchema": {"type": "object", "x-new": {"deep": [1]}},
        "execution": {"taskSupport": "forbidden"},
        "annotations": {"readOnlyHint": True},
        "icons": [{"src": "https://example.com/icon.png"}],
        "_meta": {"example.com/x": 1},
    }
    assert on_the_wire(listed_tools(ToolList((tool,))))[0] == tool


@pytest.mark.parametrize(
    "described",
    [
        {},
        {"description": "No schema."},
        {"inputSchema": {"type": "object"}},
        {"inputSchema": {"type": "object"}, "description": ""},
        {"inputSchema": "none", "description": "x"},
        {"inputSchema": {"type": "object"}, "description": ["x"]},
    ],
    ids=repr,
)
def test_what_upstream_describes_wrongly_or_not_at_all_is_described_in_our_words(
    described: dict[str, Any],
) -> None:
    listed = on_the_wire(listed_tools(ToolList(({"name": QUERY} | described,))))
    assert listed[0] == OWN[QUERY]
