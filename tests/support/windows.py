"""A client at the other end of a server's socket, line by line, which knows who answered it."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
from mcp.server.context import CallNext, HandlerResult

from context7_fabric.call_log.records import CallRecord, record_in
from context7_fabric.fabric.context import Scope
from context7_fabric.mcp_server.server import build_server
from context7_fabric.mcp_server.stdio import serve_socket
from context7_fabric.mcp_server.tools import META_KEY, HandlerContext
from context7_fabric.runtime.app import App
from context7_fabric.settings.values import Meta

SECONDS = 10
QUERY, OLD, RESOLVE = "query-docs", "get-library-docs", "resolve-library-id"
ASKED: dict[str, object] = {"libraryId": "/widgets/widget1", "query": "start"}

Reply = dict[str, Any]


class Window:
    """A client at the other end of a socket, and what the server's SDK had to do with its calls."""

    def __init__(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        self.incoming = incoming
        self.outgoing = outgoing
        self.by_sdk = 0

    async def count(self, ctx: HandlerContext, call_next: CallNext) -> HandlerResult:
        """Count the calls that come through the SDK; a middleware."""
        self.by_sdk += ctx.method == "tools/call"
        return await call_next(ctx)

    def send(self, method: str, params: dict[str, object], number: object = 7) -> None:
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self.outgoing.write(json.dumps(message).encode() + b"\n")

    async def receive(self) -> Reply:
        """The next reply; notices are passed over."""
        with anyio.fail_after(SECONDS):
            while "id" not in (message := json.loads(await self.incoming.readline())):
                pass
        return cast("Reply", message)

    async def ask(
        self, tool: str = QUERY, number: object = 7, meta: object = None, **arguments: object
    ) -> Reply:
        """The reply to a call, whole."""
        params = {"name": tool, "arguments": arguments or ASKED}
        self.send("tools/call", params | ({} if meta is None else {"_meta": meta}), number)
        return await self.receive()

    async def shake_hands(self, version: str = "2025-06-18", client: str = "tests") -> Reply:
        named = {"name": client, "version": "1"}
        self.send(
            "initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": named}
        )
        told = await self.receive()
        self.outgoing.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        return told

    async def express(
        self, tool: str = QUERY, number: object = 7, meta: object = None, **arguments: object
    ) -> Reply:
        """The lane's reply to a call; what is written behind may keep it waiting a few times."""
        for _ in range(20):
            before = self.by_sdk
            reply = await self.ask(tool, number, meta, **arguments)
            if self.by_sdk == before:
                return reply
        raise AssertionError("only the SDK answers")

    async def by_the_sdk_with(self, meta: object, tool: str = QUERY, **arguments: object) -> Reply:
        """The reply to a call with a `_meta` that leaves it to the SDK."""
        before = self.by_sdk
        reply = await self.ask(tool, 7, meta, **arguments)
        assert self.by_sdk == before + 1, reply
        return reply

    async def by_the_sdk(self, tool: str = QUERY, **arguments: object) -> Reply:
        """The reply to a call, which must come through the SDK."""
        before = self.by_sdk
        reply = await self.ask(tool, **arguments)
        assert self.by_sdk == before + 1, reply
        return reply


@asynccontextmanager
async def at_the_door(app: App, meta: Meta = "full") -> AsyncGenerator[Window]:
    """A window of `app` that has not said anything yet."""
    ours, theirs = socket.socketpair()
    incoming, outgoing = await asyncio.open_connection(sock=theirs, limit=2**24)
    window = Window(incoming, outgoing)
    server = build_server(app.desk, app.principal, meta=meta)
    server.middleware.append(window.count)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_socket, server, ours)
        yield window
        outgoing.close()
        await outgoing.wait_closed()


@asynccontextmanager
async def opened(
    app: App, version: str = "2025-06-18", meta: Meta = "full"
) -> AsyncGenerator[Window]:
    """A window of `app` past the handshake."""
    async with at_the_door(app, meta) as window:
        await window.shake_hands(version)
        yield window


def told(reply: Reply) -> dict[str, Any]:
    """What the answer says of itself."""
    return cast("dict[str, Any]", reply["result"]["_meta"][META_KEY])


async def records(app: App) -> list[CallRecord]:
    """The records of calls."""
    await app.desk.executions.flush()
    contexts = await app.fabric.query("execution:*", Scope.EXECUTION)
    return [each for each in map(record_in, contexts) if each is not None]
