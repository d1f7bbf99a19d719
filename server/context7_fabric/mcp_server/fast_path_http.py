"""The express lane of HTTP: answers what is at hand as the SDK would, beside it."""

from __future__ import annotations

import json
from functools import partial
from typing import Final, TypeAlias

from mcp.server.streamable_http import MCP_SESSION_ID_HEADER, check_accept_headers
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PARAM_HEADER_PREFIX,
    MCP_PROTOCOL_VERSION_HEADER,
    validate_mcp_param_headers,
)
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    DEFAULT_NEGOTIATED_VERSION,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from context7_fabric.mcp_server.fast_path import (
    NewCaller,
    ToolCall,
    answer_at_hand,
    beside,
    call_in,
    message_on,
    reply,
    result_of,
)
from context7_fabric.mcp_server.server import FabricServer
from context7_fabric.models import Answer

PATH: Final = "/mcp"

MOST_CLIENTS: Final = 1000
"""Kinds of calls, by client, that have an express lane at once."""

LONGEST_ENVELOPE: Final = 2000
"""Bytes that a modern client may need to say who it is."""

_JSON: Final = "application/json"
EVENT: Final = b"event: message\r\ndata: %b\r\n\r\n"
HEADERS: Final = (
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"content-type", b"text/event-stream"),
    (b"x-accel-buffering", b"no"),
)
_ROUTING: Final = (MCP_PROTOCOL_VERSION_HEADER, MCP_METHOD_HEADER, MCP_NAME_HEADER)
_PARAM: Final = MCP_PARAM_HEADER_PREFIX.lower()

_Lane: TypeAlias = tuple[object, ...]
"""Calls that the SDK lets pass alike: of one address, and of a modern client of one kind."""


class HttpFastPath:
    """Answers a call whose answer is at hand, once the SDK has let one like it pass."""

    def __init__(self, app: ASGIApp, server: FabricServer) -> None:
        """Answer what `server` has at hand, as it would; `app` has the rest."""
        self._app = app
        self._server = server
        self._new_callers: dict[_Lane, NewCaller] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if not _may_be_call(scope):
            await self._app(scope, receive, send)
            return
        request, begun = Request(scope), await receive()
        call = None if begun.get("more_body") else call_in(message_on(begun.get("body", b"")))
        lane = None if call is None else self._lane(request, call)
        if call is None or lane is None:
            await self._app(scope, replayed(begun, receive), send)
            return
        version = _version(request)
        answer = self._answer(lane, call, version)
        if answer is not None:
            if version in HANDSHAKE_PROTOCOL_VERSIONS:
                await _send_event(reply(call.id, answer, self._server.meta), send)
            else:
                body = _modern_reply(call.id, answer, self._server)
                await Response(body, media_type=_JSON)(scope, receive, send)
            return
        with beside(partial(self._open, lane)):
            await self._app(scope, replayed(begun, receive), send)

    def _answer(self, lane: _Lane, call: ToolCall, version: str) -> Answer | None:
        new_caller = self._new_callers.get(lane)
        if new_caller is None:
            return None
        return answer_at_hand(call, self._server.at_hand, partial(new_caller, protocol=version))

    def _open(self, lane: _Lane, new_caller: NewCaller, _version: str) -> None:
        if lane not in self._new_callers and len(self._new_callers) >= MOST_CLIENTS:
            self._new_callers.clear()
        self._new_callers[lane] = new_caller

    def _lane(self, request: Request, call: ToolCall) -> _Lane | None:
        """Return the lane of a call, None where the SDK is to have it."""
        peer, version = request.client.host if request.client else "", _version(request)
        if version in HANDSHAKE_PROTOCOL_VERSIONS:
            return None if call.envelope else (peer,)
        envelope = to_json(call.envelope)
        if version not in MODERN_PROTOCOL_VERSIONS or len(envelope) > LONGEST_ENVELOPE:
            return None
        if not _is_routed(request, call, version) or self._is_refused(request, call):
            return None
        return peer, call.tool, envelope

    def _is_refused(self, request: Request, call: ToolCall) -> bool:
        """Tell whether the tool wants headers for its arguments that are not as it wants them."""
        schema_of = self._server.get_tool_input_schema
        schema = None if schema_of is None else schema_of(call.tool)
        if schema is None:
            return False
        return validate_mcp_param_headers(schema, call.arguments, request.headers) is not None


def _may_be_call(scope: Scope) -> bool:
    """Tell whether a request may be a call: without a session, and as the SDK wants it."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != PATH:
        return False
    request = Request(scope)
    return (
        request.headers.get("content-type") == _JSON
        and MCP_SESSION_ID_HEADER not in request.headers
        and all(check_accept_headers(request))
    )


def _version(request: Request) -> str:
    return request.headers.get(MCP_PROTOCOL_VERSION_HEADER, DEFAULT_NEGOTIATED_VERSION)


def _is_routed(request: Request, call: ToolCall, version: str) -> bool:
    """Tell whether the headers of a modern client's request say once what its body says."""
    names = [name for name, _value in request.headers.items()]
    said = (version, "tools/call", call.tool)
    return (
        call.envelope.get(PROTOCOL_VERSION_META_KEY) == version
        and CLIENT_CAPABILITIES_META_KEY in call.envelope
        and tuple(request.headers.get(name) for name in _ROUTING) == said
        and not call.tool.startswith("=?")
        and all(names.count(name) == 1 for name in _ROUTING)
        and not any(name.startswith(_PARAM) for name in names)
    )


async def _send_event(line: bytes, send: Send) -> None:
    """Send a line as the stream of one event that the SDK makes of it."""
    await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS]})
    await send({"type": "http.response.body", "body": EVENT % line, "more_body": False})


def _modern_reply(number: int | str, answer: Answer, server: FabricServer) -> bytes:
    """Return the body in which the SDK of `server` would send `answer` to a modern client."""
    result = result_of(answer, server.meta) | {"resultType": "complete"}
    result.setdefault("_meta", {})[SERVER_INFO_META_KEY] = server.server_info_stamp
    told = {"jsonrpc": "2.0", "id": number, "result": result}
    return json.dumps(told, separators=(",", ":")).encode()


def replayed(begun: Message, receive: Receive) -> Receive:
    """Return a `receive` that says `begun` first, and then what `receive` does."""
    said = [begun]

    async def replay() -> Message:
        return said.pop() if said else await receive()

    return replay
