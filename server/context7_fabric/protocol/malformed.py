"""What is wrong with the body of a POST that is no message of JSON-RPC, in one line. Pure."""

from __future__ import annotations

from typing import Final

from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import from_json

_NO_JSON: Final = "Parse error: the body is no JSON"
_NO_MESSAGE: Final = "Invalid Request: the body is not one message of JSON-RPC 2.0"


def complaint_about(body: bytes) -> bytes | None:
    """Return the error that answers `body`, None where it is a message; repeats nothing of it."""
    try:
        jsonrpc_message_adapter.validate_python(from_json(body), by_name=False)
    except ValidationError:
        return _error(INVALID_REQUEST, _NO_MESSAGE)
    except ValueError:
        return _error(PARSE_ERROR, _NO_JSON)
    return None


def _error(code: int, text: str) -> bytes:
    error = JSONRPCError(jsonrpc="2.0", id=None, error=ErrorData(code=code, message=text))
    return error.model_dump_json(by_alias=True, exclude_unset=True).encode()
