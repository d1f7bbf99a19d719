"""An MCP client in this process, connected to our server over the app of a test."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import mcp_types as types
from mcp import Client

from context7_fabric.app import App
from context7_fabric.protocol.server import build_server
from context7_fabric.protocol.tools import META_KEY

MODES = ("auto", "legacy", "2026-07-28")
"""Every way the SDK's client can negotiate the protocol era."""


@asynccontextmanager
async def connected(app: App, mode: str = "auto") -> AsyncGenerator[Client]:
    """Yield a client of `app`'s server."""
    server = build_server(app.desk, app.principal)
    async with Client(server, mode=mode, cache=None) as client:
        yield client


async def call(client: Client, tool: str, **arguments: object) -> types.CallToolResult:
    """Call a tool as it stands on the wire, listed or not."""
    request = types.CallToolRequest(
        params=types.CallToolRequestParams(name=tool, arguments=dict(arguments))
    )
    return await client.session.send_request(request, types.CallToolResult)


def texts(result: types.CallToolResult) -> list[str]:
    """Return the text of each block."""
    return [cast("types.TextContent", block).text for block in result.content]


def provenance(result: types.CallToolResult) -> dict[str, Any]:
    """Return what the result says of where it comes from."""
    return cast("dict[str, Any]", (result.meta or {})[META_KEY])
