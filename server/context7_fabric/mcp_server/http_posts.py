"""What is posted over HTTP, read as leniently as Context7's own server reads it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final

from mcp.server.streamable_http import check_accept_headers
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types import INVALID_REQUEST, METHOD_NOT_FOUND
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic_core import to_json
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from context7_fabric.mcp_server.back_pressure import MOST_UNANSWERED
from context7_fabric.mcp_server.fast_path_http import EVENT, HEADERS, PATH, replayed
from context7_fabric.mcp_server.json_rpc import InvalidMessage, as_message, read_json

MESSAGES: Final = "/messages/"
"""Where clients of `/sse` post their messages."""

MOST_TOGETHER: Final = 100
"""Messages of one batch."""

_JSON: Final = "application/json"
_STREAM: Final = "text/event-stream"
_NO_SESSIONS: Final = InvalidMessage(
    METHOD_NOT_FOUND,
    "Method not allowed: this server keeps no sessions, POST is all it takes",
    None,
)

log = logging.getLogger(__name__)


class LenientPostMiddleware:
    """Hands on messages that the SDK can read; answers those that nothing can be made of."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app
        self._posting: dict[bytes, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, as one or more of a message each."""
        if scope["type"] != "http" or scope["path"] not in (PATH, MESSAGES):
            await self._app(scope, receive, send)
        elif scope["method"] == "POST":
            await self._post(_with_plain_type(scope), receive, send)
        elif scope["path"] == PATH:
            await _refusal(_NO_SESSIONS, 405, {"Allow": "POST"})(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _may_be_read(scope):
            await self._app(scope, receive, send)
            return
        begun = await receive()
        if begun["type"] != "http.request" or begun.get("more_body"):
            await self._app(scope, replayed(begun, receive), send)
            return
        try:
            bodies = _messages(begun.get("body", b""), is_old=_is_old(scope))
        except InvalidMessage as error:
            log.warning("a request was not a message: %s", error)
            await _refusal(error, 400)(scope, receive, send)
            return
        if isinstance(bodies, list):
            await self._batch(bodies, scope, receive, send)
        elif scope["path"] == MESSAGES:
            await self._message(bodies, scope, receive, send)
        else:
            await self._app(scope, replayed(_whole(bodies), receive), send)

    async def _message(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a message on to its stream, unless too many wait for that already."""
        session = scope["query_string"]
        if self._posting.get(session, 0) >= MOST_UNANSWERED:
            await Response(status_code=503, headers={"Retry-After": "1"})(scope, receive, send)
            return
        self._posting[session] = self._posting.get(session, 0) + 1
        try:
            await self._app(scope, replayed(_whole(body), receive), send)
        finally:
            self._posting[session] -= 1
            if not self._posting[session]:
                del self._posting[session]

    async def _batch(self, bodies: list[bytes], scope: Scope, receive: Receive, send: Send) -> None:
        """Answer each message in turn, in one stream of events where there is any answer."""
        begun = False
        for body in bodies:
            answer = _Answer()
            await self._app({**scope}, replayed(_whole(body), receive), answer.take)
            events = answer.events()
            if events and not begun:
                begun = True
                await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS]})
            if events:
                await send({"type": "http.response.body", "body": events, "more_body": True})
        if begun:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await Response(status_code=202)(scope, receive, send)


@dataclass(slots=True)
class _Answer:
    """What the application sends in answer to one message of a batch."""

    headers: Headers = field(default_factory=Headers)
    body: bytearray = field(default_factory=bytearray)

    async def take(self, message: Message) -> None:
        """Keep a part of the answer; an ASGI `send`."""
        if message["type"] == "http.response.start":
            self.headers = Headers(raw=message.get("headers", []))
        self.body += message.get("body", b"")

    def events(self) -> bytes:
        """Return the answer as events of a stream, empty where there is none."""
        if self.headers.get("content-type", "").startswith(_STREAM):
            return bytes(self.body)
        return EVENT % bytes(self.body) if self.body.startswith(b"{") else b""


def _messages(data: bytes, *, is_old: bool) -> bytes | list[bytes]:
    """Return the body, or each body of a batch, as the SDK reads it.

    Raises:
        NotAMessage: It is neither a message nor a batch of messages.
    """
    value, clean = read_json(data)
    if not (is_old and isinstance(value, list)):
        return _strict(value, clean)
    if not 0 < len(value) <= MOST_TOGETHER:
        text = f"Invalid Request: a batch has 1 to {MOST_TOGETHER} messages"
        raise InvalidMessage(INVALID_REQUEST, text, None)
    return [_strict(each, to_json(each)) for each in value]


def _strict(value: object, clean: bytes) -> bytes:
    """Return the message `value`, which is `clean` as JSON, as the SDK reads it.

    Raises:
        NotAMessage: It is none.
    """
    message = as_message(value, clean)
    if isinstance(value, dict) and isinstance(value.get("id"), float):
        return message.model_dump_json(by_alias=True, exclude_unset=True).encode()
    return clean


def _with_plain_type(scope: Scope) -> Scope:
    """Return `scope` with the content type as the SDK compares it."""
    headers = MutableHeaders(raw=list(scope["headers"]))
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _JSON:
        headers["content-type"] = _JSON
    return {**scope, "headers": headers.raw}


def _may_be_read(scope: Scope) -> bool:
    """Tell whether the headers of a request are such that its body counts."""
    request = Request(scope)
    is_json = request.headers.get("content-type") == _JSON
    return is_json and (scope["path"] == MESSAGES or all(check_accept_headers(request)))


def _is_old(scope: Scope) -> bool:
    """Tell whether a request is of an era in which messages may come in batches."""
    version = Headers(scope=scope).get(MCP_PROTOCOL_VERSION_HEADER)
    return version is None or version in HANDSHAKE_PROTOCOL_VERSIONS


def _whole(body: bytes) -> Message:
    return {"type": "http.request", "body": body, "more_body": False}


def _refusal(error: InvalidMessage, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(error.reply, status, headers, media_type=_JSON)
