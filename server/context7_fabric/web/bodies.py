"""How large and how slow the body of a request may be; it is handed on whole, or not at all."""

from __future__ import annotations

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from context7_fabric.web.refusals import Refusal

MOST_BYTES = 2**20
MOST_SECONDS = 30.0

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on with its body, or answer 413 or 408; nobody hears who has left."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = self._too_large() if self._announces_more(scope) else await self._body(receive)
        if isinstance(body, Refusal):
            await body(scope, receive, send)
        elif body is not None:
            await self._app(scope, _replayed(body, receive), send)

    def _announces_more(self, scope: Scope) -> bool:
        length = Headers(scope=scope).get("content-length", "")
        # Twenty digits are more than enough to tell, and quick to read.
        return length.isascii() and length.isdecimal() and int(length[:20]) > self._most

    async def _body(self, receive: Receive) -> bytes | Refusal | None:
        """Return the whole body, what to answer instead, or None when the client has left."""
        body = bytearray()
        with anyio.move_on_after(self._seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > self._most:
                    return self._too_large()
                if not message.get("more_body", False):
                    return bytes(body)
        return Refusal(408, f"the request's body took more than {self._seconds:g} s", _LAST)

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the request's body has more than {self._most:,} bytes")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that says `body` first, and then what `receive` does."""
    said: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return said.pop() if said else await receive()

    return replay
