"""Leniency towards replies that are readable though not by the letter of the protocol.

The SDK takes a whole reply for malformed when one member is null or one block of a kind that it
does not know.
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


class TidiedStream:
    """A stream of incoming messages in which results are as the SDK reads them."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401  # two kinds of streams in the SDK
        """Read from `stream`."""
        self._stream = stream

    @property
    def last_context(self) -> Any:  # noqa: ANN401  # the SDK's own
        """The context that the last message was sent in, where the stream tells it."""
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> Any:  # noqa: ANN401  # a message, or an exception as a value
        """Return the next message."""
        return _tidied(await self._stream.receive())

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    def close(self) -> None:
        """Close the stream, without waiting."""
        self._stream.close()

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401  # as `receive`
        """Return the next message; StopAsyncIteration when the stream has ended."""
        return _tidied(await self._stream.__anext__())

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


def _tidied(item: Any) -> Any:  # noqa: ANN401  # as it comes from the stream
    message = getattr(item, "message", None)
    if isinstance(message, types.JSONRPCResponse):
        message.result = tidy(message.result)
    return item


def tidy(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result without null members, and of a tool's result the readable text alone."""
    tidied = _without_nulls(result)
    if "content" in result or "isError" in result:
        blocks = _texts(result.get("content"))
        tidied["content"] = [{"type": "text", "text": text} for text in blocks]
        tidied["isError"] = str(result.get("isError")).lower() in ("true", "1")
        tidied.pop("structuredContent", None)  # nothing here reads it, and it may be of any form
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


def _texts(content: object) -> list[str]:
    """Return the texts in the blocks of a tool's result; other kinds of blocks have none."""
    blocks = content if isinstance(content, list) else [content]
    return [text for block in blocks if (text := _text(block)) is not None]


def _text(block: object) -> str | None:
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
    """Return a tool without null members, its schemas as they are."""
    told = {name: value for name, value in tool.items() if value is not None}
    if not isinstance(told.get("inputSchema"), dict):
        told["inputSchema"] = {"type": "object"}
    return told


_DATA = "data:"
_REFUSED = "Failed to parse"
"""How the SDK begins an error of its own about a reply, behind which pydantic's text stands."""

UNREADABLE = "the reply from Context7 could not be read as JSON-RPC"
"""The message of the error that stands for such a reply."""

log = logging.getLogger(__name__)


class RepairedStream:
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
