"""Serving over HTTP: `/mcp` (streamable HTTP, both eras), `/sse` with `/messages/` (legacy)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Final

from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http import MCP_SESSION_ID_HEADER, check_accept_headers
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types import DEFAULT_NEGOTIATED_VERSION
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from context7_fabric.protocol.express import AtHand, NewCaller, beside, message_on, reply_at_hand
from context7_fabric.protocol.malformed import complaint_about
from context7_fabric.protocol.notices import PUSHED
from context7_fabric.protocol.server import FabricServer

MAX_BODY = 2**20
_UNCHECKED = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""Host and Origin were looked at before a request comes here."""

MOST_CLIENTS: Final = 1000
"""Addresses of clients that have an express lane at once."""

_PATH: Final = "/mcp"
_JSON: Final = "application/json"
_EVENT: Final = b"event: message\r\ndata: %b\r\n\r\n"
_HEADERS: Final = (
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"content-type", b"text/event-stream"),
    (b"x-accel-buffering", b"no"),
)


def http_app(server: FabricServer, others: Sequence[BaseRoute]) -> Starlette:
    """Return the ASGI application that serves `server`, and `others`, to whoever was let in."""
    events = SseServerTransport("/messages/", _UNCHECKED, MAX_BODY)
    options = server.create_initialization_options(PUSHED)

    async def serve_events(request: Request) -> Response:
        async with events.connect_sse(request.scope, request.receive, request._send) as streams:  # noqa: SLF001  # the SDK's documented way
            await server.run(streams[0], streams[1], options)
        return Response()

    app = server.streamable_http_app(
        streamable_http_path=_PATH,
        stateless_http=True,
        max_request_body_size=MAX_BODY,
        transport_security=_UNCHECKED,
        custom_starlette_routes=[
            Route("/sse", serve_events, methods=["GET"]),
            Mount("/messages/", events.handle_post_message),  # type: ignore[list-item]  # any route will do
            *others,  # type: ignore[list-item]
        ],
    )
    app.add_middleware(PlainComplaints)
    app.add_middleware(ExpressPosts, server.at_hand)
    return app


class ExpressPosts:
    """The express lane of HTTP: answers a legacy client's call as the SDK would, beside it.

    It is open to an address once the SDK has let a call from there pass.
    """

    def __init__(self, app: ASGIApp, at_hand: AtHand) -> None:
        """Answer what is `at_hand`; `app` has the rest."""
        self._app = app
        self._at_hand = at_hand
        self._new_callers: dict[str, NewCaller] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        version = _version_of_call(scope)
        if version is None:
            await self._app(scope, receive, send)
            return
        peer = scope["client"][0] if scope["client"] else ""
        begun = await receive()
        reply = self._reply(peer, version, begun)
        if reply is not None:
            await _send_event(send, reply)
            return
        with beside(partial(self._open, peer)):
            await self._app(scope, _replayed(begun, receive), send)

    def _open(self, peer: str, new_caller: NewCaller) -> None:
        if len(self._new_callers) >= MOST_CLIENTS:
            self._new_callers.clear()
        self._new_callers[peer] = new_caller

    def _reply(self, peer: str, version: str, begun: Message) -> bytes | None:
        new_caller = self._new_callers.get(peer)
        if new_caller is None or begun.get("more_body", False):
            return None
        message = message_on(begun.get("body", b""))
        return reply_at_hand(message, self._at_hand, partial(new_caller, protocol=version))


class PlainComplaints:
    """Says in one line what is wrong with a body that is no message; the SDK takes many."""

    def __init__(self, app: ASGIApp) -> None:
        """Mend what `app` answers."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        if scope["type"] != "http" or scope["path"] != _PATH:
            await self._app(scope, receive, send)
            return
        heard: list[bytes] = []  # nothing, where it is not the body that is wrong
        complaint: bytes | None = None

        async def hear() -> Message:
            message = await receive()
            heard.append(message.get("body", b""))
            return message

        async def say(message: Message) -> None:
            nonlocal complaint
            if heard and _is_complaint(message):
                complaint = complaint_about(b"".join(heard))
                if complaint is not None:
                    answer = Response(complaint, message["status"], media_type=_JSON)
                    await answer(scope, receive, send)
            if complaint is None:
                await send(message)

        await self._app(scope, hear, say)


def _is_complaint(message: Message) -> bool:
    """Tell whether a refusal of the SDK begins that speaks JSON-RPC: others are of the headers."""
    if message.get("status") != HTTPStatus.BAD_REQUEST:
        return False
    return Headers(raw=message["headers"]).get("content-type") == _JSON


def _version_of_call(scope: Scope) -> str | None:
    """Return the version of a request that may be a legacy client's call, None where it is not.

    It may if it is without a session, and as the SDK wants it.
    """
    if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != _PATH:
        return None
    request = Request(scope)
    headers = request.headers
    version = headers.get(MCP_PROTOCOL_VERSION_HEADER, DEFAULT_NEGOTIATED_VERSION)
    fits = (
        headers.get("content-type") == _JSON
        and version in HANDSHAKE_PROTOCOL_VERSIONS
        and MCP_SESSION_ID_HEADER not in headers
        and all(check_accept_headers(request))
    )
    return version if fits else None


async def _send_event(send: Send, reply: bytes) -> None:
    """Send `reply` as the stream of one event that the SDK makes of it."""
    await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS]})
    await send({"type": "http.response.body", "body": _EVENT % reply, "more_body": False})


def _replayed(begun: Message, receive: Receive) -> Receive:
    """Return a `receive` that says `begun` first, and then what `receive` does."""
    said = [begun]

    async def replay() -> Message:
        return said.pop() if said else await receive()

    return replay
