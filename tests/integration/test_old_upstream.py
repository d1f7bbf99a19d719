"""In front of the real 1.0.33, whose tools are of the older generation: all three tools work."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import mcp_types as types
import pytest
from mcp import Client

from support.app_server import provenance, texts
from support.client import over_stdio
from support.context7_api import Api
from support.product import PROGRAM, product_environment
from support.tls_proxy import Proxy, tls_proxy

pytestmark = pytest.mark.either_mode

FASTAPI = "/fastapi/fastapi"


@pytest.fixture(scope="module")
def proxy(shared_api: Api) -> Iterator[Proxy]:
    """Proxy between the old server and the internet."""
    with tls_proxy(shared_api) as proxy:
        yield proxy


@pytest.fixture
def environment(home: Path, proxy: Proxy, oldest: list[str]) -> dict[str, str]:
    variables = {**proxy.environment, "CONTEXT7_FABRIC_UPSTREAM": shlex.join(oldest)}
    return product_environment(home, variables)


async def twice(client: Client, tool: str, **arguments: object) -> list[types.CallToolResult]:
    return [await client.call_tool(tool, arguments) for _ in range(2)]


def outcomes(results: list[types.CallToolResult]) -> list[str]:
    return [provenance(each)["outcome"] for each in results]


async def test_a_look_up_is_answered_and_asked_for_once(
    api: Api, environment: dict[str, str]
) -> None:
    async with over_stdio([PROGRAM], environment) as client:
        results = await twice(client, "resolve-library-id", libraryName="numpy", query="arrays")
    assert outcomes(results) == ["miss", "hit"]
    assert results[0].content == results[1].content
    # The explanations above the list are part of what this server answers.
    assert texts(results[0])[0].startswith("Available Libraries:\n\nEach result includes:")
    assert "\n----------\n\n- Title: NumPy\n" in texts(results[0])[0]
    assert [(each.path, each.query) for each in api.requests] == [
        ("/api/v2/search", {"query": "numpy"})
    ]


async def test_the_newer_tool_asks_its_question_as_a_topic(
    api: Api, environment: dict[str, str]
) -> None:
    question = "How do I test a WebSocket?"
    async with over_stdio([PROGRAM], environment) as client:
        results = await twice(client, "query-docs", libraryId=FASTAPI, query=question)
    assert outcomes(results) == ["miss", "hit"]
    assert results[0].content == results[1].content
    (request,) = api.requests
    assert request.path == f"/api/v2/docs/code{FASTAPI}"
    assert request.query["topic"] == question


async def test_the_older_tool_passes_mode_and_page_on_and_keeps_them_apart(
    api: Api, environment: dict[str, str]
) -> None:
    asked = {"context7CompatibleLibraryID": FASTAPI, "topic": "cors"}
    async with over_stdio([PROGRAM], environment) as client:
        first = await twice(client, "get-library-docs", **asked)
        second = await twice(client, "get-library-docs", **asked, page=2)
        info = await twice(client, "get-library-docs", **asked, mode="info")
        third = await client.call_tool("get-library-docs", {**asked, "page": 3})
    assert [outcomes(each) for each in (first, second, info)] == [["miss", "hit"]] * 3
    assert texts(first[0])[0].count("\nSource: ") == 10
    assert texts(second[0])[0].count("\nSource: ") == 4
    assert "### Concurrency > When to write async def" in texts(info[0])[0]
    assert texts(third)[0].startswith("No code documentation available for this library.")
    for pair in (first, second, info):
        assert pair[0].content == pair[1].content
    assert [(each.path.split("/")[4], each.query["page"]) for each in api.requests] == [
        ("code", "1"),
        ("code", "2"),
        ("info", "1"),
        ("code", "3"),
    ]


async def test_after_the_question_shows_the_choice_a_look_up_is_short_also_after_a_restart(
    api: Api, environment: dict[str, str]
) -> None:
    environment = environment | {"CONTEXT7_FABRIC_META": "full"}
    async with over_stdio([PROGRAM], environment) as client:
        first = await client.call_tool("resolve-library-id", {"libraryName": "react"})
        await client.call_tool("query-docs", {"libraryId": "/reactjs/react.dev", "query": "hooks"})
        again = await client.call_tool("resolve-library-id", {"libraryName": "react"})
    async with over_stdio([PROGRAM], environment) as client:
        restarted = await client.call_tool("resolve-library-id", {"libraryName": "react"})
    assert texts(again) == texts(restarted)
    assert provenance(again)["tier"] == "learned"
    assert provenance(again)["library_id"] == "/reactjs/react.dev"
    assert len(texts(again)[0]) < len(texts(first)[0]) / 2
    assert "- Context7-compatible library ID: /reactjs/react.dev\n" in texts(again)[0]
    assert "\n- Also matching: /" in texts(again)[0]
    assert api.calls == 2


async def test_its_own_tools_are_listed_and_the_one_it_lacks_is_restored(
    api: Api, environment: dict[str, str]
) -> None:
    async with over_stdio([PROGRAM], environment) as client:
        await client.call_tool("resolve-library-id", {"libraryName": "numpy"})
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"resolve-library-id", "get-library-docs", "query-docs"}
    assert "query" not in tools["resolve-library-id"].input_schema["properties"]
    assert "page" in tools["get-library-docs"].input_schema["properties"]
