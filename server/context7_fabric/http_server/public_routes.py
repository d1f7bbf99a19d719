"""What everybody gets, token or none: a sign of life, and word of how one is let in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from context7_fabric.http_server.errors import ErrorResponse, not_allowed
from context7_fabric.telemetry.observer import StateFigures

_NO_OAUTH = (
    "there is no OAuth here: send a Context7 key (Context7-API-Key: KEY), and the token of this"
    " server if it asks for one (Authorization: Bearer TOKEN), to /mcp"
)


def open_routes() -> list[Route]:
    """Return the routes at which nobody is asked who they are."""
    return [
        Route("/ping", _ForGet(_ping)),
        Route("/.well-known/oauth-protected-resource", _ForGet(_resource)),
        Route("/.well-known/oauth-protected-resource/mcp", _ForGet(_resource)),
        Route("/mcp/oauth", _oauth, methods=["GET", "POST", "DELETE"]),
    ]


@dataclass(frozen=True, slots=True)
class _ForGet:
    """Answers a GET; any other request is told that it is none."""

    answer: Callable[[Request], Response]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        get = request.method in ("GET", "HEAD")
        await (self.answer(request) if get else not_allowed("GET, HEAD"))(scope, receive, send)


def _ping(_request: Request) -> Response:
    """Answer as upstream does."""
    return JSONResponse({"status": "ok", "message": "pong"})


def _resource(request: Request) -> Response:
    """Tell in the form of RFC 9728 that access comes in a header, and from no other server."""
    told = {"resource": str(request.base_url) + "mcp", "bearer_methods_supported": ["header"]}
    return JSONResponse(told)


async def _oauth(_request: Request) -> Response:
    refusal = ErrorResponse(401, _NO_OAUTH, {"WWW-Authenticate": 'Bearer realm="context7-fabric"'})
    return JSONResponse({"error": refusal.error}, refusal.status, refusal.headers)


PATH = "/metrics"
ALLOWED = "GET, HEAD"

WritePage = Callable[[StateFigures, str], tuple[bytes, str]]


@dataclass(frozen=True, slots=True)
class MetricsEndpoint:
    """An ASGI application: `write` makes a page of what `figures` tells, for an Accept header."""

    figures: Callable[[], Awaitable[StateFigures]]
    write: WritePage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope)
        answer: ASGIApp = not_allowed(ALLOWED)
        if request.method in ALLOWED.split(", "):
            answer = await self._page(request.headers.get("accept", ""))
        await answer(scope, receive, send)

    async def _page(self, accept: str) -> Response:
        page, kind = await to_thread.run_sync(self.write, await self.figures(), accept)
        return Response(page, headers={"content-type": kind})
