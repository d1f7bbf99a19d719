"""An express lane: a call whose answer is at hand in memory is answered beside the SDK.

Where there is any doubt the lane says nothing, and the SDK gets the line as if there were no lane.
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
"""Up to here every JSON reader reads an integer alike."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that is plainly one; a modern client's says in its `envelope` who it is."""

    id: int | str
    tool: str
    arguments: dict[str, Any]
    envelope: dict[str, Any]


AtHand = Callable[[str, dict[str, Any], Caller], Answer | None]
"""Answers a tool's call with these arguments where the answer is at hand."""

NewCaller = Callable[..., Caller]
"""Makes a caller for each call of one client; takes its `request_id`, and its `protocol`."""


class FastPath:
    """The lane of one connection; it is open once the SDK has let a call of the client pass."""

    def __init__(self, at_hand: AtHand, meta: Meta) -> None:
        """Answer what is `at_hand`; `meta` is the extent of the answers' `_meta`."""
        self._at_hand = at_hand
        self._meta: Meta = meta
        self._handshakes = 0
        self._new_caller: NewCaller | None = None

    def open(self, new_caller: NewCaller, version: str) -> None:
        """Answer from now on a client of a `version` with a handshake, by `new_caller`."""
        if version in HANDSHAKE_PROTOCOL_VERSIONS:
            self._new_caller = new_caller

    def answer(self, line: bytes) -> bytes | None:
        """Return the reply to the request on `line`, None where the SDK is to have it.

        The lane is shown every line: of a client that shakes hands anew it answers none.
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
        answer = answer_at_hand(call, self._at_hand, self._new_caller)
        return None if answer is None else reply(call.id, answer, self._meta)


def answer_at_hand(call: ToolCall, at_hand: AtHand, new_caller: NewCaller) -> Answer | None:
    """Return the answer to `call`, None where the SDK is to have it."""
    return at_hand(call.tool, call.arguments, new_caller(request_id=str(call.id)))


Opener = Callable[[NewCaller, str], None]
"""Opens a lane for a client of this version of the protocol."""

_opener: ContextVar[Opener] = ContextVar("opener")


@contextmanager
def beside(opener: Opener) -> Generator[None]:
    """Let `called` know, within the block and the tasks that it starts, what opens their lane."""
    token = _opener.set(opener)
    try:
        yield
    finally:
        _opener.reset(token)


async def called(
    tools: Tools, ctx: HandlerContext, params: types.CallToolRequestParams
) -> types.CallToolResult:
    """Let `tools` answer a call that came through the SDK; the lane of its client is open then.

    Raises:
        MCPError: As `Tools.call`.
    """
    result = await tools.call(ctx, params)
    opener = _opener.get(None)
    if opener is not None:
        opener(partial(tools.callers(ctx), protocol=ctx.protocol_version), ctx.protocol_version)
    return result


def message_on(line: bytes) -> dict[str, Any]:
    """Return the object on a line, mended if need be, an empty one where none is."""
    try:
        message, _clean = read_json(line)
    except InvalidMessage:
        return {}
    return message if isinstance(message, dict) else {}


def call_in(message: dict[str, Any]) -> ToolCall | None:
    """Return the call that `message` is, None where it might be anything else.

    It may ask for progress, of which a hit makes none.
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
    """Return what a request's `_meta` says of its client, None where it says anything else."""
    if not isinstance(meta, dict) or not _is_id(meta.get(_PROGRESS, 0)):
        return None
    envelope = {key: value for key, value in meta.items() if key != _PROGRESS}
    return envelope if envelope.keys() <= _ENVELOPE else None


def reply(number: int | str, answer: Answer, meta: Meta) -> bytes:
    """Return the line on which the SDK would send `answer` to a client with a handshake."""
    return to_json({"jsonrpc": "2.0", "id": number, "result": result_of(answer, meta)})


def result_of(answer: Answer, meta: Meta) -> dict[str, Any]:
    """Return the result that the SDK would make of `answer`."""
    told = meta_of(answer, meta)
    return ({} if told is None else {"_meta": told}) | {
        "content": [{"text": text, "type": "text"} for text in texts_of(answer)],
        "isError": answer.is_error,
    }
