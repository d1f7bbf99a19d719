"""Fast path of HTTP: answers calls from the response cache as the SDK would."""

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
    beside,
    cached_answer,
    call_in,
    message_on,
    reply,
    result_of,
)
from context7_fabric.mcp_server.server import FabricServer
from context7_fabric.models import Answer

PATH: Final = "/mcp"

MOST_CLIENTS: Final = 1000
"""Maximum number of kinds of calls, by client, with an open fast path."""

LONGEST_ENVELOPE: Final = 2000
"""Maximum size in bytes of the envelope that identifies a modern client."""

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

_Kind: TypeAlias = tuple[object, ...]
"""Kind of calls that the SDK accepts alike: of one address, and of one kind of modern client."""


class HttpFastPath:
    """Middleware that answers calls from the cache, once the SDK has accepted one of their kind."""

    def __init__(self, app: ASGIApp, server: FabricServer) -> None:
        """Answer what `server` has cached, as it would; pass the rest to `app`."""
        self._app = app
        self._server = server
        self._new_callers: dict[_Kind, NewCaller] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if not _may_be_call(scope):
            await self._app(scope, receive, send)
            return
        request, begun = Request(scope), await receive()
        call = None if begun.get("more_body") else call_in(message_on(begun.get("body", b"")))
        kind = None if call is None else self._kind(request, call)
        if call is None or kind is None:
            await self._app(scope, replayed(begun, receive), send)
            return
        version = _version(request)
        answer = self._answer(kind, call, version)
        if answer is not None:
            if version in HANDSHAKE_PROTOCOL_VERSIONS:
                await _send_event(reply(call.id, answer, self._server.meta), send)
            else:
                body = _modern_reply(call.id, answer, self._server)
                await Response(body, media_type=_JSON)(scope, receive, send)
            return
        with beside(partial(self._open, kind)):
            await self._app(scope, replayed(begun, receive), send)

    def _answer(self, kind: _Kind, call: ToolCall, version: str) -> Answer | None:
        new_caller = self._new_callers.get(kind)
        if new_caller is None:
            return None
        return cached_answer(call, self._server.cached, partial(new_caller, protocol=version))

    def _open(self, kind: _Kind, new_caller: NewCaller, _version: str) -> None:
        if kind not in self._new_callers and len(self._new_callers) >= MOST_CLIENTS:
            self._new_callers.clear()
        self._new_callers[kind] = new_caller

    def _kind(self, request: Request, call: ToolCall) -> _Kind | None:
        """Return the kind of a call, None to leave it to the SDK."""
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
        """Tell whether headers that the tool requires for its arguments are missing or wrong."""
        schema_of = self._server.get_tool_input_schema
        schema = None if schema_of is None else schema_of(call.tool)
        if schema is None:
            return False
        return validate_mcp_param_headers(schema, call.arguments, request.headers) is not None


def _may_be_call(scope: Scope) -> bool:
    """Tell whether a request may be a call: without a session, and as the SDK requires it."""
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
    """Tell whether the headers of a modern client's request repeat its body, each once."""
    names = [name for name, _value in request.headers.items()]
    expected = (version, "tools/call", call.tool)
    return (
        call.envelope.get(PROTOCOL_VERSION_META_KEY) == version
        and CLIENT_CAPABILITIES_META_KEY in call.envelope
        and tuple(request.headers.get(name) for name in _ROUTING) == expected
        and not call.tool.startswith("=?")
        and all(names.count(name) == 1 for name in _ROUTING)
        and not any(name.startswith(_PARAM) for name in names)
    )


async def _send_event(line: bytes, send: Send) -> None:
    """Send a line as a stream of one event, as the SDK does."""
    await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS]})
    await send({"type": "http.response.body", "body": EVENT % line, "more_body": False})


def _modern_reply(number: int | str, answer: Answer, server: FabricServer) -> bytes:
    """Return the body in which the SDK of `server` would send `answer` to a modern client."""
    result = result_of(answer, server.meta) | {"resultType": "complete"}
    result.setdefault("_meta", {})[SERVER_INFO_META_KEY] = server.server_info_stamp
    message = {"jsonrpc": "2.0", "id": number, "result": result}
    return json.dumps(message, separators=(",", ":")).encode()


def replayed(begun: Message, receive: Receive) -> Receive:
    """Return a `receive` that yields `begun` first, and then what `receive` yields."""
    first = [begun]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay
