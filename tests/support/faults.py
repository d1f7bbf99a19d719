"""Faults of Context7's API, as values.

A `Fault` says how a reply differs from the true one; `Api.fail` puts it in force. `FAILURES` names
those whose text is neither documentation nor a list of libraries, whatever their status says. Where
a fault has no message, the real servers say a sentence of their own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Literal

Endpoint = Literal["search", "docs"]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A complete HTTP reply."""

    status: int = 200
    body: bytes = b""
    media_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Difference between a reply and the true one; the fields combine.

    `{subject}` in a message becomes the library id or the name that was asked for.
    """

    status: int | None = None
    code: str | None = None
    message: str | None = None
    body: bytes | None = None
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: float = 0
    cut: Literal["whole", "half"] | None = None
    filtered: bool = False

    def reply(self, subject: str, true: Reply) -> Reply:
        headers = {**true.headers, **self.headers}
        if self.status is None:
            return Reply(
                status=true.status, body=true.body, media_type=true.media_type, headers=headers
            )
        body = self.body if self.body is not None else self._problem(subject)
        return Reply(status=self.status, body=body, media_type=self.media_type, headers=headers)

    def said(self, subject: str) -> str | None:
        return self.message and self.message.replace("{subject}", subject)

    def _problem(self, subject: str) -> bytes:
        parts = {"error": self.code, "message": self.said(subject)}
        return json.dumps({name: part for name, part in parts.items() if part}).encode()


def problem(status: int, code: str | None = None, message: str | None = None) -> Fault:
    """An error reply of the API: JSON with an error code and perhaps a message."""
    return Fault(status=status, code=code, message=message)


def rate_limited(retry_after: int) -> Fault:
    limits = {"Retry-After": retry_after, "RateLimit-Limit": 60, "RateLimit-Remaining": 0}
    headers = {name: str(value) for name, value in limits.items()}
    return Fault(
        status=429,
        code="rate_limit_exceeded",
        headers={**headers, "RateLimit-Reset": str(retry_after)},
    )


def slow(seconds: float) -> Fault:
    """The true reply, late; `Api.heal` and `Api.release` end the wait."""
    return Fault(hold=seconds)


RATE_LIMITED = problem(429, "rate_limit_exceeded")
QUOTA_SPENT = problem(
    429,
    "monthly_quota_exceeded",
    "Monthly quota exceeded. Create a free API key at https://context7.com/dashboard"
    " for more requests.",
)
INVALID_KEY = problem(401, "invalid_api_key")
SPENDING_LIMIT = problem(402, "spending_limit_exceeded", "The spending limit is reached.")
FORBIDDEN = problem(403, "forbidden", "This key may not read that library.")
LIBRARY_MISSING = problem(
    404,
    "library_not_found",
    'Library "{subject}" not found. Please check the library ID or your access permissions.',
)
LIBRARY_MISSING_WORDLESS = problem(404, "library_not_found")
NO_LIBRARIES = problem(
    404, "no_libraries_found", 'No libraries found for "{subject}". Try a different search term.'
)
NO_RESULTS = Fault(status=200, body=b'{"results": [], "searchFilterApplied": false}')
NOT_FINALIZED = problem(202, "library_not_finalized", "Library {subject} is still being read.")
UNPROCESSABLE = problem(422, "unprocessable", "The library {subject} could not be processed.")
SERVER_ERROR = problem(500, "internal_error", "Something went wrong on our side.")
SEARCH_FAILED = problem(503, "search_failed", "The search is not available at the moment.")
GATEWAY_TIMEOUT = Fault(
    status=504, media_type="text/html", body=b"<html><title>504</title>Gateway time-out</html>"
)
WORDLESS = problem(500)
EMPTY = Fault(status=200, body=b"")
HTML_PAGE = Fault(
    status=200, media_type="text/html", body=b"<!doctype html><title>Sign in</title><p>Hotel Wi-Fi"
)
BINARY = Fault(status=200, media_type="application/octet-stream", body=bytes(range(256)))
HANGING = Fault(hold=inf)
CLOSED = Fault(cut="whole")
CLOSED_HALFWAY = Fault(cut="half")
AUTH_PROMPT = Fault(headers={"X-Context7-Auth-Prompt": "1"})
FILTERED = Fault(filtered=True)

FAILURES: Mapping[str, Fault] = {
    "rate limited": RATE_LIMITED,
    "rate limited, with Retry-After": rate_limited(17),
    "quota spent": QUOTA_SPENT,
    "invalid key": INVALID_KEY,
    "spending limit": SPENDING_LIMIT,
    "forbidden": FORBIDDEN,
    "library missing": LIBRARY_MISSING,
    "library missing, wordless": LIBRARY_MISSING_WORDLESS,
    "no libraries": NO_LIBRARIES,
    "not finalized": NOT_FINALIZED,
    "unprocessable": UNPROCESSABLE,
    "server error": SERVER_ERROR,
    "search failed": SEARCH_FAILED,
    "gateway time-out": GATEWAY_TIMEOUT,
    "wordless": WORDLESS,
    "empty": EMPTY,
    "HTML page": HTML_PAGE,
    "binary": BINARY,
    "closed": CLOSED,
    "closed halfway": CLOSED_HALFWAY,
}
