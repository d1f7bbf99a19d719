"""Streams stay open until their client leaves, its token is taken back, or the server ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from anyio.abc import TaskGroup
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from context7_fabric.errors import AccessDenied
from context7_fabric.http_server.auth import Authenticator
from context7_fabric.http_server.errors import ErrorResponse
from context7_fabric.http_server.token_file import LOOK_EVERY

_STREAM: Final = "/sse"
_LISTEN: Final = "subscriptions/listen"
_LEFT: Final[Message] = {"type": "http.disconnect"}
_LAST: Final[Message] = {"type": "http.response.body", "body": b"", "more_body": False}
_TOO_LATE: Final = ErrorResponse(503, "streams are ended here: come again", {"Retry-After": "1"})


def is_stream(scope: Scope) -> bool:
    """Tell whether a request is for a stream, whose end is not the server's to wait for."""
    if scope["type"] != "http":
        return False
    if scope["method"] == "GET":
        return bool(scope["path"] == _STREAM)
    return Headers(scope=scope).get("mcp-method") == _LISTEN


async def _a_while() -> None:
    await anyio.sleep(LOOK_EVERY)


class StreamMiddleware:
    """Ends streams: those of whom nobody would let in any more, and all at the server's end."""

    def __init__(
        self,
        app: ASGIApp,
        access: Authenticator,
        tasks: TaskGroup,
        pause: Callable[[], Awaitable[None]] = _a_while,
    ) -> None:
        """Guard `app`; in `tasks`, ask `access` after each `pause` while streams are open."""
        self._app = app
        self._access = access
        self._tasks = tasks
        self._pause = pause
        self._open: set[_Stream] = set()
        self._watching = False
        self._ended = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        if not is_stream(scope):
            await self._app(scope, receive, send)
            return
        stream = _Stream(receive, send, Headers(scope=scope))
        self._open.add(stream)
        if self._ended:
            stream.end()
        self._begin_to_watch()
        try:
            await stream.run(self._app, scope)
        finally:
            self._open.discard(stream)

    def end(self) -> None:
        """End all streams, and those that are yet to come."""
        self._ended = True
        for stream in self._open:
            stream.end()

    def _begin_to_watch(self) -> None:
        if self._access.known is not None and not self._watching:
            self._watching = True
            self._tasks.start_soon(self._watch, self._access.known)

    async def _watch(self, known: object) -> None:
        """While streams are open, look for those to end as often as others are `known`."""
        while self._open:
            await self._pause()
            await self._access.refresh()
            if self._access.known is not known:
                known = self._access.known
                self._end_strangers()
        self._watching = False

    def _end_strangers(self) -> None:
        for stream in self._open:
            try:
                self._access.known_visitor(stream.headers)
            except AccessDenied:
                stream.end()


class _Stream:
    """One stream: to its application, its end looks as if the client had left."""

    def __init__(self, receive: Receive, send: Send, headers: Headers) -> None:
        self.headers = headers
        self._receive = receive
        self._send = send
        self._waiting = anyio.CancelScope()
        self._ended = False
        self._begun = False
        self._complete = False

    def end(self) -> None:
        """Let the application stop; the client gets a whole answer, as far as it goes."""
        self._ended = True
        self._waiting.cancel()

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Let `app` answer; where it was made to stop, complete what it has said."""
        await app(scope, self._hear, self._say)
        if self._ended and not self._begun:
            await _TOO_LATE(scope, self._receive, self._send)
        elif self._ended and not self._complete:
            await self._send(_LAST)

    async def _hear(self) -> Message:
        if not self._ended:
            with anyio.CancelScope() as self._waiting:
                return await self._receive()
        return _LEFT

    async def _say(self, message: Message) -> None:
        if self._ended:  # nobody is there, as far as the application knows
            return
        self._begun = True
        body = message["type"] == "http.response.body"
        self._complete = body and not message.get("more_body", False)
        await self._send(message)
