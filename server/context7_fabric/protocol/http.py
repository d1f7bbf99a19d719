"""Serving over HTTP: `/mcp` (streamable HTTP, both eras), `/sse` with `/messages/` (legacy)."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from mcp.server.sse import SseServerTransport
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from context7_fabric.protocol.http_express import PATH, ExpressPosts
from context7_fabric.protocol.malformed import complaint_about
from context7_fabric.protocol.notices import PUSHED
from context7_fabric.protocol.server import FabricServer

MAX_BODY = 2**20
_UNCHECKED = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""Host and Origin were looked at before a request comes here."""

_JSON: Final = "application/json"


def http_app(server: FabricServer, others: Sequence[BaseRoute]) -> Starlette:
    """Return the ASGI application that serves `server`, and `others`, to whoever was let in."""
    events = SseServerTransport("/messages/", _UNCHECKED, MAX_BODY)
    options = server.create_initialization_options(PUSHED)

    async def serve_events(request: Request) -> Response:
        async with events.connect_sse(request.scope, request.receive, request._send) as streams:  # noqa: SLF001  # the SDK's documented way
            await server.run(streams[0], streams[1], options)
        return Response()

    app = server.streamable_http_app(
        streamable_http_path=PATH,
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
    app.add_middleware(ExpressPosts, server)
    return app


class PlainComplaints:
    """Says in one line what is wrong with a body that is no message; the SDK takes many."""

    def __init__(self, app: ASGIApp) -> None:
        """Mend what `app` answers."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        if scope["type"] != "http" or scope["path"] != PATH:
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
