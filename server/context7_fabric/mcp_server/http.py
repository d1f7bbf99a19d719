"""Serving over HTTP: `/mcp` (streamable HTTP, both eras), `/sse` with `/messages/` (legacy)."""

from __future__ import annotations

from collections.abc import Sequence

from mcp.server.sse import SseServerTransport
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from context7_fabric.mcp_server.back_pressure import BackPressureStreams
from context7_fabric.mcp_server.fast_path_http import PATH, HttpFastPath
from context7_fabric.mcp_server.http_posts import MESSAGES, LenientPostMiddleware
from context7_fabric.mcp_server.notifications import PUSHED
from context7_fabric.mcp_server.server import FabricServer

MAX_BODY = 2**20
_UNCHECKED = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""Host and Origin were looked at before a request comes here."""


def http_app(server: FabricServer, others: Sequence[BaseRoute]) -> Starlette:
    """Return the ASGI application that serves `server`, and `others`, to whoever was let in."""
    events = SseServerTransport(MESSAGES, _UNCHECKED, MAX_BODY)
    options = server.create_initialization_options(PUSHED)

    async def serve_events(request: Request) -> Response:
        async with events.connect_sse(request.scope, request.receive, request._send) as streams:  # noqa: SLF001  # the SDK's documented way
            paced = BackPressureStreams(*streams)
            await server.run(paced.incoming, paced.outgoing, options)
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
