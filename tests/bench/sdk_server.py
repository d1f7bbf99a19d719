"""The floor under a server on the Python SDK: one tool that returns a text as long as told.

python sdk_server.py LENGTH
"""

from __future__ import annotations

import sys
from typing import Any

import anyio
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

TOOL = types.Tool(name="query-docs", input_schema={"type": "object"})


async def main(length: int) -> None:
    """Serve on stdio, and say the same on every call."""
    said = types.CallToolResult(content=[types.TextContent(type="text", text="word " * length)])

    async def list_tools(_context: object, _params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[TOOL])

    async def call_tool(_context: object, _params: object) -> types.CallToolResult:
        return said

    server: Server[Any] = Server("trivial", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]))
