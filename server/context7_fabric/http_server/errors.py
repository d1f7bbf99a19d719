"""HTTP error responses: a status, one line of JSON, and the headers that the status needs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from context7_fabric.errors import AccessDenied, RateLimited, UnusableKey

AUTHENTICATE = {"WWW-Authenticate": 'Bearer realm="context7-fabric"'}


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An ASGI application that answers with `status`, the text for `error`, and `headers`."""

    status: int
    error: str
    headers: dict[str, str] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        response = JSONResponse({"error": self.error}, self.status, self.headers)
        await response(scope, receive, send)


def method_not_allowed(allowed: str) -> ErrorResponse:
    """Return the response to a request whose method is none of those `allowed`."""
    return ErrorResponse(405, f"method not allowed: use {allowed}", {"Allow": allowed})


def error_response(error: AccessDenied | RateLimited | UnusableKey) -> ErrorResponse:
    """Return the response to a request that was refused with `error`."""
    match error:
        case AccessDenied():
            return ErrorResponse(401, str(error), AUTHENTICATE)
        case RateLimited():
            wait = str(max(1, math.ceil(error.seconds)))
            return ErrorResponse(429, str(error), {"Retry-After": wait})
        case UnusableKey():
            return ErrorResponse(400, str(error))
