"""The MCP server of an app in this process: in memory, at a socket, or on HTTP without one.

Behind a socket and on HTTP a test learns which calls the SDK answered, and which the fast path did.
"""

import asyncio
import json
import socket
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import anyio
import anyio.to_thread
import httpx2
import mcp_types as types
from mcp import Client
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel import Server
from starlette.applications import Starlette

from context7_fabric.call_log.records import CallRecord, record_in
from context7_fabric.daemon.server import DaemonServer, DaemonTerms, Handshake
from context7_fabric.daemon.server import Reply as CommandReply
from context7_fabric.fabric.context import Scope
from context7_fabric.http_server.middleware import BodyLimitMiddleware
from context7_fabric.mcp_server.http import http_app
from context7_fabric.mcp_server.server import build_server
from context7_fabric.mcp_server.stdio import serve_socket
from context7_fabric.mcp_server.streams import Duplex, MessageReader, MessageWriter
from context7_fabric.mcp_server.tools import META_KEY, HandlerContext
from context7_fabric.relay.endpoint import Endpoint
from context7_fabric.relay.handshake import SERVE, hello, identity
from context7_fabric.runtime.app import App
from context7_fabric.settings.values import Meta
from support import client as messages
from support.client import HEADERS, INITIALIZED, VERSION, initialize, result_of
from support.notices import Inbox
from support.product import DAEMON

MODES = ("auto", "legacy", "2026-07-28")
"""Every way the SDK's client can negotiate the protocol era."""

QUERY, OLD, RESOLVE = "query-docs", "get-library-docs", "resolve-library-id"
ASKED: dict[str, object] = {"libraryId": "/widgets/widget1", "query": "start"}
BESIDE = {"tests/way": "by the SDK"}
"""A `_meta` that the fast path does not know, so that the SDK answers."""

Reply = dict[str, Any]
CALLS: list[tuple[str, Reply]] = [
    (QUERY, ASKED),
    (
        QUERY,
        {"question": "Wie heißt das? 日本語 🎉 \x00\x7f\r\n\x85\u2028", "libraryID": "/a/b"},
    ),
    (OLD, {"libraryId": "/widgets/widget1", "topic": "start", "tokens": 30}),
]
"""Tools and their arguments, whose answers are at hand when they are asked for again."""

REQUEST_IDS = [7, "7", '日本 " \\ \n']
TRIES = 20
"""Calls until the fast path must answer: what is written behind may keep it waiting."""


@asynccontextmanager
async def connected(
    app: App,
    mode: str = "auto",
    inbox: Inbox | None = None,
    meta: Meta = "full",
    project: str = "",
) -> AsyncGenerator[Client]:
    """Yield the SDK's client of `app`'s server: in memory, or through a daemon's socket."""
    server = build_server(app.services, app.principal, meta=meta, project=project)
    hear = (inbox or Inbox()).take
    if DAEMON == "off":
        async with Client(server, mode=mode, cache=None, message_handler=hear) as client:
            yield client
        return
    async with (
        _hosted(server) as endpoint,
        Client(_relayed(endpoint), mode=mode, cache=None, message_handler=hear) as client,
    ):
        yield client


@asynccontextmanager
async def _hosted(server: Server[Any]) -> AsyncGenerator[Endpoint]:
    """Let a daemon serve `server` at an endpoint of its own."""

    @asynccontextmanager
    async def opened(_greeting: Handshake) -> AsyncGenerator[Server[Any]]:
        yield server

    @asynccontextmanager
    async def opened_for_commands(_greeting: Handshake) -> AsyncGenerator[CommandReply]:
        yield _refuse

    with tempfile.TemporaryDirectory() as folder:
        own = identity({})
        endpoint = Endpoint.of(folder, own)
        listener = await anyio.to_thread.run_sync(endpoint.listen)
        host = DaemonServer(endpoint, DaemonTerms(own, 60), opened, opened_for_commands, dict)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.serve, listener)
            yield endpoint
            host.stop()


async def _refuse(line: bytes) -> bytes:
    raise AssertionError(f"a client of MCP asks for no command: {line!r}")


@asynccontextmanager
async def _relayed(endpoint: Endpoint) -> AsyncGenerator[tuple[MessageReader, MessageWriter]]:
    """Yield the client's streams of a connection as a relay makes it."""
    said = hello(SERVE, {}, "/", None)
    connection = await anyio.to_thread.run_sync(
        endpoint.connect_or_start, said, lambda _listener: None
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
    return [cast("types.TextContent", block).text for block in result.content]


def provenance(result: types.CallToolResult) -> dict[str, Any]:
    return cast("dict[str, Any]", (result.meta or {})[META_KEY])


def message(
    tool: str = QUERY, number: object = 7, meta: object = None, **arguments: object
) -> Reply:
    """Return the request of a tool call, by default one of `ASKED`."""
    return messages.call(tool, number, meta, **(arguments or ASKED))


class Counting:
    """Middleware that counts the calls handled by the SDK."""

    by_sdk = 0

    async def count(self, ctx: HandlerContext, call_next: CallNext) -> HandlerResult:
        self.by_sdk += ctx.method == "tools/call"
        return await call_next(ctx)


@dataclass
class RawClient(Counting):
    """Client of a server over a socket pair."""

    incoming: asyncio.StreamReader
    outgoing: asyncio.StreamWriter

    def send(self, method: str, params: dict[str, object], number: object = 7) -> None:
        self.outgoing.write(json.dumps(messages.message(method, params, number)).encode() + b"\n")

    async def receive(self) -> Reply:
        """Return the next reply; notifications are skipped."""
        with anyio.fail_after(10):
            while "id" not in (reply := json.loads(await self.incoming.readline())):
                pass
        return cast("Reply", reply)

    async def ask(
        self, tool: str = QUERY, number: object = 7, meta: object = None, **arguments: object
    ) -> Reply:
        self.outgoing.write(json.dumps(message(tool, number, meta, **arguments)).encode() + b"\n")
        return await self.receive()

    async def handshake(self, version: str = VERSION, client: str = "tests") -> Reply:
        self.outgoing.write(json.dumps(initialize(version, client, 7)).encode() + b"\n")
        reply = await self.receive()
        self.outgoing.write(json.dumps(INITIALIZED).encode() + b"\n")
        return reply

    async def by_fast_path(
        self, tool: str = QUERY, number: object = 7, meta: object = None, **arguments: object
    ) -> Reply:
        for _ in range(TRIES):
            before = self.by_sdk
            reply = await self.ask(tool, number, meta, **arguments)
            if self.by_sdk == before:
                return reply
        raise AssertionError("only the SDK answers")

    async def by_the_sdk_with(self, meta: object, tool: str = QUERY, **arguments: object) -> Reply:
        """The reply to a call with a `_meta`, which must come through the SDK."""
        before = self.by_sdk
        reply = await self.ask(tool, 7, meta, **arguments)
        assert self.by_sdk == before + 1, reply
        return reply

    async def by_the_sdk(
        self, tool: str = QUERY, meta: object = None, **arguments: object
    ) -> Reply:
        return await self.by_the_sdk_with(meta, tool, **arguments)


@asynccontextmanager
async def connected_raw(
    app: App, meta: Meta = "full", project: str = ""
) -> AsyncGenerator[RawClient]:
    ours, theirs = socket.socketpair()
    incoming, outgoing = await asyncio.open_connection(sock=theirs, limit=2**24)
    raw = RawClient(incoming, outgoing)
    server = build_server(app.services, app.principal, meta=meta, project=project)
    server.middleware.append(raw.count)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_socket, server, ours)
        yield raw
        outgoing.close()
        await outgoing.wait_closed()


@asynccontextmanager
async def opened(
    app: App, version: str = VERSION, meta: Meta = "full", project: str = ""
) -> AsyncGenerator[RawClient]:
    async with connected_raw(app, meta, project) as raw:
        await raw.handshake(version)
        yield raw


@dataclass
class Site(Counting):
    """The server of an app on HTTP, without a socket."""

    app: Starlette

    async def post(
        self,
        body: object,
        peer: str = "10.0.0.1",
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """The reply to a message from an address; bytes go out as they are.

        A body arrives whole, as behind the site's guard, unless it is sent piece by piece.
        """
        app = self.app if isinstance(body, AsyncIterator) else BodyLimitMiddleware(self.app)
        transport = httpx2.ASGITransport(app=app, client=(peer, 1))
        content = body if isinstance(body, bytes | AsyncIterator) else json.dumps(body).encode()
        async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(
                method, "/mcp", content=content, headers={**HEADERS, **(headers or {})}
            )

    async def by_fast_path(self, body: object, **more: Any) -> httpx2.Response:  # noqa: ANN401  # as post
        for _ in range(TRIES):
            before = self.by_sdk
            reply = await self.post(body, **more)
            if self.by_sdk == before:
                return reply
        raise AssertionError("only the SDK answers")


@asynccontextmanager
async def served(app: App, meta: Meta = "full") -> AsyncGenerator[Site]:
    server = build_server(app.services, app.principal, meta=meta)
    site = Site(http_app(server, []))
    server.middleware.append(site.count)
    async with site.app.router.lifespan_context(site.app):
        yield site


def answer_meta(reply: Reply | httpx2.Response) -> dict[str, Any]:
    result = result_of(reply) if isinstance(reply, httpx2.Response) else reply["result"]
    return cast("dict[str, Any]", result["_meta"][META_KEY])


def whole(reply: httpx2.Response) -> tuple[object, ...]:
    """A reply without the one thing that differs from call to call."""
    body = reply.content
    if b'"execution_id"' in body:
        body = body.replace(answer_meta(reply)["execution_id"].encode(), b"ID")
    return reply.status_code, reply.headers.raw, body


async def records(app: App) -> list[CallRecord]:
    await app.services.call_log.flush()
    contexts = await app.fabric.query("execution:*", Scope.EXECUTION)
    return [each for each in map(record_in, contexts) if each is not None]
