"""MCP over HTTP: `/mcp` (streamable HTTP, both eras), `/sse` with `/messages/` (legacy).

Posted messages are read as leniently as Context7's own server reads them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import mcp_types as types
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http import check_accept_headers
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.message import SessionMessage
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from context7_fabric.mcp_server.fast_path_http import EVENT, HEADERS, PATH, HttpFastPath, replayed
from context7_fabric.mcp_server.json_rpc import InvalidMessage, as_message, read_json
from context7_fabric.mcp_server.notifications import PUSHED
from context7_fabric.mcp_server.server import FabricServer

MAX_BODY = 2**20
MESSAGES: Final = "/messages/"
"""Path to which clients of `/sse` post their messages."""

MOST_UNANSWERED: Final = 64
"""Requests of one `/sse` stream that are worked on at once."""

MOST_IN_BATCH: Final = 100
"""Messages of one batch."""

_JSON: Final = "application/json"
_UNCHECKED = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""The HTTP server checks Host and Origin before a request comes here."""

log = logging.getLogger(__name__)


def http_app(server: FabricServer, others: Sequence[BaseRoute]) -> Starlette:
    """Return the ASGI application that serves `server` and `others` without authentication."""
    events = SseServerTransport(MESSAGES, _UNCHECKED, MAX_BODY)
    options = server.create_initialization_options(PUSHED)

    async def serve_events(request: Request) -> Response:
        async with events.connect_sse(request.scope, request.receive, request._send) as streams:  # noqa: SLF001  # the SDK's documented way
            bounded = BackPressureStreams(*streams)
            await server.run(bounded.incoming, bounded.outgoing, options)
        return Response()

    app = server.streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        max_request_body_size=MAX_BODY,
        transport_security=_UNCHECKED,
        custom_starlette_routes=[
            Route("/sse", serve_events, methods=["GET"]),
            Mount(MESSAGES, events.handle_post_message),  # type: ignore[list-item]  # any route will do
            *others,  # type: ignore[list-item]
        ],
    )
    app.add_middleware(HttpFastPath, server)
    app.add_middleware(LenientPostMiddleware)
    return app


class BackPressureStreams:
    """Both streams of a connection; no more is read while too many requests are unanswered."""

    def __init__(self, incoming: Any, outgoing: Any) -> None:  # noqa: ANN401  # the SDK's own kinds
        """Read from `incoming`, and count the answers to `outgoing`."""
        self._unanswered: set[types.RequestId] = set()
        self._room = anyio.Event()
        self.incoming = _Incoming(incoming, self)
        self.outgoing = _Outgoing(outgoing, self)

    async def wait_for_room(self) -> None:
        """Wait until another request may come."""
        while len(self._unanswered) >= MOST_UNANSWERED:
            self._room = anyio.Event()
            await self._room.wait()

    def note_received(self, item: object) -> None:
        """Count a request, or drop the one that a message cancels."""
        message = item.message if isinstance(item, SessionMessage) else None
        if isinstance(message, types.JSONRPCRequest):
            self._unanswered.add(message.id)
        elif getattr(message, "method", "") == "notifications/cancelled":
            self._drop((getattr(message, "params", None) or {}).get("requestId"))

    def note_sent(self, message: types.JSONRPCMessage) -> None:
        """Drop the request that a message answers."""
        if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
            self._drop(message.id)

    def _drop(self, number: object) -> None:
        if isinstance(number, int | str):
            self._unanswered.discard(number)
            self._room.set()


class _Incoming(ObjectReceiveStream[Any]):
    """Messages of the client, as fast as they are answered."""

    def __init__(self, stream: Any, bound: BackPressureStreams) -> None:  # noqa: ANN401  # the SDK's own kind
        self._stream = stream
        self._bound = bound

    @property
    def last_context(self) -> Any:  # noqa: ANN401  # the SDK reads this attribute
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> Any:  # noqa: ANN401  # a message, or an exception as a value
        await self._bound.wait_for_room()
        item = await self._stream.receive()
        self._bound.note_received(item)
        return item

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Outgoing(ObjectSendStream[SessionMessage]):
    """Messages to the client, answers among them."""

    def __init__(self, stream: Any, bound: BackPressureStreams) -> None:  # noqa: ANN401  # as above
        self._stream = stream
        self._bound = bound

    async def send(self, item: SessionMessage) -> None:
        await self._stream.send(item)
        self._bound.note_sent(item.message)

    async def aclose(self) -> None:
        await self._stream.aclose()


class LenientPostMiddleware:
    """Passes on messages that the SDK can read, and answers bodies that are no message."""

    def __init__(self, app: ASGIApp) -> None:
        """Change the requests to `app`."""
        self._app = app
        self._posting = Counter[bytes]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, as one or more of a message each."""
        if scope["type"] != "http" or scope["path"] not in (PATH, MESSAGES):
            await self._app(scope, receive, send)
        elif scope["method"] == "POST":
            await self._post(_with_plain_type(scope), receive, send)
        elif scope["path"] == PATH:
            text = "Method not allowed: this server keeps no sessions, POST is all it takes"
            refusal = InvalidMessage(types.METHOD_NOT_FOUND, text, None)
            await _error_response(refusal, 405, {"Allow": "POST"})(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_readable(scope):
            await self._app(scope, receive, send)
            return
        begun = await receive()
        if begun["type"] != "http.request" or begun.get("more_body"):
            await self._app(scope, replayed(begun, receive), send)
            return
        try:
            bodies = _messages(begun.get("body", b""), may_batch=_may_batch(scope))
        except InvalidMessage as error:
            log.warning("a request was not a message: %s", error)
            await _error_response(error, 400)(scope, receive, send)
            return
        if isinstance(bodies, list):
            await self._batch(bodies, scope, receive, send)
        elif scope["path"] == MESSAGES:
            await self._message(bodies, scope, receive, send)
        else:
            await self._pass_on(bodies, scope, receive, send)

    async def _pass_on(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        whole: Message = {"type": "http.request", "body": body, "more_body": False}
        await self._app(scope, replayed(whole, receive), send)

    async def _message(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a message on to its `/sse` stream, unless too many wait for that already."""
        session = scope["query_string"]
        if self._posting[session] >= MOST_UNANSWERED:
            await Response(status_code=503, headers={"Retry-After": "1"})(scope, receive, send)
            return
        self._posting[session] += 1
        try:
            await self._pass_on(body, scope, receive, send)
        finally:
            self._posting[session] -= 1
            if not self._posting[session]:
                del self._posting[session]

    async def _batch(self, bodies: list[bytes], scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the messages in turn, in one stream of events where there is any answer."""
        begun = False
        for body in bodies:
            answer = _Answer()
            await self._pass_on(body, {**scope}, receive, answer.take)
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
    """Answer of the application to one message of a batch."""

    headers: Headers = field(default_factory=Headers)
    body: bytearray = field(default_factory=bytearray)

    async def take(self, message: Message) -> None:
        """Keep a part of the answer; an ASGI `send`."""
        if message["type"] == "http.response.start":
            self.headers = Headers(raw=message.get("headers", []))
        self.body += message.get("body", b"")

    def events(self) -> bytes:
        """Return the answer as events of a stream, empty where there is none."""
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            return bytes(self.body)
        return EVENT % bytes(self.body) if self.body.startswith(b"{") else b""


def _messages(data: bytes, *, may_batch: bool) -> bytes | list[bytes]:
    """Return the body, or each body of a batch, as the SDK reads it.

    Raises:
        InvalidMessage: It is neither a message nor a batch of messages.
    """
    value, clean = read_json(data)
    if not (may_batch and isinstance(value, list)):
        return _strict(value, clean)
    if not 0 < len(value) <= MOST_IN_BATCH:
        text = f"Invalid Request: a batch has 1 to {MOST_IN_BATCH} messages"
        raise InvalidMessage(types.INVALID_REQUEST, text, None)
    return [_strict(each, to_json(each)) for each in value]


def _strict(value: object, clean: bytes) -> bytes:
    """Return the message `value`, which is `clean` as JSON, as the SDK reads it.

    Raises:
        InvalidMessage: It is none.
    """
    message = as_message(value, clean)
    if isinstance(value, dict) and isinstance(value.get("id"), float):
        return message.model_dump_json(by_alias=True, exclude_unset=True).encode()
    return clean


def _with_plain_type(scope: Scope) -> Scope:
    """Return `scope` with the content type as the SDK compares it."""
    headers = MutableHeaders(raw=list(scope["headers"]))
    if headers.get("content-type", "").partition(";")[0].strip().lower() == _JSON:
        headers["content-type"] = _JSON
    return {**scope, "headers": headers.raw}


def _is_readable(scope: Scope) -> bool:
    """Return whether the SDK would read the body of a request with such headers."""
    request = Request(scope)
    is_json = request.headers.get("content-type") == _JSON
    return is_json and (scope["path"] == MESSAGES or all(check_accept_headers(request)))


def _may_batch(scope: Scope) -> bool:
    """Return whether a request is of an era that has batches of messages."""
    version = Headers(scope=scope).get(MCP_PROTOCOL_VERSION_HEADER)
    return version is None or version in HANDSHAKE_PROTOCOL_VERSIONS


def _error_response(
    error: InvalidMessage, status: int, headers: dict[str, str] | None = None
) -> Response:
    return Response(error.reply, status, headers, media_type=_JSON)
