"""What the peer said outside of MCP: HTTP statuses, Retry-After, the last line on stderr.

The SDK reports most HTTP errors without their status. An `Exchange` is put into `CURRENT` by the
task that sends, and filled in by the transport, which runs in the same context.
"""

from __future__ import annotations

import re
import time
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from http import HTTPStatus

import httpx2

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


class Loss(Enum):
    """Whether an error says that upstream does not know our session any more."""

    NONE = auto()
    POSSIBLE = auto()
    CERTAIN = auto()


def session_loss(code: int, message: str, exchange: Exchange, *, said_by_peer: bool) -> Loss:
    """Read an error reply; `said_by_peer` unless the SDK made it up from a status alone."""
    about_session = said_by_peer and (code == SESSION_NOT_FOUND or is_about_session(message))
    status, in_session = exchange.status, exchange.in_session
    if exchange.limited:
        return Loss.NONE
    if in_session and status in (NOT_FOUND, GONE):
        return Loss.CERTAIN
    if status == BAD_REQUEST and (about_session or (in_session and not said_by_peer)):
        return Loss.CERTAIN
    unsaid = exchange.refused and not said_by_peer
    possible = about_session or unsaid or status in (UNAUTHORIZED, UNAVAILABLE)
    return Loss.POSSIBLE if possible else Loss.NONE


def is_about_session(text: str) -> bool:
    """Tell whether an error text speaks of a session or its beginning."""
    return _SESSION.search(text) is not None


def tells_of_lost_session(text: str) -> bool:
    """Tell whether a tool's error result says that a session is lost: a stricter look."""
    return len(text) <= _LONGEST_ERROR and _LOST_SESSION.search(text) is not None
