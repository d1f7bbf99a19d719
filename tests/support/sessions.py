"""An MCP server over HTTP that keeps sessions, and loses them in whichever way a test asks for.

It is what stands before Context7 where people run a gateway: mcp-proxy, supergateway and the like.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from support.listener import serving
from support.scripted import docs_text, list_text

HEADER = "mcp-session-id"


@dataclass(frozen=True)
class Form:
    """How a call in an unknown session is answered: a status, a body, and its media type.

    `{id}` in the body becomes the id of the request.
    """

    status: int
    body: str = ""
    media_type: str = "application/json"

    def response(self, request_id: object) -> Response:
        """The reply to one request."""
        body = self.body.replace("{id}", json.dumps(request_id))
        return Response(body, self.status, media_type=self.media_type)


def error_form(status: int, code: int, message: str, *, null_id: bool = False) -> Form:
    """A JSON-RPC error with an HTTP status."""
    told = json.dumps({"code": code, "message": message})
    number = "null" if null_id else "{id}"
    return Form(status, f'{{"jsonrpc":"2.0","id":{number},"error":{told}}}')


def stream_form(code: int, message: str) -> Form:
    """A JSON-RPC error in an event stream."""
    form = error_form(200, code, message)
    return Form(200, f"event: message\ndata: {form.body}\n\n", "text/event-stream")


@dataclass
class SessionUpstream:
    """The server: `forget` loses all sessions, which shows in the given form."""

    form: Form = Form(404)
    streams: bool = False
    """Answers come as event streams."""

    answer: Callable[[str, Mapping[str, Any]], dict[str, Any]] | None = None
    always: Form | None = None
    """Every call is answered so, in whichever session."""

    url: str = ""
    sessions: set[str] = field(default_factory=set)
    opened: int = 0
    calls: int = 0

    def forget(self) -> None:
        """Lose all sessions."""
        self.sessions.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the ASGI side."""
        request = Request(scope, receive)
        response = await self._response(request)
        await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        if request.method != "POST":
            return PlainTextResponse("", 405)
        message = json.loads(await request.body())
        method, number = message["method"], message.get("id")
        if method == "server/discover":
            return error_form(400, -32000, "Bad Request: Server not initialized").response(number)
        if method == "initialize":
            return self._initialized(number)
        if request.headers.get(HEADER) not in self.sessions:
            return self.form.response(number)
        if number is None:
            return Response(status_code=202)
        return self._answered(method, message.get("params") or {}, number)

    def _initialized(self, number: object) -> Response:
        self.opened += 1
        name = f"session-{self.opened}"
        self.sessions.add(name)
        told = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
        result = told | {"serverInfo": {"name": "gateway", "version": "1"}}
        return JSONResponse(
            {"jsonrpc": "2.0", "id": number, "result": result}, headers={HEADER: name}
        )

    def _answered(self, method: str, params: dict[str, Any], number: object) -> Response:
        if method == "tools/call":
            self.calls += 1
            if self.always is not None:
                return self.always.response(number)
        reply = {"jsonrpc": "2.0", "id": number, "result": self._result(method, params)}
        if self.streams:
            body = f"event: message\ndata: {json.dumps(reply)}\n\n"
            return Response(body, media_type="text/event-stream")
        return Response(json.dumps(reply), media_type="application/json")

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "tools/list":
            schema = {"type": "object"}
            names = ("resolve-library-id", "query-docs")
            return {"tools": [{"name": name, "inputSchema": schema} for name in names]}
        name, arguments = params["name"], params["arguments"]
        if self.answer is not None:
            return self.answer(name, arguments)
        text = list_text() if name == "resolve-library-id" else docs_text(arguments)
        return {"content": [{"type": "text", "text": text}]}


@contextmanager
def session_upstream(
    form: Form = Form(404), *, streams: bool = False, port: int = 0
) -> Iterator[SessionUpstream]:
    """A server for the length of the block; port 0 is any free one."""
    upstream = SessionUpstream(form, streams=streams)
    with serving(upstream, port) as taken:
        upstream.url = f"http://127.0.0.1:{taken}/mcp"
        yield upstream
