"""A request as a server hands it to an ASGI application, and what is answered."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass
class Application:
    """Answers 200 with the body that it got, and remembers by what scopes it was called."""

    headers: dict[str, str] = field(default_factory=dict)
    scopes: list[Scope] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body, then answer."""
        self.scopes.append(scope)
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": raw(self.headers)})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Answer:
    """Answer of an application to one request."""

    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The HTTP status."""
        status: int = self.messages[0]["status"]
        return status

    @property
    def headers(self) -> Headers:
        """The headers."""
        return Headers(raw=self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def error(self) -> str:
        """The text of a refusal, which is one line of JSON and nothing else."""
        assert self.headers["content-type"] == "application/json"
        assert b"\n" not in self.body
        reply = json.loads(self.body)
        assert list(reply) == ["error"]
        return str(reply["error"])


def raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as they are on the wire."""
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


def scope_of(headers: dict[str, str] | None = None, **others: Any) -> Scope:  # noqa: ANN401  # whatever a scope holds
    """The scope of a request with `headers`."""
    return {"type": "http", "method": "POST", "headers": raw(headers or {}), **others}


async def asked(app: ASGIApp, scope: Scope, body: Iterable[bytes | None] = (b"",)) -> Answer:
    """Send a request with the chunks of `body`; None is a client that leaves.

    Behind the last chunk nothing comes.
    """
    answer = Answer()
    chunks = list(body)

    async def receive() -> Message:
        if not chunks:
            await anyio.sleep_forever()
        chunk = chunks.pop(0)
        if chunk is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    async def send(message: Message) -> None:
        answer.messages.append(message)

    await app(scope, receive, send)
    return answer
