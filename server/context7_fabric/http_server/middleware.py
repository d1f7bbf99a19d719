"""Middleware of the HTTP server, from the outside in: headers, host, path, identity, streams, body.

Each is an ASGI application around another one. Answers pass through piece by piece, as they come.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import anyio
from anyio.abc import TaskGroup
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from context7_fabric.errors import AccessDenied, RateLimited, UnusableKey
from context7_fabric.http_server.auth import Authenticator, RateLimits
from context7_fabric.http_server.errors import ErrorResponse, error_response
from context7_fabric.http_server.token_file import LOOK_EVERY
from context7_fabric.mcp_server.fast_path_http import replayed

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]/@,\s]+?))\.?(?::[0-9]{1,5})?", re.ASCII)
_ORIGIN = re.compile(r"https?://(.+)")
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_SHOWN = 200
"""Characters of a header that an error repeats."""


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Names of this server, in lower case and without a port; None allows any name.

    `origins` are the origins whose pages may use the server; None allows those of this machine.
    """

    allowed: frozenset[str] | None
    origins: frozenset[str] | None = None

    def refusal(self, host: str | None, origin: str | None) -> ErrorResponse | None:
        """Return the response to a request with these headers, None when it is allowed.

        An Origin has to be allowed, or to name the host and port that Host names.
        """
        if self.allowed is not None and _name_in(host) not in self.allowed:
            return ErrorResponse(421, f"this server has no host name {(host or '')[:_SHOWN]!r}")
        if origin is not None and not (is_own(origin, host) or self._is_allowed(origin.lower())):
            return ErrorResponse(
                403,
                f"pages of {origin[:_SHOWN]!r} may not use this server: list the origin in"
                " CONTEXT7_FABRIC_ORIGINS to allow it (Origin)",
            )
        return None

    def _is_allowed(self, origin: str) -> bool:
        if self.origins is not None:
            return origin in self.origins
        found = _ORIGIN.fullmatch(origin)
        return found is not None and _name_in(found[1]) in _LOOPBACK


def _name_in(host: str | None) -> str | None:
    found = _HOST.fullmatch((host or "").lower())
    return None if found is None else found[1] or found[2]


def is_own(origin: str, host: str | None) -> bool:
    """Return whether a page of `origin` comes from the server that `host` names."""
    found = _ORIGIN.fullmatch(origin.lower())
    return found is not None and host is not None and found[1] == host.lower()


def _sharing_headers(origin: str) -> dict[str, str]:
    """Return the CORS headers by which a browser lets pages of `origin` read an answer."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "WWW-Authenticate, Retry-After, MCP-Session-Id",
        "Vary": "Origin",
    }


_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS, DELETE",
    "Access-Control-Allow-Headers": (
        "Content-Type, Accept, Authorization, Last-Event-ID, MCP-Session-Id, MCP-Protocol-Version,"
        " Mcp-Method, Mcp-Name, X-Context7-API-Key, Context7-API-Key, X-API-Key"
    ),
    "Access-Control-Allow-Private-Network": "true",
    "Access-Control-Max-Age": "600",
}


def _with_headers(send: Send, change: Callable[[MutableHeaders], None]) -> Send:
    """Return a `send` that changes the headers of the answer."""

    async def send_changed(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            change(MutableHeaders(scope=message))
        await send(message)

    return send_changed


class SecurityHeadersMiddleware:
    """Adds the headers that keep a browser from doing more with an answer than showing it."""

    def __init__(self, app: ASGIApp) -> None:
        """Change the answers of `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        await self._app(scope, receive, _with_headers(send, _protect))


def _protect(headers: MutableHeaders) -> None:
    """Add to `headers`; a Content-Security-Policy of the page itself stays."""
    if headers.get("connection") == "keep-alive":
        del headers["connection"]  # the default, and wrong once the server is shutting down
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers.setdefault("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
    kept = headers.get("cache-control")
    if kept is None:
        headers["Cache-Control"] = "no-store"
    elif "no-store" not in kept:
        headers["Cache-Control"] = f"{kept}, no-store"  # no-transform must stay on a stream


class PathMiddleware:
    """Serves a path with and without a slash at its end; a redirect would lose the body."""

    def __init__(self, app: ASGIApp) -> None:
        """Change the path of requests to `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on under the path that is served."""
        if scope["type"] == "http":
            path = scope["path"].rstrip("/") or "/"
            scope = {**scope, "path": "/messages/" if path == "/messages" else path}
        await self._app(scope, receive, send)


class HostMiddleware:
    """Checks Host and Origin, and answers the preflight requests of browsers (CORS)."""

    def __init__(self, app: ASGIApp, hosts: AllowedHosts) -> None:
        """Pass on to `app` what `hosts` allows."""
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 421, 403, or a preflight request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = _all_values(headers, "host"), _all_values(headers, "origin")
        refusal = self._hosts.refusal(host, origin)
        if refusal is not None or origin is None or is_own(origin, host):
            await (refusal or self._app)(scope, receive, send)
            return
        shared = _sharing_headers(origin)
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await Response(status_code=204, headers=shared | _PREFLIGHT)(scope, receive, send)
        else:
            await self._app(scope, receive, _with_headers(send, lambda each: each.update(shared)))


def _all_values(headers: Headers, name: str) -> str | None:
    """Return all values of a header, so that two of them are never taken for the first."""
    values = headers.getlist(name)
    return ",".join(values) if values else None


class AuthMiddleware:
    """Identifies the sender and counts its requests; the `Identity` is in `scope["state"]`."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator, limits: RateLimits) -> None:
        """Pass on to `app` what `authenticator` accepts and `limits`, by token, allows."""
        self._app = app
        self._authenticator = authenticator
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401, 400 or 429; web sockets are closed."""
        if scope["type"] == "http":
            await (await self._responder(scope))(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    async def _responder(self, scope: Scope) -> ASGIApp:
        """Return the application that answers; the state of `scope` becomes the request's own."""
        try:
            identity = await self._authenticator.identify(Headers(scope=scope))
            if identity.name is not None:
                self._limits.take(identity.name)
        except (AccessDenied, RateLimited, UnusableKey) as error:
            return error_response(error)
        scope["state"] = {**scope.get("state", {}), "identity": identity}
        return self._app


def is_stream(scope: Scope) -> bool:
    """Return whether a request asks for a stream, which has no end of its own."""
    if scope["type"] != "http":
        return False
    if scope["method"] == "GET":
        return bool(scope["path"] == "/sse")
    return Headers(scope=scope).get("mcp-method") == "subscriptions/listen"


async def _pause() -> None:
    await anyio.sleep(LOOK_EVERY)


class StreamMiddleware:
    """Closes streams whose token was revoked, and all streams at shutdown."""

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        tasks: TaskGroup,
        pause: Callable[[], Awaitable[None]] = _pause,
    ) -> None:
        """Watch the streams of `app`: in `tasks`, check their tokens after each `pause`."""
        self._app = app
        self._authenticator = authenticator
        self._tasks = tasks
        self._pause = pause
        self._streams: set[_Stream] = set()
        self._is_watching = False
        self._is_closed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if not is_stream(scope):
            await self._app(scope, receive, send)
            return
        stream = _Stream(receive, send, Headers(scope=scope))
        self._streams.add(stream)
        if self._is_closed:
            stream.close()
        if self._authenticator.accepted is not None and not self._is_watching:
            self._is_watching = True
            self._tasks.start_soon(self._watch, self._authenticator.accepted)
        try:
            await stream.run(self._app, scope)
        finally:
            self._streams.discard(stream)

    def close(self) -> None:
        """Close all streams, and refuse new ones."""
        self._is_closed = True
        for stream in self._streams:
            stream.close()

    async def _watch(self, accepted: object) -> None:
        """Check the streams whenever the accepted tokens change, as long as there are streams."""
        while self._streams:
            await self._pause()
            await self._authenticator.refresh()
            if self._authenticator.accepted is not accepted:
                accepted = self._authenticator.accepted
                self._close_revoked()
        self._is_watching = False

    def _close_revoked(self) -> None:
        for stream in self._streams:
            try:
                self._authenticator.identify_now(stream.headers)
            except AccessDenied:
                stream.close()


class _Stream:
    """One stream; its application sees a close as if the client had left."""

    def __init__(self, receive: Receive, send: Send, headers: Headers) -> None:
        self.headers = headers
        self._receive = receive
        self._send = send
        self._waiting = anyio.CancelScope()
        self._is_closed = False
        self._has_begun = False
        self._is_complete = False

    def close(self) -> None:
        self._is_closed = True
        self._waiting.cancel()

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Let `app` answer; complete the answer of a closed stream."""
        await app(scope, self._receive_open, self._send_open)
        if self._is_closed and not self._has_begun:
            text = "server is shutting down, please reconnect"
            await ErrorResponse(503, text, {"Retry-After": "1"})(scope, self._receive, self._send)
        elif self._is_closed and not self._is_complete:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _receive_open(self) -> Message:
        if not self._is_closed:
            with anyio.CancelScope() as self._waiting:
                return await self._receive()
        return {"type": "http.disconnect"}

    async def _send_open(self, message: Message) -> None:
        if self._is_closed:
            return
        self._has_begun = True
        is_body = message["type"] == "http.response.body"
        self._is_complete = is_body and not message.get("more_body", False)
        await self._send(message)


MOST_BYTES = 2**20
MOST_SECONDS = 30.0

MOST_TOGETHER = 2**25
"""Bytes of all bodies that are being read."""

STREAM_BYTES = 2**16
"""Bytes of the body of a request for a stream: it is kept as long as the stream."""


class BodyLimitMiddleware:
    """Reads the whole body of a request before it is passed on."""

    def __init__(self, app: ASGIApp, most: int = MOST_BYTES, seconds: float = MOST_SECONDS) -> None:
        """Protect `app` from bodies of more than `most` bytes, or that take more than `seconds`."""
        self._app = app
        self._most = most
        self._seconds = seconds
        self._arriving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body, or answer 413, 408 or 503; a client may leave."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = min(self._most, STREAM_BYTES) if is_stream(scope) else self._most
        body = _too_large(most) if _announces_more(scope, most) else await self._body(receive, most)
        if isinstance(body, ErrorResponse):
            await body(scope, receive, send)
        elif body is not None:
            whole: Message = {"type": "http.request", "body": body, "more_body": False}
            await self._app(scope, replayed(whole, receive), send)

    async def _body(self, receive: Receive, most: int) -> bytes | ErrorResponse | None:
        """Return the whole body, an error response, or None when the client has left."""
        body = bytearray()
        try:
            with anyio.move_on_after(self._seconds):
                return await self._read(receive, body, most)
        finally:
            self._arriving -= len(body)
        # A 413 does not close the connection: its sender, still writing, would not read the answer.
        text = f"the request's body took more than {self._seconds:g} s"
        return ErrorResponse(408, text, {"Connection": "close"})

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
    # int() of a long text is slow; twenty digits are enough to decide.
    return length.isascii() and length.isdecimal() and int(length[:20]) > most


def _too_large(most: int) -> ErrorResponse:
    return ErrorResponse(413, f"the request's body has more than {most:,} bytes")
