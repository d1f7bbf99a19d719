"""What each request passes on its way in; from the outside: headers, host, access, body.

Each guard is an ASGI application around another one. What is answered goes through them piece
by piece, as it comes; the body of a request has a guard of its own in `bodies`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from context7_fabric.errors import AccessDenied, RateLimited, UnusableKey
from context7_fabric.http_server.auth import Authenticator
from context7_fabric.http_server.errors import ErrorResponse, refusal_of
from context7_fabric.http_server.rate_limit import RateLimits
from context7_fabric.http_server.streams import is_stream

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]/@,\s]+?))\.?(?::[0-9]{1,5})?", re.ASCII)
_ORIGIN = re.compile(r"https?://(.+)")
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

_METHODS: Final = "GET, POST, OPTIONS, DELETE"
_HEADERS: Final = (
    "Content-Type, Accept, Authorization, Last-Event-ID, MCP-Session-Id, MCP-Protocol-Version,"
    " Mcp-Method, Mcp-Name, X-Context7-API-Key, Context7-API-Key, X-API-Key"
)


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The names that are ours, in lower case and without a port; None is any.

    `origins` are those of the pages that may use the server, None where those of this machine may.
    """

    allowed: frozenset[str] | None
    origins: frozenset[str] | None = None

    def refusal(self, host: str | None, origin: str | None) -> ErrorResponse | None:
        """Return the answer to a request with these headers, or None when it may go on.

        An Origin is allowed, or names the host and port that Host names.
        """
        if self.allowed is not None and _name_in(host) not in self.allowed:
            return ErrorResponse(
                421, f"this server does not answer for the host {(host or '')[:200]!r}"
            )
        if origin is not None and not (is_own(origin, host) or self._is_allowed(origin.lower())):
            told = (
                f"pages of {origin[:200]!r} may not use this server: list the origin in"
                " CONTEXT7_FABRIC_ORIGINS to allow it (Origin)"
            )
            return ErrorResponse(403, told)
        return None

    def _is_allowed(self, origin: str) -> bool:
        if self.origins is not None:
            return origin in self.origins
        found = _ORIGIN.fullmatch(origin)
        return found is not None and _name_in(found[1]) in _LOOPBACK


def shared_with(origin: str) -> dict[str, str]:
    """Return the headers by which a browser lets the pages of `origin` read an answer (CORS)."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "WWW-Authenticate, Retry-After, MCP-Session-Id",
        "Vary": "Origin",
    }


def preflight(origin: str) -> dict[str, str]:
    """Return the answer's headers to a browser that asks what pages of `origin` may send."""
    return shared_with(origin) | {
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": _HEADERS,
        "Access-Control-Allow-Private-Network": "true",
        "Access-Control-Max-Age": "600",
    }


def _name_in(host: str | None) -> str | None:
    found = _HOST.fullmatch((host or "").lower())
    return None if found is None else found[1] or found[2]


def is_own(origin: str, host: str | None) -> bool:
    """Tell whether a page of `origin` comes from the server that `host` names."""
    found = _ORIGIN.fullmatch(origin.lower())
    return found is not None and host is not None and found[1] == host.lower()


_POLICY: Final = "content-security-policy"
_NO_STORE: Final = "no-store"
_NOTHING_ELSE: Final = "default-src 'none'; frame-ancestors 'none'"
_POLICY_VIOLATION = 1008
_MESSAGES: Final = "/messages"
_PREFLIGHT: Final = "access-control-request-method"


class SecurityHeadersMiddleware:
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


class HostMiddleware:
    """Lets a request pass that was meant for this server, and whose page may use it."""

    def __init__(self, app: ASGIApp, hosts: AllowedHosts) -> None:
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


class AuthMiddleware:
    """Lets a visitor pass as often as may be, and tells the application who it is.

    The `Visitor` is in the request's state as `visitor`.
    """

    def __init__(self, app: ASGIApp, access: Authenticator, limits: RateLimits) -> None:
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
        except (AccessDenied, RateLimited, UnusableKey) as error:
            return refusal_of(error)
        scope["state"] = {**scope.get("state", {}), "visitor": visitor}
        return self._app


MOST_BYTES = 2**20
MOST_SECONDS = 30.0

MOST_TOGETHER = 2**25
"""Bytes of all bodies that are being read."""

STREAM_BYTES = 2**16
"""Bytes of a body that asks for a stream: it is kept as long as that."""

# Only behind one that is too slow. The server drops the rest of one that is too large: a connection
# that is closed in its sender's face would take the 413 along.
_LAST = {"Connection": "close"}


class BodyLimitMiddleware:
    """Reads the body before anybody else does; what is answered passes as it comes."""

    def __init__(self, app: ASGIApp, most: int = MOST_BYTES, seconds: float = MOST_SECONDS) -> None:
        """Guard `app` from bodies of more than `most` bytes, or that take more than `seconds`."""
        self._app = app
        self._most = most
        self._seconds = seconds
        self._arriving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on with its body, or answer 413 or 408; nobody hears who has left."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = min(self._most, STREAM_BYTES) if is_stream(scope) else self._most
        if _announces_more(scope, most):
            body: ErrorResponse | bytes | None = _too_large(most)
        else:
            body = await self._body(receive, most)
        if isinstance(body, ErrorResponse):
            await body(scope, receive, send)
        elif body is not None:
            await self._app(scope, _replayed(body, receive), send)

    async def _body(self, receive: Receive, most: int) -> bytes | ErrorResponse | None:
        """Return the whole body, what to answer instead, or None when the client has left."""
        body = bytearray()
        try:
            with anyio.move_on_after(self._seconds):
                return await self._read(receive, body, most)
        finally:
            self._arriving -= len(body)
        return ErrorResponse(408, f"the request's body took more than {self._seconds:g} s", _LAST)

    async def _read(
        self, receive: Receive, body: bytearray, most: int
    ) -> bytes | ErrorResponse | None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            body += part
            self._arriving += len(part)
            if len(body) > most:
                return _too_large(most)
            if self._arriving > MOST_TOGETHER:
                return ErrorResponse(503, "too many large requests at once", {"Retry-After": "1"})
            if not message.get("more_body", False):
                return bytes(body)


def _announces_more(scope: Scope, most: int) -> bool:
    length = Headers(scope=scope).get("content-length", "")
    # Twenty digits are more than enough to tell, and quick to read.
    return length.isascii() and length.isdecimal() and int(length[:20]) > most


def _too_large(most: int) -> ErrorResponse:
    return ErrorResponse(413, f"the request's body has more than {most:,} bytes")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that says `body` first, and then what `receive` does."""
    said: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return said.pop() if said else await receive()

    return replay
