"""The Python SDK's MCP client, connected to a child or to a URL, and the text of its answers."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TextIO

import httpx2
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

SECONDS = 20.0


@asynccontextmanager
async def over_stdio(
    command: Sequence[str], environment: Mapping[str, str], mode: str = "auto"
) -> AsyncIterator[Client]:
    """A client of a server that runs as a child; what the child writes to stderr is dropped."""
    server = StdioServerParameters(
        command=command[0], args=list(command[1:]), env=dict(environment)
    )
    with _nowhere() as nowhere:
        transport = stdio_client(server, errlog=nowhere)
        async with Client(transport, mode=mode, read_timeout_seconds=SECONDS) as client:
            yield client


@asynccontextmanager
async def over_http(url: str, key: str | None = None, mode: str = "auto") -> AsyncIterator[Client]:
    """A client of a server on HTTP, with or without an API key; proxies are not asked."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx2.AsyncClient(headers=headers, timeout=SECONDS, trust_env=False) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, read_timeout_seconds=SECONDS) as client:
            yield client


async def ask(client: Client, tool: str, **arguments: object) -> str:
    """The text that a tool answers, be it an answer or an error."""
    result = await client.call_tool(tool, arguments)
    return text_of(result)


def text_of(result: types.CallToolResult) -> str:
    """The text of a result's first block."""
    block = result.content[0]
    assert isinstance(block, types.TextContent)
    return block.text


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")
