"""Composition of the HTTP server: middleware, MCP and REST for each identity, public routes.

Each identity, which may have a Context7 key of its own, has an app of its own: answers fetched with
one key are never served to another.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from anyio.abc import TaskGroup
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from context7_fabric.errors import SettingError
from context7_fabric.http_server.auth import Authenticator, Identity, RateLimits
from context7_fabric.http_server.errors import ErrorResponse
from context7_fabric.http_server.middleware import (
    AllowedHosts,
    AuthMiddleware,
    BodyLimitMiddleware,
    HostMiddleware,
    PathMiddleware,
    SecurityHeadersMiddleware,
    StreamMiddleware,
)
from context7_fabric.http_server.public_routes import (
    METRICS_PATH,
    metrics_endpoint,
    public_routes,
)
from context7_fabric.http_server.rest.collection import LibraryCollection
from context7_fabric.http_server.rest.routes import rest_routes
from context7_fabric.http_server.token_file import TokenFile
from context7_fabric.mcp_server.http import http_app
from context7_fabric.mcp_server.server import build_server
from context7_fabric.models import LOCAL_OWNER, Viewer
from context7_fabric.runtime.app import App
from context7_fabric.runtime.health import HealthMonitor
from context7_fabric.runtime.pool import BoundedPool
from context7_fabric.runtime.runtime import Runtime
from context7_fabric.settings import LOOPBACK_HOSTS, Settings
from context7_fabric.settings.values import WebSettings
from context7_fabric.telemetry.metrics import Metrics

MOST_IDENTITIES = 64
"""Identities with different keys or names whose apps are open at once."""

MOST_OF_ONE = MOST_IDENTITIES // 4
"""Those of them that have one token or, without tokens, one address."""

LINGER = 60.0
"""Seconds that an identity's app stays open after its last request."""


@dataclass(frozen=True, slots=True)
class HttpSite:
    """The ASGI application that is served, and a function that closes its streams."""

    app: ASGIApp
    close_streams: Callable[[], None]


def build_site(
    runtime: Runtime,
    settings: Settings,
    tokens: TokenFile | None,
    tasks: TaskGroup,
    metrics: Metrics,
) -> HttpSite:
    """Return everything that is served over HTTP; its background work runs in `tasks`.

    With `tokens` only their bearers are accepted, else every request that reaches the server.
    `metrics` observes `runtime` and has a page.
    """
    authenticator, limits = Authenticator(tokens), RateLimits(settings.web.rate)
    apps = BodyLimitMiddleware(_IdentityApps(runtime, settings, tasks))
    streams = StreamMiddleware(apps, authenticator, tasks)
    page = metrics_endpoint(HealthMonitor(runtime, settings, tasks).figures, metrics.page)
    routes = [
        *public_routes(),
        Route(METRICS_PATH, AuthMiddleware(page, authenticator, limits)),
        Mount("/", AuthMiddleware(streams, authenticator, limits)),
    ]
    hosts = AllowedHosts(_host_names(settings, tokens), settings.web.origins)
    inner = HostMiddleware(PathMiddleware(Starlette(routes=routes)), hosts)
    return HttpSite(SecurityHeadersMiddleware(inner), streams.close)


def read_tokens(settings: WebSettings, host: str) -> TokenFile | None:
    """Return the token file, read; None where only this machine reaches `host` and there is none.

    Raises:
        TokenFileError: The file cannot be used, or is missing though a setting asks for it.
        SettingError: Other machines reach `host`, and there are no tokens.
    """
    if settings.wants_tokens or settings.tokens_file.exists():
        tokens = TokenFile(settings.tokens_file)
        tokens.read()
        return tokens
    if host not in LOOPBACK_HOSTS:
        expected = (
            "a loopback address (127.0.0.1, ::1, localhost), and others need tokens:"
            " `context7-fabric token add NAME` makes the first"
        )
        raise SettingError("CONTEXT7_FABRIC_HOST", host, expected)
    return None


def _host_names(settings: Settings, tokens: TokenFile | None) -> frozenset[str] | None:
    """Return the names of this server; a foreign page hardly has a token, so any will do then."""
    if settings.web.hosts is not None:
        return settings.web.hosts | LOOPBACK_HOSTS
    return LOOPBACK_HOSTS if tokens is None else None


class _IdentityApps:
    """Serves each identity from its own app; an ASGI application."""

    def __init__(self, runtime: Runtime, settings: Settings, tasks: TaskGroup) -> None:
        self._runtime = runtime
        self._settings = settings
        self._apps = BoundedPool[tuple[Identity, int], ASGIApp](
            tasks, MOST_IDENTITIES, MOST_OF_ONE, LINGER
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        identity: Identity = scope["state"]["identity"]
        holder = identity.name or (scope["client"] or ("",))[0]
        key = (identity, self._runtime.epoch)
        if not self._apps.make_room(holder, key):
            text = "too many different keys are in use: try again in a minute"
            await ErrorResponse(503, text, {"Retry-After": "60"})(scope, receive, send)
            return
        async with self._apps.use(key, partial(self._open, identity)) as app:
            await app(scope, receive, send)

    @asynccontextmanager
    async def _open(self, identity: Identity) -> AsyncGenerator[ASGIApp]:
        settings = _settings_of(identity, self._settings)
        async with self._runtime.app(settings, owner=identity.name or LOCAL_OWNER) as app:
            served = _served(app)
            async with served.router.lifespan_context(served):
                yield served


def _served(app: App) -> Starlette:
    """Return MCP and REST for the identity of `app`."""
    viewer = Viewer(app.principal, app.owner)
    routes = rest_routes(LibraryCollection(app.services, viewer, app.settings.docset_use))
    meta, docsets = app.settings.meta, app.settings.docset_use
    project = app.settings.named_project
    server = build_server(app.services, app.principal, app.owner, meta, docsets, project)
    return http_app(server, [Mount("/rag", routes=routes), *routes])


def _settings_of(identity: Identity, settings: Settings) -> Settings:
    """Return the settings for an identity: a key of its own makes it a principal of its own."""
    if identity.api_key is None:
        return settings
    upstream = replace(settings.upstream, api_key=identity.api_key)
    return replace(settings, upstream=upstream, principal=None, monthly_calls=None)
