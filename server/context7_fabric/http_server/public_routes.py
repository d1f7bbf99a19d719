"""Routes for GET: the public ones (`/ping`, OAuth metadata), and the page of metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from context7_fabric.http_server.errors import (
    AUTHENTICATE,
    ErrorResponse,
    method_not_allowed,
)
from context7_fabric.telemetry.observer import StateFigures

METRICS_PATH = "/metrics"

_NO_OAUTH = ErrorResponse(
    401,
    "there is no OAuth here: send a Context7 key (Context7-API-Key: KEY), and the token of this"
    " server if it asks for one (Authorization: Bearer TOKEN), to /mcp",
    AUTHENTICATE,
)

WritePage = Callable[[StateFigures, str], tuple[bytes, str]]
"""Writes the page of figures for an Accept header; returns it with its content type."""


@dataclass(frozen=True, slots=True)
class GetEndpoint:
    """An ASGI application that answers GET and HEAD, and other methods with 405."""

    answer: Callable[[Request], Awaitable[Response]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope)
        response: ASGIApp = method_not_allowed("GET, HEAD")
        if request.method in ("GET", "HEAD"):
            response = await self.answer(request)
        await response(scope, receive, send)


def public_routes() -> list[Route]:
    """Return the routes that need no token."""
    return [
        Route("/ping", GetEndpoint(_ping)),
        Route("/.well-known/oauth-protected-resource", GetEndpoint(_protected_resource)),
        Route("/.well-known/oauth-protected-resource/mcp", GetEndpoint(_protected_resource)),
        Route("/mcp/oauth", _NO_OAUTH, methods=["GET", "POST", "DELETE"]),
    ]


def metrics_endpoint(
    figures: Callable[[], Awaitable[StateFigures]], write: WritePage
) -> GetEndpoint:
    """Return the endpoint that serves what `write` makes of `figures`."""

    async def page(request: Request) -> Response:
        accept = request.headers.get("accept", "")
        body, kind = await to_thread.run_sync(write, await figures(), accept)
        return Response(body, headers={"content-type": kind})

    return GetEndpoint(page)


async def _ping(_request: Request) -> Response:
    """Answer as upstream does."""
    return JSONResponse({"status": "ok", "message": "pong"})


async def _protected_resource(request: Request) -> Response:
    """Return metadata as of RFC 9728: tokens come in a header, and there is no OAuth server."""
    url = str(request.base_url) + "mcp"
    return JSONResponse({"resource": url, "bearer_methods_supported": ["header"]})
