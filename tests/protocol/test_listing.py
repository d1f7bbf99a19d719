"""What the server says of itself: tools as upstream has them, what else it lists, instructions."""

from typing import Any

import pytest

from context7_fabric import __version__
from context7_fabric.app import App
from context7_fabric.protocol.server import INSTRUCTIONS
from context7_fabric.protocol.tool_list import InputSchemas
from context7_fabric.upstream.base import ToolList
from support.scripted import ScriptedUpstream
from support.wire import MODES, call, connected

PROMPTS = ["compare-libraries", "upgrade-dependency", "use-library"]
TOOLS = ["resolve-library-id", "query-docs", "get-library-docs"]


@pytest.mark.parametrize("mode", MODES)
async def test_every_list_is_answered_before_upstream_was_ever_reached(
    app: App, upstream: ScriptedUpstream, mode: str
) -> None:
    async with connected(app, mode) as client:
        tools = await client.list_tools()
        assert [tool.name for tool in tools.tools] == TOOLS
        assert all(tool.description for tool in tools.tools)
        assert [prompt.name for prompt in (await client.list_prompts()).prompts] == PROMPTS
        assert len((await client.list_resources()).resources) == 6
        assert len((await client.list_resource_templates()).resource_templates) == 4
    assert upstream.lists == 0


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
    schemas = InputSchemas(app.desk.tools, app.desk.tool_names)

    async def listed() -> dict[str, Any]:
        async with connected(app) as client:
            return {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}

    for _turn in range(2):
        wanted = await listed()
        assert {name: schemas(name) for name in wanted} == wanted
        await app.desk.tools.refresh()
    assert schemas("record-feedback") is None
