"""Failures of the connection to Context7: HTTP statuses, Retry-After, lost sessions, reasons.

The SDK reports most HTTP errors without their status. The task that sends puts an `Exchange` into
`CURRENT`, and the transport, which runs in the same context, fills it in.
"""

from __future__ import annotations

import re
import ssl
import time
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from http import HTTPStatus

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
from context7_fabric.upstream.replies import UNREADABLE

BAD_REQUEST, UNAUTHORIZED, PAYMENT_REQUIRED, NOT_FOUND, GONE = 400, 401, 402, 404, 410
TOO_MANY_REQUESTS, CLIENT_ERRORS, SERVER_ERRORS, UNAVAILABLE = 429, 400, 500, 503
SESSION_HEADER = "mcp-session-id"
SESSION_NOT_FOUND = -32001
"""Code that MCP servers answer for an unknown session; the SDK uses it for time-outs."""

_LIMITS = (PAYMENT_REQUIRED, TOO_MANY_REQUESTS)
_GATEWAY_MEANINGS = {
    499: "client closed request",
    520: "unknown error at the origin",
    521: "origin is down",
    522: "origin did not accept the connection in time",
    523: "origin is unreachable",
    524: "origin did not answer in time",
    525: "TLS handshake with the origin failed",
    526: "invalid TLS certificate of the origin",
    530: "origin error",
}
"""Meanings of statuses that gateways use beside the registered ones."""

_SECONDS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_SESSION = re.compile(r"session|initiali[sz]|no (?:active )?transport|not connected", re.IGNORECASE)
_LOST_SESSION = re.compile(
    r"session.{0,80}(?:not found|unknown|invalid|expired|terminated|missing|closed|lost|gone"
    r"|no longer|not exist|timed out)"
    r"|(?:no|unknown|invalid|expired|missing|lost)\b.{0,40}session"
    r"|not (?:yet )?(?:initiali[sz]ed|connected)",
    re.IGNORECASE,
)
_LONGEST_ERROR = 400
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")
_FROM_STATUS = frozenset({"Server returned an error response", "Session terminated", "Not Found"})
"""Messages that the SDK gives to a response without a JSON-RPC error in its body."""

_OTHER_TYPE = "Unexpected content type:"
"""Beginning of the SDK's own error about a response that is neither JSON nor events."""

_LONGEST_TYPE = 60
_BROKEN = re.compile(r"Connection closed$|SSE stream ", re.ASCII)


@dataclass(slots=True)
class Exchange:
    """Last HTTP response to what one task sent, and the last line of a child's stderr."""

    status: int | None = None
    retry_after: float | None = None
    in_session: bool = False
    last_words: str = ""

    async def note(self, response: httpx2.Response) -> None:
        """Note a response, and whether its request belonged to a session."""
        headers = response.headers
        self.status = response.status_code
        self.retry_after = retry_seconds(headers.get("retry-after"), headers.get("date"))
        self.in_session = SESSION_HEADER in response.request.headers

    @property
    def limited(self) -> bool:
        """True if the response limits the calls of this credential."""
        return self.status in _LIMITS

    @property
    def failed(self) -> bool:
        """True if the status is an error."""
        return self.status is not None and self.status >= CLIENT_ERRORS

    @property
    def refused(self) -> bool:
        """True if the status blames the request, so that another connection will not help."""
        return self.status is not None and CLIENT_ERRORS <= self.status < SERVER_ERRORS

    @property
    def described(self) -> str:
        """The status with its meaning."""
        return describe_status(self.status or 0)


CURRENT: ContextVar[Exchange | None] = ContextVar("CURRENT", default=None)
"""Exchange of the running task."""


async def watch(response: httpx2.Response) -> None:
    """Note the response in the exchange of the task that sent the request."""
    exchange = CURRENT.get()
    if exchange is not None:
        await exchange.note(response)


def describe_status(status: int) -> str:
    """Return an HTTP status with a short meaning."""
    advice = ": check CONTEXT7_API_KEY" if status == UNAUTHORIZED else ""
    return f"HTTP {status} ({_meaning(status)}){advice}"


def _meaning(status: int) -> str:
    if status in _GATEWAY_MEANINGS:
        return _GATEWAY_MEANINGS[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        pass
    if status >= SERVER_ERRORS:
        return "a server error"
    return "a client error" if status >= CLIENT_ERRORS else "no meaning is known"


def retry_seconds(text: str | None, date: str | None = None) -> float | None:
    """Read a Retry-After header: seconds, or an HTTP date, counted from the response's own `date`.

    None for anything else, a negative number included.
    """
    text = (text or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    at = _moment(text)
    return None if at is None else max(0.0, at - (_moment(date) or time.time()))


def _moment(text: str | None) -> float | None:
    """Return an HTTP date in epoch seconds; one without a zone is in UTC."""
    try:
        at = parsedate_to_datetime(text or "")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


class SessionLoss(Enum):
    """Likelihood that upstream has lost our session."""

    NONE = auto()
    POSSIBLE = auto()
    CERTAIN = auto()


def session_loss(error: MCPError, exchange: Exchange) -> SessionLoss:
    """Return whether an error reply means that upstream has lost our session."""
    said_by_peer = error.message not in _FROM_STATUS
    about_session = said_by_peer and (
        error.code == SESSION_NOT_FOUND or _SESSION.search(error.message) is not None
    )
    status, in_session = exchange.status, exchange.in_session
    if exchange.limited:
        return SessionLoss.NONE
    if in_session and status in (NOT_FOUND, GONE):
        return SessionLoss.CERTAIN
    if status == BAD_REQUEST and (about_session or (in_session and not said_by_peer)):
        return SessionLoss.CERTAIN
    unsaid = exchange.refused and not said_by_peer
    possible = about_session or unsaid or status in (UNAUTHORIZED, UNAVAILABLE)
    return SessionLoss.POSSIBLE if possible else SessionLoss.NONE


def reports_lost_session(text: str) -> bool:
    """Return whether a tool's error result says that a session is lost: a stricter test."""
    return len(text) <= _LONGEST_ERROR and _LOST_SESSION.search(text) is not None


def breaks_connection(error: MCPError) -> bool:
    """Return whether the connection broke; servers answer the same code for other errors."""
    return error.code == types.CONNECTION_CLOSED and _BROKEN.match(error.message) is not None


def rejection(label: str, exchange: Exchange, error: MCPError | None = None) -> UpstreamError:
    """Return the error for a call that upstream, or a gateway before it, rejected."""
    if exchange.limited:
        return UpstreamLimited(label, exchange.retry_after, exchange.status)
    code, message = (error.code, error.message) if error else (types.INTERNAL_ERROR, "")
    if unreadable := _unreadable(message):
        return UpstreamUnreadable(label, unreadable)
    if message and message not in _FROM_STATUS:
        status = f" ({exchange.described})" if exchange.failed else ""
        return UpstreamRejected(code, f"{message.rstrip('.')}{status}" if status else message)
    if (exchange.status or 0) >= SERVER_ERRORS:
        return UpstreamUnreachable(label, f"it answered {exchange.described}")
    return UpstreamRejected(code, f"Context7 at {label} answered {exchange.described}")


def _unreadable(message: str) -> str | None:
    """Return why a reply cannot be read; None where `message` is upstream's own."""
    if message == UNREADABLE:
        return "it is not JSON-RPC"
    if message.startswith(_OTHER_TYPE):
        media_type = message.removeprefix(_OTHER_TYPE).partition(";")[0].strip()
        return f"its type is {media_type[:_LONGEST_TYPE]!r}"
    return None


def innermost(error: BaseException) -> BaseException:
    """Return the first error inside of exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def connection_reason(error: BaseException, exchange: Exchange, seconds: float) -> str:
    """Return in one line why a connection could not be made, by the innermost error."""
    reason = _reason(error, exchange, seconds)
    return f"{reason}: {exchange.last_words}" if exchange.last_words else reason


def _reason(error: BaseException, exchange: Exchange, seconds: float) -> str:
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
            return _peers_reason(error, exchange)
        case _:
            return _text_of(error)


def _peers_reason(error: MCPError, exchange: Exchange) -> str:
    if exchange.failed and error.message in _FROM_STATUS:
        return f"it answered {exchange.described}"
    return "it ended before it answered" if breaks_connection(error) else error.message


def _text_of(error: BaseException) -> str:
    text = _ERRNO.sub("", " ".join(str(error).split()))
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None and "TLS" not in text:
        text = f"TLS failed: {text}"
    return text or type(error).__name__
