"""Messages of JSON-RPC from bytes, read as leniently as Context7's own server reads them. Pure."""

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

_NO_JSON: Final = "Parse error: the message is not JSON, or is nested too deeply"
_NO_MESSAGE: Final = "Invalid Request: this is not one message of JSON-RPC 2.0"
_NO_ID: Final = (
    f"Invalid Request: an id is a whole number, or text of up to {LONGEST_ID:,} characters"
)


class InvalidMessage(ValueError):
    """Bytes that are no message; `reply` answers them, and repeats nothing but their id."""

    def __init__(self, code: int, text: str, number: RequestId | None) -> None:
        """Keep the answer."""
        super().__init__(text)
        error = JSONRPCError(jsonrpc="2.0", id=number, error=ErrorData(code=code, message=text))
        self.reply = error.model_dump_json(by_alias=True, exclude_unset=True).encode()


def read_message(data: bytes) -> JSONRPCMessage:
    """Return the message that `data` is; nearly all are requests, and looked at as such first.

    Raises:
        NotAMessage: It is none.
    """
    try:
        request = JSONRPCRequest.model_validate_json(data, by_name=False)
    except ValueError:
        value, clean = read_json(data)
        return as_message(value, clean)
    _check_id(request.id)
    return request


def read_json(data: bytes) -> tuple[Any, bytes]:
    """Return what `data` says, and `data` itself, mended where only that makes it JSON.

    Raises:
        NotAMessage: It is not JSON, or nested too deeply.
    """
    try:
        return from_json(data), data
    except ValueError:
        clean = mended(data) or b""
    try:
        return from_json(clean), clean
    except ValueError as error:
        raise InvalidMessage(PARSE_ERROR, _NO_JSON, id_in(data)) from error


def as_message(value: object, data: bytes) -> JSONRPCMessage:
    """Return the message that the JSON in `data` says.

    Raises:
        NotAMessage: It says none.
    """
    if isinstance(value, dict) and "method" in value and "id" in value:
        value = value | {"id": as_id(value["id"])}
        _check_id(value["id"])
    try:
        return jsonrpc_message_adapter.validate_python(value, by_name=False)
    except ValidationError as error:
        raise InvalidMessage(INVALID_REQUEST, _NO_MESSAGE, id_in(data)) from error


def _check_id(number: object) -> None:
    """Refuse an id that JSON-RPC does not know.

    Raises:
        NotAMessage: It is one.
    """
    is_text = isinstance(number, str) and len(number) <= LONGEST_ID
    if not is_text and type(number) is not int:
        raise InvalidMessage(INVALID_REQUEST, _NO_ID, None)
