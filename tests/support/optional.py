"""An app that serves optional tools, and short ways to call them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from mcp import Client

from context7_fabric.runtime.app import App
from support.app_server import call, connected, texts
from support.scripted import FakeClock, ScriptedUpstream, scripted_app


@asynccontextmanager
async def serving(
    home: Path, tools: str, mode: str = "auto", **variables: str
) -> AsyncGenerator[tuple[App, Client]]:
    """Yield an app whose TOOLS are `tools`, and a client of it."""
    upstream, clock = ScriptedUpstream(), FakeClock()
    async with (
        scripted_app(upstream, clock, home, TOOLS=tools, **variables) as app,
        connected(app, mode) as client,
    ):
        yield app, client


async def done(client: Client, tool: str, **arguments: object) -> str:
    """Return the text of a call that goes well."""
    result = await call(client, tool, **arguments)
    (text,) = texts(result)
    assert not result.is_error, text
    return text


async def refused(client: Client, tool: str, **arguments: object) -> str:
    """Return the text of a call that does not."""
    result = await call(client, tool, **arguments)
    (text,) = texts(result)
    assert result.is_error, text
    return text


async def keys(client: Client, tool: str, **arguments: object) -> list[str]:
    """Return the keys that a list of contexts names."""
    listed = json.loads(await done(client, tool, **arguments))
    return [each["key"] for each in listed["contexts"]]
