"""Leniency towards replies that are readable though not by the letter of the protocol.

The SDK takes a whole reply for malformed when one member is null or one block of a kind that it
does not know.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import mcp_types as types


class Tidied:
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
