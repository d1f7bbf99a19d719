"""The HTTP server put together: who comes in, MCP for each visitor, REST, and what is open to all.

Visitors with keys of their own have apps of their own: what a key fetched, no other is served.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from anyio.abc import TaskGroup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from context7_fabric.errors import SettingError
from context7_fabric.http_server.auth import Authenticator, Identity
from context7_fabric.http_server.errors import ErrorResponse
from context7_fabric.http_server.middleware import (
    AllowedHosts,
    AuthMiddleware,
    BodyLimitMiddleware,
    HostMiddleware,
    PathGuard,
    SecurityHeadersMiddleware,
)
from context7_fabric.http_server.public_routes import PATH as METRICS
from context7_fabric.http_server.public_routes import MetricsEndpoint, open_routes
from context7_fabric.http_server.rate_limit import RateLimits
from context7_fabric.http_server.rest.collection import LibraryCollection
from context7_fabric.http_server.rest.routes import RestApi
from context7_fabric.http_server.streams import StreamMiddleware
from context7_fabric.http_server.token_file import TokenFile
from context7_fabric.mcp_server.http import http_app
from context7_fabric.mcp_server.server import build_server
from context7_fabric.models import LOCAL_OWNER, Viewer
from context7_fabric.runtime.app import App
from context7_fabric.runtime.health import HealthMonitor
from context7_fabric.runtime.pool import BoundedPool
from context7_fabric.runtime.runtime import Runtime
from context7_fabric.settings import LOOPBACK_HOSTS, Settings
from context7_fabric.settings.values import Meta, WebSettings
from context7_fabric.telemetry.metrics import Metrics

MOST_VISITORS = 64
"""Visitors with different keys or names that are served at once, and a while longer."""

MOST_OF_ONE = MOST_VISITORS // 4
"""Those of them that come with one token or, without tokens, from one address."""

LINGER = 60.0
"""Seconds that what a visitor uses stays open after its last request."""


@dataclass(frozen=True, slots=True)
class HttpSite:
    """What is served, an ASGI application, and how its streams are ended."""

    app: ASGIApp
    end_streams: Callable[[], None]


def build_site(
    household: Runtime,
    settings: Settings,
    tokens: TokenFile | None,
    tasks: TaskGroup,
    metrics: Metrics,
) -> HttpSite:
    """Return all that is served over HTTP; what stays open between requests lives in `tasks`.

    With `tokens` only those who have one come in, else everybody who reaches us. `metrics` hear of
    what `household` does, and have a page.
    """
    visitors = _Visitors(household, settings, tasks)
    page = MetricsEndpoint(HealthMonitor(household, settings, tasks).figures, metrics.page)
    access, limits = Authenticator(tokens), RateLimits(settings.web.rate)
    streams = StreamMiddleware(BodyLimitMiddleware(visitors), access, tasks)
    let_in = AuthMiddleware(streams, access, limits)
    watched = Route(METRICS, AuthMiddleware(page, access, limits))
    whole = Starlette(routes=[*open_routes(), watched, Mount("/", let_in)])
    hosts = AllowedHosts(_names(settings, tokens), settings.web.origins)
    return HttpSite(SecurityHeadersMiddleware(HostMiddleware(PathGuard(whole), hosts)), streams.end)


def opened_tokens(settings: WebSettings, host: str) -> TokenFile | None:
    """Return the tokens that are asked for, read; None where this machine alone reaches `host`.

    Raises:
        TokenFileError: The file cannot be used, or is not there though it was asked for.
        SettingError: Others would reach `host`, and there are no tokens.
    """
    if settings.wants_tokens or settings.tokens_file.exists():
        tokens = TokenFile(settings.tokens_file)
        tokens.read()
        return tokens
    if host not in LOOPBACK_HOSTS:
        expected = (
            "a loopback address (127.0.0.1, ::1, localhost), and others would need tokens:"
            " `context7-fabric token add NAME` makes the first"
        )
        raise SettingError("CONTEXT7_FABRIC_HOST", host, expected)
    return None


def _names(settings: Settings, tokens: TokenFile | None) -> frozenset[str] | None:
    """Return the names that we answer to; a page can hardly have a token, so any will do then."""
    if settings.web.hosts is not None:
        return settings.web.hosts | LOOPBACK_HOSTS
    return LOOPBACK_HOSTS if tokens is None else None


class _Visitors:
    """Serves each visitor from its own app; an ASGI application."""

    def __init__(self, household: Runtime, settings: Settings, tasks: TaskGroup) -> None:
        self._household = household
        self._settings = settings
        self._open = BoundedPool[tuple[Identity, int], ASGIApp](
            tasks, MOST_VISITORS, MOST_OF_ONE, LINGER
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor: Identity = scope["state"]["visitor"]
        holder = visitor.name or (scope["client"] or ("",))[0]
        key = (visitor, self._household.epoch)
        if not self._open.make_room(holder, key):
            await _full()(scope, receive, send)
            return
        async with self._open.use(holder, key, partial(self._opened, visitor)) as served:
            await served(scope, receive, send)

    @asynccontextmanager
    async def _opened(self, visitor: Identity) -> AsyncGenerator[ASGIApp]:
        settings, owner = _settings_of(visitor, self._settings), visitor.name or LOCAL_OWNER
        async with self._household.app(settings, owner=owner) as app:
            served = _served(app, settings.meta)
            async with served.router.lifespan_context(served):
                yield served


def _served(app: App, meta: Meta) -> Starlette:
    """Return what the visitor of `app` gets: MCP, and the libraries over REST."""

    @asynccontextmanager
    async def lend(_request: Request) -> AsyncGenerator[LibraryCollection]:
        yield LibraryCollection(app.desk, Viewer(app.principal, app.owner))

    rest = RestApi(lend).routes()
    server = build_server(app.desk, app.principal, app.owner, meta)
    return http_app(server, [Mount("/rag", routes=rest), *rest])


def _settings_of(visitor: Identity, settings: Settings) -> Settings:
    """Return the settings for a visitor: with a key of its own it is nobody else's principal."""
    if visitor.api_key is None:
        return settings
    upstream = replace(settings.upstream, api_key=visitor.api_key)
    return replace(settings, upstream=upstream, principal=None, monthly_calls=None)


def _full() -> ErrorResponse:
    told = "too many different keys are in use at this moment: try again in a minute"
    return ErrorResponse(503, told, {"Retry-After": "60"})
