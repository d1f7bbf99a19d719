"""A line on the wire is the message that JSON-RPC says it is."""

from __future__ import annotations

import asyncio

import mcp_types as types
import pytest
from mcp.shared.message import SessionMessage

from context7_fabric.mcp_server.streams import LineReader, MessageReader, MessageWriter, WriteFlow


async def read(line: str) -> SessionMessage | Exception:
    """Return what a line is read as."""
    writer = MessageWriter(asyncio.WriteTransport(), WriteFlow())
    return await MessageReader(LineReader(line.encode() + b"\n"), writer).receive()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": [1]}}',
            types.JSONRPCRequest(jsonrpc="2.0", id=1, method="ping", params={"a": [1]}),
        ),
        (
            '{"jsonrpc": "2.0", "id": "x", "method": "ping"}',
            types.JSONRPCRequest(jsonrpc="2.0", id="x", method="ping"),
        ),
        (
            '{"jsonrpc": "2.0", "method": "notifications/initialized"}',
            types.JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized"),
        ),
        (
            '{"jsonrpc": "2.0", "id": 1, "result": {}}',
            types.JSONRPCResponse(jsonrpc="2.0", id=1, result={}),
        ),
        (
            '{"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "no"}}',
            types.JSONRPCError(jsonrpc="2.0", id=1, error=types.ErrorData(code=1, message="no")),
        ),
    ],
    ids=["request", "request without parameters", "notification", "result", "error"],
)
async def test_each_kind_of_message_is_read_as_itself(
    line: str, message: types.JSONRPCMessage
) -> None:
    item = await read(line)
    assert isinstance(item, SessionMessage)
    assert item.message == message
