"""Lists of the server: tools as upstream has them, resources, prompts, instructions."""

from typing import Any

import anyio
import pytest
from mcp import Client

from context7_fabric.errors import (
    UpstreamError,
    UpstreamOff,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from context7_fabric.mcp_server.server import INSTRUCTIONS
from context7_fabric.mcp_server.tool_schemas import OWN, InputSchemas
from context7_fabric.runtime.app import App
from context7_fabric.upstream.base import ToolList
from context7_fabric.version import __version__
from support.app_server import MODES, call, connected
from support.notices import TOOLS as TOOLS_CHANGED
from support.notices import Inbox, subscribed
from support.scripted import ScriptedUpstream

PROMPTS = ["compare-libraries", "upgrade-dependency", "use-library"]
TOOLS = ["resolve-library-id", "query-docs", "get-library-docs"]


@pytest.mark.parametrize("mode", MODES)
async def test_every_list_is_answered_before_upstream_was_ever_reached(
    app: App, upstream: ScriptedUpstream, mode: str
) -> None:
    upstream.error = UpstreamUnreachable("upstream", "connection refused")
    async with connected(app, mode) as client:
        tools = await client.list_tools()
        assert [tool.name for tool in tools.tools] == TOOLS
        assert all(tool.description for tool in tools.tools)
        assert [prompt.name for prompt in (await client.list_prompts()).prompts] == PROMPTS
        assert len((await client.list_resources()).resources) == 6
        assert len((await client.list_resource_templates()).resource_templates) == 4
    assert upstream.lists == 1


DESCRIBED = ToolList(
    tuple(
        {"name": name, "description": "As sent.", "inputSchema": {"type": "object"}}
        for name in ("resolve-library-id", "query-docs")
    )
)


OUR_WORDS = OWN["query-docs"]["description"]


async def query_docs(client: Client) -> str | None:
    """Description of query-docs."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    return tools["query-docs"].description


@pytest.mark.parametrize("mode", MODES)
async def test_tools_list_of_a_new_home_is_upstreams_from_the_first(
    app: App, upstream: ScriptedUpstream, mode: str
) -> None:
    upstream.tools = DESCRIBED
    async with connected(app, mode) as client:
        assert [await query_docs(client) for _time in range(3)] == ["As sent."] * 3
    assert upstream.lists == 1


@pytest.mark.parametrize("mode", MODES)
async def test_tools_list_of_a_new_home_with_a_slow_upstream_waits_once_and_notifies_then(
    app: App, upstream: ScriptedUpstream, mode: str
) -> None:
    app.services.tools.patience = 0.05
    upstream.tools, upstream.list_gate = DESCRIBED, anyio.Event()
    inbox = Inbox()
    async with connected(app, mode, inbox) as client, subscribed(client):
        assert {await query_docs(client) for _time in range(3)} == {
            OWN["query-docs"]["description"]
        }
        upstream.list_gate.set()
        await inbox.wait_for(TOOLS_CHANGED)
        assert await query_docs(client) == "As sent."
    assert upstream.lists == 1


@pytest.mark.parametrize(
    "error",
    [
        UpstreamOff(),
        UpstreamUnreachable("upstream", "connection refused"),
        UpstreamTimeout("upstream", 55),
        UpstreamRejected(-32601, "no such method"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_tools_list_of_a_new_home_without_upstream_asks_it_once(
    app: App, upstream: ScriptedUpstream, error: UpstreamError
) -> None:
    upstream.error = error
    async with connected(app) as client:
        assert {await query_docs(client) for _time in range(3)} == {
            OWN["query-docs"]["description"]
        }
    assert upstream.lists == 1


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_server_introduces_itself(app: App, mode: str) -> None:
    async with connected(app, mode) as client:
        assert client.server_info is not None
        assert client.server_info.name == "context7-fabric"
        assert client.server_info.version == __version__
        assert client.instructions == INSTRUCTIONS


async def test_upstreams_own_description_is_listed_once_it_was_seen(
    app: App, upstream: ScriptedUpstream
) -> None:
    schema = {"type": "object", "properties": {"query": {"type": "string"}}}
    described = {"name": "query-docs", "description": "As sent.", "inputSchema": schema}
    upstream.tools = ToolList(({"name": "resolve-library-id", "inputSchema": schema}, described))
    async with connected(app) as client:
        await call(client, "query-docs", libraryId="/a/b", query="start")
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert list(tools) == TOOLS
    assert tools["query-docs"].description == "As sent."
    assert tools["query-docs"].input_schema == schema


async def test_schemas_are_those_of_the_list_whatever_upstream_says_meanwhile(
    app: App, upstream: ScriptedUpstream
) -> None:
    schemas = InputSchemas(app.services.tools, app.services.tool_names)

    async def listed() -> dict[str, Any]:
        async with connected(app) as client:
            return {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}

    for _turn in range(2):
        wanted = await listed()
        assert {name: schemas(name) for name in wanted} == wanted
        await app.services.tools.refresh()
    assert schemas("record-feedback") is None
