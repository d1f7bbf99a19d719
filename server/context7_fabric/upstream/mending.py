"""Mending of replies that JavaScript reads and the SDK's strict reader refuses.

Without it such a reply is dropped, and its call waits for the whole time-out.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

import httpx2
import mcp_types as types
from mcp.shared.message import SessionMessage
from pydantic import ValidationError
from pydantic_core import from_json

from context7_fabric.lenient_json import id_in, mended

_DATA = "data:"
_REFUSED = "Failed to parse"
"""How the SDK begins an error of its own about a reply, behind which pydantic's text stands."""

UNREADABLE = "the reply from Context7 could not be read as JSON-RPC"
"""The message of the error that stands for such a reply."""

log = logging.getLogger(__name__)


class Mended:
    """A stream of incoming messages, in which what can be mended comes as a message too."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401  # two kinds of streams in the SDK
        """Read from `stream`."""
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # the SDK asks streams by attribute
        """Return what `stream` has by that name."""
        return getattr(self._stream, name)

    async def receive(self) -> Any:  # noqa: ANN401  # a message, or an exception as a value
        """Return the next message."""
        return mended_item(await self._stream.receive())

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401  # as `receive`
        """Return the next message; StopAsyncIteration when the stream has ended."""
        return mended_item(await self._stream.__anext__())

    async def __aenter__(self) -> Self:
        """Enter the stream."""
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the stream."""
        await self._stream.__aexit__(kind, error, trace)


def mended_item(item: Any) -> Any:  # noqa: ANN401  # as it comes from the stream
    """Return the message that the SDK refused with the error `item`; another item as it is."""
    if isinstance(item, ValidationError):
        return _mended_refusal(item)
    message = getattr(item, "message", None)
    if isinstance(message, types.JSONRPCError) and message.error.message.startswith(_REFUSED):
        return _unreadable(message.id)
    return item


def _mended_refusal(error: ValidationError) -> SessionMessage | ValidationError:
    inputs = [each["input"] for each in error.errors(include_url=False, include_context=False)]
    for given in inputs:
        if isinstance(given, str):
            return _message(given.encode("utf-8", "surrogatepass"))
        if isinstance(given, dict) and isinstance(given.get("id"), int | str):
            return _unreadable(given["id"])
    return error


def _message(data: bytes) -> SessionMessage:
    """Return the message in `data`, or the error that ends the call that it answers."""
    try:
        read = types.jsonrpc_message_adapter.validate_json(mended(data) or b"", by_name=False)
    except ValidationError:
        return _unreadable(id_in(data))
    return SessionMessage(read)


def _unreadable(number: types.RequestId | None) -> SessionMessage:
    log.warning("%s (id %r)", UNREADABLE, number)
    error = types.ErrorData(code=types.PARSE_ERROR, message=UNREADABLE)
    return SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=number, error=error))


async def mend(response: httpx2.Response) -> None:
    """Mend a body of JSON, or events of JSON, before the SDK reads it; a hook for responses."""
    kind = response.headers.get("content-type", "").strip().lower()
    if kind.startswith("application/json"):
        body = await response.aread()
        # The body is decoded already, and a new stream of it would be decoded twice.
        response._content = _strict(body)  # noqa: SLF001
    elif kind.startswith("text/event-stream"):
        response.aiter_text = partial(_events, response.aiter_text)  # type: ignore[method-assign]


async def _events(read: Callable[[], AsyncIterator[str]]) -> AsyncGenerator[str]:
    """Yield the text of a stream of events line by line."""
    parts: list[str] = []
    async for chunk in read():
        *ends, rest = chunk.split("\n")
        for end in ends:
            yield _line("".join((*parts, end))) + "\n"
            parts.clear()
        parts.append(rest)
    yield "".join(parts)


def _line(line: str) -> str:
    if not line.startswith(_DATA):
        return line
    data = line.removeprefix(_DATA).encode("utf-8", "surrogatepass")
    return _DATA + _strict(data).decode("utf-8", "surrogatepass")


def _strict(data: bytes) -> bytes:
    """Return JSON as strict readers take it; as it came where nothing can be made of it."""
    try:
        from_json(data)
    except ValueError:
        return mended(data) or data
    return data
