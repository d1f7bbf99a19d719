"""An MCP client in this process, connected to our server over the app of a test."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NoReturn, cast

import anyio
import anyio.to_thread
import mcp_types as types
from mcp import Client
from mcp.server.lowlevel import Server

from context7_fabric.daemon.server import DaemonServer, DaemonTerms, Handshake
from context7_fabric.mcp_server.server import build_server
from context7_fabric.mcp_server.streams import Duplex, MessageReader, MessageWriter
from context7_fabric.mcp_server.tools import META_KEY
from context7_fabric.relay.endpoint import Endpoint
from context7_fabric.relay.handshake import SERVE, hello, identity
from context7_fabric.runtime.app import App
from context7_fabric.settings.values import Meta
from support.notices import Inbox
from support.product import DAEMON

MODES = ("auto", "legacy", "2026-07-28")
"""Every way the SDK's client can negotiate the protocol era."""

IDENTITY = identity({})
HELLO = hello(SERVE, {}, "/", None)
"""What a relay of this process would say."""


@asynccontextmanager
async def connected(
    app: App, mode: str = "auto", inbox: Inbox | None = None, meta: Meta = "full"
) -> AsyncGenerator[Client]:
    """Yield a client of `app`'s server: in memory, or through a daemon's socket."""
    server = build_server(app.desk, app.principal, meta=meta)
    hear = (inbox or Inbox()).take
    if DAEMON == "off":
        async with Client(server, mode=mode, cache=None, message_handler=hear) as client:
            yield client
        return
    async with (
        hosted(server) as door,
        Client(entered(door), mode=mode, cache=None, message_handler=hear) as client,
    ):
        yield client


@asynccontextmanager
async def hosted(server: Server[Any]) -> AsyncGenerator[Endpoint]:
    """Let a daemon's host serve `server` to whoever comes to the door."""

    @asynccontextmanager
    async def for_everybody(_greeting: Handshake) -> AsyncGenerator[Server[Any]]:
        yield server

    def no_commands(_greeting: Handshake) -> NoReturn:
        raise NotImplementedError

    with tempfile.TemporaryDirectory() as folder:
        door = Endpoint.of(folder, IDENTITY)
        listener = await anyio.to_thread.run_sync(door.listen)
        terms = DaemonTerms(IDENTITY, 60)
        host = DaemonServer(door, terms, for_everybody, no_commands, dict)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.serve, listener)
            yield door
            host.stop()


@asynccontextmanager
async def entered(door: Endpoint) -> AsyncGenerator[tuple[MessageReader, MessageWriter]]:
    """Yield the client's streams of a connection as a relay makes it."""
    connection = await anyio.to_thread.run_sync(
        door.connect_or_start, HELLO, lambda _listener: None
    )
    loop = asyncio.get_running_loop()
    transport, lines = await loop.create_connection(Duplex, sock=connection)
    writer = MessageWriter(transport, lines)
    async with writer:
        yield MessageReader(lines, writer), writer


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
