"""Leniency towards replies that can be read but break the protocol.

The SDK rejects a whole reply because of one null member, one block of an unknown kind, or JSON
that only lenient readers take.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

import anyio
import httpx2
import mcp_types as types
from mcp.shared.message import SessionMessage
from pydantic import ValidationError
from pydantic_core import from_json

from context7_fabric.lenient_json import id_in, mended

UNREADABLE = "the reply from Context7 could not be read as JSON-RPC"
"""Message of the error that takes the place of such a reply."""

_DATA = "data:"
_REFUSED = "Failed to parse"
"""Beginning of the SDK's own error about a reply; pydantic's text follows."""

log = logging.getLogger(__name__)


class StreamWrapper:
    """Stream of messages that passes everything on to the stream it wraps."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401  # several kinds of streams in the SDK
        """Wrap `stream`."""
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # the SDK asks streams by attribute
        """Return the attribute `name` of the stream itself."""
        return getattr(self._stream, name)

    async def receive(self) -> Any:  # noqa: ANN401  # a message, or an exception as a value
        """Return the next message."""
        return await self._stream.receive()

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401  # as `receive`
        """Return the next message; StopAsyncIteration when the stream has ended."""
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

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


class LenientStream(StreamWrapper):
    """Stream of incoming messages, repaired before the SDK reads them."""

    async def receive(self) -> Any:  # noqa: ANN401  # a message, or an exception as a value
        """Return the next message."""
        return repair(await super().receive())


def repair(item: Any) -> Any:  # noqa: ANN401  # as it comes from the stream
    """Return the message that the SDK could not read as `item`; any other one with a tidy result.

    A reply that stays unreadable becomes an error that ends the call.
    """
    if isinstance(item, ValidationError):
        return _repaired(item)
    message = getattr(item, "message", None)
    if isinstance(message, types.JSONRPCResponse):
        message.result = tidy(message.result)
    elif isinstance(message, types.JSONRPCError) and message.error.message.startswith(_REFUSED):
        return _unreadable(message.id)
    return item


def _repaired(error: ValidationError) -> SessionMessage | ValidationError:
    inputs = [each["input"] for each in error.errors(include_url=False, include_context=False)]
    for given in inputs:
        if isinstance(given, str):
            return _message(given.encode("utf-8", "surrogatepass"))
        if isinstance(given, dict) and isinstance(given.get("id"), int | str):
            return _unreadable(given["id"])
    return error


def _message(data: bytes) -> SessionMessage:
    """Return the message in `data`, or the error that ends the call it answers."""
    try:
        read = types.jsonrpc_message_adapter.validate_json(mended(data) or b"", by_name=False)
    except ValidationError:
        return _unreadable(id_in(data))
    if isinstance(read, types.JSONRPCResponse):
        read.result = tidy(read.result)
    return SessionMessage(read)


def _unreadable(number: types.RequestId | None) -> SessionMessage:
    log.warning("%s (id %r)", UNREADABLE, number)
    error = types.ErrorData(code=types.PARSE_ERROR, message=UNREADABLE)
    return SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=number, error=error))


def tidy(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result without null members; a tool's result keeps its readable text alone."""
    tidied = _without_nulls(result)
    if "content" in result or "isError" in result:
        content = result.get("content")
        blocks = map(_text, content if isinstance(content, list) else [content])
        tidied["content"] = [{"type": "text", "text": each} for each in blocks if each is not None]
        tidied["isError"] = str(result.get("isError")).lower() in ("true", "1")
        tidied.pop("structuredContent", None)  # nothing here reads it, and it may have any form
    if isinstance(result.get("tools"), list):
        tidied["tools"] = [_tool(tool) for tool in result["tools"] if _is_named(tool)]
    return tidied


def _without_nulls(members: dict[str, Any]) -> dict[str, Any]:
    """Leave out null members, also of the objects that are members themselves."""
    return {
        name: _without_nulls(value) if isinstance(value, dict) else value
        for name, value in members.items()
        if value is not None
    }


def _text(block: object) -> str | None:
    """Return the text of one block of a tool's result; other kinds of blocks have none."""
    if isinstance(block, str):
        return block
    if not isinstance(block, dict):
        return None
    holder = block.get("resource") if block.get("type") == "resource" else block
    text = holder.get("text") if isinstance(holder, dict) else None
    return text if isinstance(text, str) else None


def _is_named(tool: object) -> bool:
    return isinstance(tool, dict) and isinstance(tool.get("name"), str)


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """Return a tool without null members, with its schemas unchanged."""
    kept = {name: value for name, value in tool.items() if value is not None}
    if not isinstance(kept.get("inputSchema"), dict):
        kept["inputSchema"] = {"type": "object"}
    return kept


async def mend(response: httpx2.Response) -> None:
    """Repair a body of JSON, or events of JSON, before the SDK reads it; a hook for responses."""
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
    """Return JSON as strict readers take it, unchanged if nothing can be made of it."""
    try:
        from_json(data)
    except ValueError:
        return mended(data) or data
    return data
