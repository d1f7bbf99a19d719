"""Why upstream gave no answer, in one line for users: from the SDK's errors and HTTP statuses."""

from __future__ import annotations

import re
import ssl
from typing import TypeVar

import httpx2
import mcp_types as types
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from context7_fabric.errors import (
    UpstreamError,
    UpstreamLimited,
    UpstreamRejected,
    UpstreamUnreachable,
    UpstreamUnreadable,
)
from context7_fabric.upstream.exchange import SERVER_ERRORS, Exchange, Loss, session_loss
from context7_fabric.upstream.mending import UNREADABLE

E = TypeVar("E", bound=BaseException)

_ERRNO = re.compile(r"^\[Errno -?\d+\] ")
_FROM_STATUS = frozenset({"Server returned an error response", "Session terminated", "Not Found"})
"""Messages that the SDK gives to a response without a JSON-RPC error in its body."""
_OTHER_TYPE = "Unexpected content type:"
"""How the SDK begins an error of its own about a response of neither JSON nor events."""

_LONGEST_TYPE = 60

_BROKEN = re.compile(r"Connection closed$|SSE stream ", re.ASCII)


def breaks_connection(error: MCPError) -> bool:
    """Tell whether the connection broke; servers answer the same code for other errors."""
    return error.code == types.CONNECTION_CLOSED and _BROKEN.match(error.message) is not None


def loss_in(error: MCPError, exchange: Exchange) -> Loss:
    """Tell whether `error` says that upstream does not know our session any more."""
    said_by_peer = error.message not in _FROM_STATUS
    return session_loss(error.code, error.message, exchange, said_by_peer=said_by_peer)


def rejection(label: str, exchange: Exchange, error: MCPError | None = None) -> UpstreamError:
    """Return the error for a reply that upstream itself, or a gateway before it, refused with."""
    if exchange.limited:
        return UpstreamLimited(label, exchange.retry_after, exchange.status)
    code = types.INTERNAL_ERROR if error is None else error.code
    unreadable = None if error is None else _unreadable(error.message)
    if unreadable is not None:
        return UpstreamUnreadable(label, unreadable)
    said = "" if error is None or error.message in _FROM_STATUS else error.message
    if said and not exchange.failed:
        return UpstreamRejected(code, said)
    if said:
        return UpstreamRejected(code, f"{said.rstrip('.')} ({exchange.described})")
    if (exchange.status or 0) >= SERVER_ERRORS:
        return UpstreamUnreachable(label, f"it answered {exchange.described}")
    return UpstreamRejected(code, f"Context7 at {label} answered {exchange.described}")


def _unreadable(message: str) -> str | None:
    """Return why a reply cannot be read; None where `message` is upstream's own."""
    if message == UNREADABLE:
        return "it is no JSON-RPC"
    if message.startswith(_OTHER_TYPE):
        media_type = message.removeprefix(_OTHER_TYPE).partition(";")[0].strip()
        return f"its type is {media_type[:_LONGEST_TYPE]!r}"
    return None


def connection_reason(error: BaseException, exchange: Exchange, seconds: float) -> str:
    """Return one line about the innermost cause of a connection that could not be made."""
    error = _innermost(error)
    told = _told(error, exchange, seconds)
    return f"{told}: {exchange.last_words}" if exchange.last_words else told


def innermost(error: BaseException, kind: type[E]) -> E | None:
    """Return the innermost cause of `error` if it is of a kind."""
    found = _innermost(error)
    return found if isinstance(found, kind) else None


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _told(error: BaseException, exchange: Exchange, seconds: float) -> str:
    match error:
        case FileNotFoundError():
            return f"command not found: {error.filename}"
        case httpx2.ConnectTimeout():
            return "no TCP or TLS connection in time"
        case TimeoutError():
            return f"no connection within {seconds:g} s"
        case ValidationError():
            return "its reply to the handshake is malformed"
        case MCPError():
            return _told_by_peer(error, exchange)
        case _:
            return _text_of(error)


def _told_by_peer(error: MCPError, exchange: Exchange) -> str:
    if exchange.failed and error.message in _FROM_STATUS:
        return f"it answered {exchange.described}"
    if breaks_connection(error):
        return "it ended before it answered"
    return error.message


def _text_of(error: BaseException) -> str:
    text = _ERRNO.sub("", " ".join(str(error).split()))
    certificate = _cause_of(error, ssl.SSLError)
    if certificate is not None and "TLS" not in text:
        text = f"TLS failed: {text}"
    return text or type(error).__name__


def _cause_of(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
