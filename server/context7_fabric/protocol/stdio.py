"""Serving one client over this process's stdin and stdout."""

from __future__ import annotations

from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from context7_fabric.protocol.notices import PUSHED


async def serve_stdio(server: Server[Any]) -> None:
    """Serve until the client closes our stdin."""
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options(PUSHED))
