"""What each request passes on its way in; from the outside: headers, host, access, body.

Each guard is an ASGI application around another one. What is answered goes through them piece
by piece, as it comes; the body of a request has a guard of its own in `bodies`.
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from context7_fabric.errors import NotLetIn, RateLimited, UnusableKey
from context7_fabric.web.access import Access
from context7_fabric.web.hosts import Hosts, is_own, preflight, shared_with
from context7_fabric.web.limits import RateLimits
from context7_fabric.web.refusals import refusal_of

_POLICY: Final = "content-security-policy"
_NO_STORE: Final = "no-store"
_NOTHING_ELSE: Final = "default-src 'none'; frame-ancestors 'none'"
_POLICY_VIOLATION = 1008
_MESSAGES: Final = "/messages"
_PREFLIGHT: Final = "access-control-request-method"


class HeaderGuard:
    """Puts on every answer what keeps a browser from doing more with it than showing it."""

    def __init__(self, app: ASGIApp) -> None:
        """Guard the answers of `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                _protect(MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, send_guarded)


def _protect(headers: MutableHeaders) -> None:
    """Add to `headers`; a page's own Content-Security-Policy stays."""
    if headers.get("connection") == "keep-alive":
        del headers["connection"]  # goes without saying, and is wrong once the server is ending
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers.setdefault(_POLICY, _NOTHING_ELSE)
    kept = headers.get("cache-control")
    if kept is None:
        headers["Cache-Control"] = _NO_STORE
    elif _NO_STORE not in kept:
        headers["Cache-Control"] = f"{kept}, {_NO_STORE}"  # no-transform must stay on a stream


class PathGuard:
    """Serves a path alike with and without a slash at its end; a redirect would lose the body."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on under the path that is served."""
        if scope["type"] == "http":
            scope = {**scope, "path": _served_path(scope["path"])}
        await self._app(scope, receive, send)


def _served_path(path: str) -> str:
    bare = path.rstrip("/") or "/"
    return f"{bare}/" if bare == _MESSAGES else bare


class HostGuard:
    """Lets a request pass that was meant for this server, and whose page may use it."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        """Guard `app`, which answers under the names of `hosts`."""
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or answer 421, 403, or a browser that asks beforehand."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = _said(headers, "host"), _said(headers, "origin")
        refusal = self._hosts.refusal(host, origin)
        if refusal is not None or origin is None or is_own(origin, host):
            await (refusal or self._app)(scope, receive, send)
        elif scope["method"] == "OPTIONS" and _PREFLIGHT in headers:
            await Response(status_code=204, headers=preflight(origin))(scope, receive, send)
        else:
            await self._app(scope, receive, _shared(send, origin))


def _shared(send: Send, origin: str) -> Send:
    """Return a `send` that lets the pages of `origin` read the answer."""

    async def send_shared(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            MutableHeaders(scope=message).update(shared_with(origin))
        await send(message)

    return send_shared


def _said(headers: Headers, name: str) -> str | None:
    """Return all that stands under `name`: two values are not mistaken for the first of them."""
    values = headers.getlist(name)
    return ",".join(values) if values else None


class AccessGuard:
    """Lets a visitor pass as often as may be, and tells the application who it is.

    The `Visitor` is in the request's state as `visitor`.
    """

    def __init__(self, app: ASGIApp, access: Access, limits: RateLimits) -> None:
        """Guard `app`: `access` knows visitors, `limits` counts those that have a name."""
        self._app = app
        self._access = access
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or answer 401, 400 or 429; there are no web sockets here."""
        if scope["type"] == "http":
            await (await self._next(scope))(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            await self._app(scope, receive, send)

    async def _next(self, scope: Scope) -> ASGIApp:
        """Return who answers; the state of `scope` becomes this request's own."""
        try:
            visitor = await self._access.visitor(Headers(scope=scope))
            if visitor.name is not None:
                self._limits.take(visitor.name)
        except (NotLetIn, RateLimited, UnusableKey) as error:
            return refusal_of(error)
        scope["state"] = {**scope.get("state", {}), "visitor": visitor}
        return self._app
