"""JSON-RPC messages from bytes, read as leniently as Context7's own server reads them. Pure."""

from __future__ import annotations

from typing import Any, Final

from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCRequest,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import from_json

from context7_fabric.lenient_json import as_id, id_in, mended

LONGEST_ID: Final = 4096
"""Characters of an id that is answered."""


class InvalidMessage(ValueError):
    """Bytes are no message; `reply` answers them, and repeats nothing but their id."""

    def __init__(self, code: int, text: str, number: RequestId | None) -> None:
        """Build the reply."""
        super().__init__(text)
        error = JSONRPCError(jsonrpc="2.0", id=number, error=ErrorData(code=code, message=text))
        self.reply = error.model_dump_json(by_alias=True, exclude_unset=True).encode()


def read_message(data: bytes) -> JSONRPCMessage:
    """Return the message in `data`; nearly all are requests, which is tried first.

    Raises:
        InvalidMessage: It is none.
    """
    try:
        request = JSONRPCRequest.model_validate_json(data, by_name=False)
    except ValueError:
        value, clean = read_json(data)
        return as_message(value, clean)
    _check_id(request.id)
    return request


def read_json(data: bytes) -> tuple[Any, bytes]:
    """Return the value of `data`, and `data` itself, changed only where it has to be.

    Raises:
        InvalidMessage: It is not JSON, or nested too deeply.
    """
    try:
        return from_json(data), data
    except ValueError:
        clean = mended(data) or b""
    try:
        return from_json(clean), clean
    except ValueError as error:
        text = "Parse error: the message is not JSON, or is nested too deeply"
        raise InvalidMessage(PARSE_ERROR, text, id_in(data)) from error


def as_message(value: object, data: bytes) -> JSONRPCMessage:
    """Return the message that `value`, the JSON in `data`, is.

    Raises:
        InvalidMessage: It is none.
    """
    if isinstance(value, dict) and "method" in value and "id" in value:
        value = value | {"id": as_id(value["id"])}
        _check_id(value["id"])
    try:
        return jsonrpc_message_adapter.validate_python(value, by_name=False)
    except ValidationError as error:
        text = "Invalid Request: this is not one message of JSON-RPC 2.0"
        raise InvalidMessage(INVALID_REQUEST, text, id_in(data)) from error


def _check_id(number: object) -> None:
    """Refuse an id that JSON-RPC does not allow.

    Raises:
        InvalidMessage: It is one.
    """
    is_text = isinstance(number, str) and len(number) <= LONGEST_ID
    if not is_text and type(number) is not int:
        text = f"an id is a whole number, or text of up to {LONGEST_ID:,} characters"
        raise InvalidMessage(INVALID_REQUEST, f"Invalid Request: {text}", None)
