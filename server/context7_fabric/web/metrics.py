"""The page that Prometheus reads. It belongs to no visitor: reading it opens nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from context7_fabric.telemetry.figures import Figures
from context7_fabric.web.refusals import not_allowed

PATH = "/metrics"
ALLOWED = "GET, HEAD"

WritePage = Callable[[Figures, str], tuple[bytes, str]]


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """An ASGI application: `write` makes a page of what `figures` tells, for an Accept header."""

    figures: Callable[[], Awaitable[Figures]]
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
