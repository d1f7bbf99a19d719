"""The MCP server: its name, what it says of itself, and a handler for each method."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from mcp.server.lowlevel import Server

from context7_fabric import __version__
from context7_fabric.protocol.prompts import Prompts
from context7_fabric.protocol.resources import Resources
from context7_fabric.protocol.tools import Tools
from context7_fabric.services.desk import Desk

NAME = "context7-fabric"
INSTRUCTIONS = (
    "Current documentation of libraries, frameworks, SDKs, command-line tools and cloud services,"
    " from Context7. Reach for it whenever a task touches one of them, familiar ones included: what"
    " a model remembers may be out of date. First resolve-library-id with the library's name, then"
    " query-docs with the id and one precise question. Look-ups and questions asked before are"
    " answered from a local store, so asking again costs nothing. It is no help with reviewing or"
    " debugging a project's own code."
)


def build_server(desk: Desk, principal: str) -> Server[str]:
    """Return an MCP server that answers from `desk`; what it reads is `principal`'s to read."""
    tools, resources, prompts = Tools(desk, principal), Resources(desk, principal), Prompts(desk)
    return Server(
        NAME,
        version=__version__,
        title="Context7 Fabric",
        description="Context7's documentation, answered from what is already known.",
        instructions=INSTRUCTIONS,
        lifespan=_connected,
        on_list_tools=tools.list,
        on_call_tool=tools.call,
        on_list_prompts=prompts.list,
        on_list_resources=resources.list,
        on_list_resource_templates=resources.templates,
    )


@asynccontextmanager
async def _connected(_server: Server[Any]) -> AsyncGenerator[str]:
    """Name each connection; over HTTP all share one life, and one name."""
    yield uuid4().hex
