"""What the peer said outside of MCP: HTTP statuses, Retry-After, the last line on stderr.

The SDK reports most HTTP errors without their status. An `Exchange` is put into `CURRENT` by the
task that sends, and filled in by the transport, which runs in the same context.
"""

from __future__ import annotations

import re
import ssl
import time
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from http import HTTPStatus
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
from context7_fabric.upstream.replies import UNREADABLE

BAD_REQUEST, UNAUTHORIZED, PAYMENT_REQUIRED, NOT_FOUND, GONE = 400, 401, 402, 404, 410
TOO_MANY_REQUESTS, CLIENT_ERRORS, SERVER_ERRORS, UNAVAILABLE = 429, 400, 500, 503
SESSION_HEADER = "mcp-session-id"
SESSION_NOT_FOUND = -32001
"""The code that MCP servers answer where a session is unknown. The SDK has it for time-outs."""

_LIMITS = (PAYMENT_REQUIRED, TOO_MANY_REQUESTS)
_NO_STATUS = "no meaning is known"
_MEANINGS = {
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


@dataclass(slots=True)
class Exchange:
    """The last response to what one task sent, and the last words of a child process."""

    status: int | None = None
    retry_after: float | None = None
    in_session: bool = False
    last_words: str = ""

    async def note(self, response: httpx2.Response) -> None:
        """Take note of a response and of the session that its request belonged to."""
        headers = response.headers
        self.status = response.status_code
        self.retry_after = retry_seconds(headers.get("retry-after"), headers.get("date"))
        self.in_session = SESSION_HEADER in response.request.headers

    @property
    def limited(self) -> bool:
        """Tell whether the response limits the calls of this credential."""
        return self.status in _LIMITS

    @property
    def failed(self) -> bool:
        """Tell whether the status is an error."""
        return self.status is not None and self.status >= CLIENT_ERRORS

    @property
    def refused(self) -> bool:
        """Tell whether the status blames the request: to connect again will not help."""
        return self.status is not None and CLIENT_ERRORS <= self.status < SERVER_ERRORS

    @property
    def described(self) -> str:
        """The status with its meaning."""
        return describe_status(self.status or 0)


CURRENT: ContextVar[Exchange | None] = ContextVar("CURRENT", default=None)
"""The exchange of the running task."""


async def watch(response: httpx2.Response) -> None:
    """Let the exchange of the task that sent the request take note of the response."""
    exchange = CURRENT.get()
    if exchange is not None:
        await exchange.note(response)


def describe_status(status: int) -> str:
    """Return an HTTP status with a short meaning."""
    advice = ": check CONTEXT7_API_KEY" if status == UNAUTHORIZED else ""
    return f"HTTP {status} ({_meaning(status)}){advice}"


def _meaning(status: int) -> str:
    if status in _MEANINGS:
        return _MEANINGS[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        pass
    if status >= SERVER_ERRORS:
        return "a server error"
    return "a client error" if status >= CLIENT_ERRORS else _NO_STATUS


def retry_seconds(text: str | None, date: str | None = None) -> float | None:
    """Read a Retry-After header: seconds, or an HTTP date, counted from the response's own `date`.

    None for anything else, a negative number among it.
    """
    text = (text or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    at = _moment(text)
    if at is None:
        return None
    return max(0.0, at - (_moment(date) or time.time()))


def _moment(text: str | None) -> float | None:
    """Return an HTTP date in epoch seconds; one without a zone is in UTC."""
    if not text:
        return None
    try:
        at = parsedate_to_datetime(text)
        return _zoned(at).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def _zoned(at: datetime) -> datetime:
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


class SessionLoss(Enum):
    """Whether an error says that upstream does not know our session any more."""

    NONE = auto()
    POSSIBLE = auto()
    CERTAIN = auto()


def session_loss(code: int, message: str, exchange: Exchange, *, said_by_peer: bool) -> SessionLoss:
    """Read an error reply; `said_by_peer` unless the SDK made it up from a status alone."""
    about_session = said_by_peer and (code == SESSION_NOT_FOUND or is_about_session(message))
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


def is_about_session(text: str) -> bool:
    """Tell whether an error text speaks of a session or its beginning."""
    return _SESSION.search(text) is not None


def tells_of_lost_session(text: str) -> bool:
    """Tell whether a tool's error result says that a session is lost: a stricter look."""
    return len(text) <= _LONGEST_ERROR and _LOST_SESSION.search(text) is not None


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


def loss_in(error: MCPError, exchange: Exchange) -> SessionLoss:
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
