"""What a request that may not go on is answered: one line of JSON, and what HTTP wants with it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from context7_fabric.errors import AccessDenied, RateLimited, UnusableKey


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An HTTP status, the text for `error`, and headers; an ASGI application that answers so."""

    status: int
    error: str
    headers: dict[str, str] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        response = JSONResponse({"error": self.error}, self.status, self.headers)
        await response(scope, receive, send)


def not_allowed(allowed: str) -> ErrorResponse:
    """Return the answer to a request with a method that is none of those `allowed`."""
    return ErrorResponse(405, f"{allowed} is what is allowed here", {"Allow": allowed})


def refusal_of(error: AccessDenied | RateLimited | UnusableKey) -> ErrorResponse:
    """Return the answer to a request that failed with `error`."""
    match error:
        case AccessDenied():
            realm = 'Bearer realm="context7-fabric"'
            return ErrorResponse(401, str(error), {"WWW-Authenticate": realm})
        case RateLimited():
            wait = str(max(1, math.ceil(error.seconds)))
            return ErrorResponse(429, str(error), {"Retry-After": wait})
        case UnusableKey():
            return ErrorResponse(400, str(error))
