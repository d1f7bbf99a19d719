"""What everybody gets, token or none: a sign of life, and word of how one is let in."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from context7_fabric.web.refusals import Refusal

_NO_OAUTH = (
    "there is no OAuth here: send a Context7 key (Context7-API-Key: KEY), and the token of this"
    " server if it asks for one (Authorization: Bearer TOKEN), to /mcp"
)


def open_routes() -> list[Route]:
    """Return the routes at which nobody is asked who they are."""
    return [
        Route("/ping", _ping, methods=["GET"]),
        Route("/.well-known/oauth-protected-resource", _resource, methods=["GET"]),
        Route("/.well-known/oauth-protected-resource/mcp", _resource, methods=["GET"]),
        Route("/mcp/oauth", _oauth, methods=["GET", "POST", "DELETE"]),
    ]


async def _ping(_request: Request) -> Response:
    """Answer as upstream does."""
    return JSONResponse({"status": "ok", "message": "pong"})


async def _resource(request: Request) -> Response:
    """Tell in the form of RFC 9728 that access comes in a header, and from no other server."""
    told = {"resource": str(request.base_url) + "mcp", "bearer_methods_supported": ["header"]}
    return JSONResponse(told)


async def _oauth(_request: Request) -> Response:
    refusal = Refusal(401, _NO_OAUTH, {"WWW-Authenticate": 'Bearer realm="context7-fabric"'})
    return JSONResponse({"error": refusal.error}, refusal.status, refusal.headers)
