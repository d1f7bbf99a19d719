"""What everybody gets, token or none: a sign of life, and word of how one is let in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from context7_fabric.web.refusals import Refusal, not_allowed

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
    refusal = Refusal(401, _NO_OAUTH, {"WWW-Authenticate": 'Bearer realm="context7-fabric"'})
    return JSONResponse({"error": refusal.error}, refusal.status, refusal.headers)
