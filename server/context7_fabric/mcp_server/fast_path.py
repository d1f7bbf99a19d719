"""Fast path: answers calls from the response cache, without the SDK.

In any doubt it answers nothing, and the SDK gets the message as if there were no fast path.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import mcp_types as types
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    PROTOCOL_VERSION_META_KEY,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic_core import to_json

from context7_fabric.mcp_server.json_rpc import LONGEST_ID, InvalidMessage, read_json
from context7_fabric.mcp_server.tools import HandlerContext, Tools, meta_of, texts_of
from context7_fabric.models import Answer, Caller
from context7_fabric.settings.values import Meta

_REQUEST: Final = frozenset({"jsonrpc", "id", "method", "params"})
_PARAMS: Final = frozenset({"name", "arguments", "_meta"})
_PROGRESS: Final = "progressToken"
_ENVELOPE: Final = frozenset(
    {PROTOCOL_VERSION_META_KEY, CLIENT_INFO_META_KEY, CLIENT_CAPABILITIES_META_KEY}
)

_GREATEST_ID: Final = 2**53
"""Greatest integer that every JSON reader reads alike."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """Tool call without anything unusual; the `envelope` of a modern client identifies it."""

    id: int | str
    tool: str
    arguments: dict[str, Any]
    envelope: dict[str, Any]


Cached = Callable[[str, dict[str, Any], Caller], Answer | None]
"""Returns the cached answer to a tool's call with these arguments, None where there is none."""

NewCaller = Callable[..., Caller]
"""Makes a caller for each call of one client; takes its `request_id`, and its `protocol`."""


class FastPath:
    """Fast path of one connection; it is open once the SDK has accepted a call of the client."""

    def __init__(self, cached: Cached, meta: Meta) -> None:
        """Answer what is `cached`; `meta` is the extent of the answers' `_meta`."""
        self._cached = cached
        self._meta: Meta = meta
        self._handshakes = 0
        self._new_caller: NewCaller | None = None

    def open(self, new_caller: NewCaller, version: str) -> None:
        """Answer from now on the calls of a client whose `version` has a handshake."""
        if version in HANDSHAKE_PROTOCOL_VERSIONS:
            self._new_caller = new_caller

    def answer(self, line: bytes) -> bytes | None:
        """Return the reply to the request on `line`, None to leave it to the SDK.

        It has to see every line: it stops answering a client that repeats the handshake.
        """
        message = message_on(line)
        if message.get("method") == "initialize":
            self._handshakes += 1
            self._new_caller = None
        if self._new_caller is None or self._handshakes != 1:
            return None
        call = call_in(message)
        if call is None or call.envelope:
            return None
        answer = cached_answer(call, self._cached, self._new_caller)
        return None if answer is None else reply(call.id, answer, self._meta)


def cached_answer(call: ToolCall, cached: Cached, new_caller: NewCaller) -> Answer | None:
    """Return the answer to `call`, None to leave it to the SDK."""
    return cached(call.tool, call.arguments, new_caller(request_id=str(call.id)))


Opener = Callable[[NewCaller, str], None]
"""Opens the fast path to a client of this version of the protocol."""

_opener: ContextVar[Opener] = ContextVar("opener")


@contextmanager
def beside(opener: Opener) -> Generator[None]:
    """Set the opener that `called` uses within the block and the tasks that it starts."""
    token = _opener.set(opener)
    try:
        yield
    finally:
        _opener.reset(token)


async def called(
    tools: Tools, ctx: HandlerContext, params: types.CallToolRequestParams
) -> types.CallToolResult:
    """Let `tools` answer a call that came through the SDK, and open the fast path of its client.

    Raises:
        MCPError: As `Tools.call`.
    """
    result = await tools.call(ctx, params)
    opener = _opener.get(None)
    if opener is not None:
        opener(partial(tools.callers(ctx), protocol=ctx.protocol_version), ctx.protocol_version)
    return result


def message_on(line: bytes) -> dict[str, Any]:
    """Return the object on a line, repaired if need be, an empty one where there is none."""
    try:
        message, _clean = read_json(line)
    except InvalidMessage:
        return {}
    return message if isinstance(message, dict) else {}


def call_in(message: dict[str, Any]) -> ToolCall | None:
    """Return the call that `message` is, None where it might be anything else.

    It may ask for progress: a hit reports none.
    """
    if message.keys() != _REQUEST or message["jsonrpc"] != "2.0":
        return None
    number, params = message["id"], message["params"]
    if message["method"] != "tools/call" or not _is_id(number) or not isinstance(params, dict):
        return None
    tool, arguments = params.get("name"), params.get("arguments")
    if not params.keys() <= _PARAMS or not isinstance(tool, str) or not isinstance(arguments, dict):
        return None
    envelope = _envelope(params.get("_meta", {}))
    return None if envelope is None else ToolCall(number, tool, arguments, envelope)


def _is_id(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_ID
    return type(value) is int and abs(value) <= _GREATEST_ID


def _envelope(meta: object) -> dict[str, Any] | None:
    """Return the part of a request's `_meta` about the client, None if there is any other."""
    if not isinstance(meta, dict) or not _is_id(meta.get(_PROGRESS, 0)):
        return None
    envelope = {key: value for key, value in meta.items() if key != _PROGRESS}
    return envelope if envelope.keys() <= _ENVELOPE else None


def reply(number: int | str, answer: Answer, meta: Meta) -> bytes:
    """Return the line that the SDK would send with `answer` to a client with a handshake."""
    return to_json({"jsonrpc": "2.0", "id": number, "result": result_of(answer, meta)})


def result_of(answer: Answer, meta: Meta) -> dict[str, Any]:
    """Return the result that the SDK would make of `answer`."""
    about = meta_of(answer, meta)
    return ({} if about is None else {"_meta": about}) | {
        "content": [{"text": text, "type": "text"} for text in texts_of(answer)],
        "isError": answer.is_error,
    }
