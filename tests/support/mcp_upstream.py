"""An MCP server on a loopback port that answers as Context7 would, and keeps the `_meta` it got."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from support.listener import serving
from support.scripted import docs_text, list_text

UNKNOWN_METHOD, REFUSED = -32601, -32000


class McpUpstream:
    """MCP server that records its calls; with `refuses` it replies with an error that quotes each.

    `described` is what it says of each of its tools. What it replies goes out as `written` makes of
    it: as JSON, or with `streams` as a stream of one event.
    """

    url = ""

    def __init__(self) -> None:
        self.metas: list[Mapping[str, Any]] = []
        self.refuses = False
        self.described = "As sent."
        self.written: Callable[[bytes], bytes] = bytes
        self.streams = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        message = await request.json() if request.method == "POST" else {}
        await self.response(request, message)(scope, receive, send)

    def response(self, request: Request, message: dict[str, Any]) -> Response:
        """The reply to a message, which is empty where the request is no POST."""
        if "id" not in message:
            return Response(status_code=202) if message else JSONResponse({}, 405)
        said = self._reply(message["method"], message.get("params") or {})
        whole = {"jsonrpc": "2.0", "id": message["id"], **said}
        body = self.written(json.dumps(whole).encode())
        if self.streams:
            return Response(b"event: message\ndata: %b\n\n" % body, media_type="text/event-stream")
        return Response(body, media_type="application/json")

    def _reply(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "initialize":
            named = {"name": "upstream", "version": "1"}
            offered = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
            return {"result": {**offered, "serverInfo": named}}
        if method == "tools/list":
            names = ("resolve-library-id", "query-docs")
            said = {"description": self.described, "inputSchema": {"type": "object"}}
            return {"result": {"tools": [{"name": name, **said} for name in names]}}
        if method == "tools/call":
            return self._called(params)
        return {"error": {"code": UNKNOWN_METHOD, "message": "Method not found"}}

    def _called(self, params: dict[str, Any]) -> dict[str, Any]:
        self.metas.append(params.get("_meta") or {})
        asked = params["arguments"]
        if self.refuses:
            return {"error": {"code": REFUSED, "message": f"cannot answer {asked}"}}
        text = list_text() if params["name"] == "resolve-library-id" else docs_text(asked)
        return {"result": {"content": [{"type": "text", "text": text}]}}


@contextmanager
def mcp_upstream() -> Iterator[McpUpstream]:
    upstream = McpUpstream()
    with serving(upstream) as port:
        upstream.url = f"http://127.0.0.1:{port}/mcp"
        yield upstream
