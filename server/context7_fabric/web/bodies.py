"""How large and how slow the body of a request may be; it is handed on whole, or not at all."""

from __future__ import annotations

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from context7_fabric.web.refusals import Refusal
from context7_fabric.web.streams import is_stream

MOST_BYTES = 2**20
MOST_SECONDS = 30.0

MOST_TOGETHER = 2**25
"""Bytes of all bodies that are being read."""

STREAM_BYTES = 2**16
"""Bytes of a body that asks for a stream: it is kept as long as that."""

# Only behind one that is too slow. The server drops the rest of one that is too large: a connection
# that is closed in its sender's face would take the 413 along.
_LAST = {"Connection": "close"}


class BodyGuard:
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
            body: Refusal | bytes | None = _too_large(most)
        else:
            body = await self._body(receive, most)
        if isinstance(body, Refusal):
            await body(scope, receive, send)
        elif body is not None:
            await self._app(scope, _replayed(body, receive), send)

    async def _body(self, receive: Receive, most: int) -> bytes | Refusal | None:
        """Return the whole body, what to answer instead, or None when the client has left."""
        body = bytearray()
        try:
            with anyio.move_on_after(self._seconds):
                return await self._read(receive, body, most)
        finally:
            self._arriving -= len(body)
        return Refusal(408, f"the request's body took more than {self._seconds:g} s", _LAST)

    async def _read(self, receive: Receive, body: bytearray, most: int) -> bytes | Refusal | None:
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
                return Refusal(503, "too many large requests at once", {"Retry-After": "1"})
            if not message.get("more_body", False):
                return bytes(body)


def _announces_more(scope: Scope, most: int) -> bool:
    length = Headers(scope=scope).get("content-length", "")
    # Twenty digits are more than enough to tell, and quick to read.
    return length.isascii() and length.isdecimal() and int(length[:20]) > most


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"the request's body has more than {most:,} bytes")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that says `body` first, and then what `receive` does."""
    said: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return said.pop() if said else await receive()

    return replay
