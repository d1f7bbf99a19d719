"""A site without a socket, which knows who answered what was posted to it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from mcp.server.context import CallNext, HandlerResult
from starlette.applications import Starlette

from context7_fabric.http_server.middleware import BodyLimitMiddleware
from context7_fabric.mcp_server.http import http_app
from context7_fabric.mcp_server.server import build_server
from context7_fabric.mcp_server.tools import META_KEY, HandlerContext
from context7_fabric.runtime.app import App
from context7_fabric.settings.values import Meta
from support.windows import ASKED, OLD, QUERY

VERSION = "2025-06-18"
HEADERS = {
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-protocol-version": VERSION,
}
BESIDE = {"tests/way": "by the SDK"}
"""What the lane does not know: with it in `_meta`, the SDK answers."""

Message = dict[str, Any]

CALLS: list[tuple[str, Message]] = [
    (QUERY, ASKED),
    (
        QUERY,
        {"question": "Wie heißt das? 日本語 🎉 \x00\x7f\r\n\x85\u2028", "libraryID": "/a/b"},
    ),
    (OLD, {"libraryId": "/widgets/widget1", "topic": "start", "tokens": 30}),
]
"""Tools and their arguments, whose answers are at hand when they are asked for again."""

REQUEST_IDS = [7, "7", '日本 " \\ \n']


def call(
    tool: str = QUERY, number: object = 7, meta: object = None, **arguments: object
) -> Message:
    params = {"name": tool, "arguments": arguments or ASKED}
    beside = {} if meta is None else {"_meta": meta}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params | beside}


@dataclass
class Site:
    """The server of an app on HTTP, without a socket, and how many calls its SDK has answered."""

    app: Starlette
    by_sdk: int = 0

    async def count(self, ctx: HandlerContext, call_next: CallNext) -> HandlerResult:
        """Count the calls that come through the SDK; a middleware."""
        self.by_sdk += ctx.method == "tools/call"
        return await call_next(ctx)

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

    async def express(self, body: object, **more: Any) -> httpx2.Response:  # noqa: ANN401  # as post
        """The lane's reply; what is written behind may keep it waiting a few times."""
        for _ in range(20):
            before = self.by_sdk
            reply = await self.post(body, **more)
            if self.by_sdk == before:
                return reply
        raise AssertionError("only the SDK answers")


@asynccontextmanager
async def served(app: App, meta: Meta = "full") -> AsyncGenerator[Site]:
    """A site that nobody has asked anything yet."""
    server = build_server(app.desk, app.principal, meta=meta)
    site = Site(http_app(server, []))
    server.middleware.append(site.count)
    async with site.app.router.lifespan_context(site.app):
        yield site


def told(reply: httpx2.Response) -> dict[str, Any]:
    """What an answer says of itself, in a stream of one event or as JSON."""
    lines = [line[6:] for line in reply.text.split("\r\n") if line.startswith("data: ")]
    (data,) = lines or [reply.text]
    about: dict[str, Any] = json.loads(data)["result"]["_meta"][META_KEY]
    return about


def whole(reply: httpx2.Response) -> tuple[object, ...]:
    """A reply without the one thing that differs from call to call."""
    body = reply.content
    if b'"execution_id"' in body:
        body = body.replace(told(reply)["execution_id"].encode(), b"ID")
    return reply.status_code, reply.headers.raw, body
