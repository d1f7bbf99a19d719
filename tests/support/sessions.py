"""An MCP server over HTTP that keeps sessions, and loses them in the way that a test chooses.

It is what stands before Context7 where people run a gateway: mcp-proxy, supergateway and the like.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from support.listener import serving
from support.mcp_upstream import McpUpstream

HEADER = "mcp-session-id"


@dataclass(frozen=True)
class Form:
    """Reply to a call in an unknown session: a status, a body, and its media type.

    `{id}` in the body becomes the id of the request.
    """

    status: int
    body: str = ""
    media_type: str = "application/json"

    def response(self, request_id: object) -> Response:
        body = self.body.replace("{id}", json.dumps(request_id))
        return Response(body, self.status, media_type=self.media_type)


def error_form(status: int, code: int, message: str, *, null_id: bool = False) -> Form:
    error = json.dumps({"code": code, "message": message})
    number = "null" if null_id else "{id}"
    return Form(status, f'{{"jsonrpc":"2.0","id":{number},"error":{error}}}')


def stream_form(code: int, message: str) -> Form:
    form = error_form(200, code, message)
    return Form(200, f"event: message\ndata: {form.body}\n\n", "text/event-stream")


class SessionUpstream(McpUpstream):
    """The server: `forget` loses all sessions, which shows in the given form."""

    def __init__(self, form: Form = Form(404), *, streams: bool = False) -> None:
        super().__init__()
        self.form, self.streams = form, streams
        self.always: Form | None = None  # the answer to every call, in whichever session
        self.answer: Callable[[str, Mapping[str, Any]], dict[str, Any]] | None = None
        self.sessions: set[str] = set()
        self.opened = self.calls = 0

    def forget(self) -> None:
        self.sessions.clear()

    def response(self, request: Request, message: dict[str, Any]) -> Response:
        method, number = message.get("method"), message.get("id")
        if method == "server/discover":
            return error_form(400, -32000, "Bad Request: Server not initialized").response(number)
        if method == "initialize":
            return self._initialized(super().response(request, message))
        if message and request.headers.get(HEADER) not in self.sessions:
            return self.form.response(number)
        self.calls += method == "tools/call"
        if method == "tools/call" and self.always is not None:
            return self.always.response(number)
        return super().response(request, message)

    def _initialized(self, response: Response) -> Response:
        self.opened += 1
        name = f"session-{self.opened}"
        self.sessions.add(name)
        response.headers[HEADER] = name
        return response

    def _called(self, params: dict[str, Any]) -> dict[str, Any]:
        if self.answer is None:
            return super()._called(params)
        return {"result": self.answer(params["name"], params["arguments"])}


@contextmanager
def session_upstream(
    form: Form = Form(404), *, streams: bool = False, port: int = 0
) -> Iterator[SessionUpstream]:
    """A server for the length of the block; port 0 is any free one."""
    upstream = SessionUpstream(form, streams=streams)
    with serving(upstream, port) as taken:
        upstream.url = f"http://127.0.0.1:{taken}/mcp"
        yield upstream
