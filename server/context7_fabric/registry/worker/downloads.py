"""Why a download failed, from the errors of whichever HTTP client a hub's library is built on."""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Iterator
from http import HTTPStatus

_LONGEST = 200
_DISK = {
    errno.ENOSPC: "the disk is full: free some room",
    errno.EDQUOT: "your quota of the disk is used up: free some room",
    errno.EACCES: "the folder cannot be written: check its permissions",
    errno.EPERM: "the folder cannot be written: check its permissions",
    errno.EROFS: "the disk is read-only: choose another folder",
}
_ADVICE = {
    HTTPStatus.UNAUTHORIZED: "it wants a login",
    HTTPStatus.FORBIDDEN: "it denies access, or a proxy does",
    HTTPStatus.NOT_FOUND: "it has no such model",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "the proxy wants a login",
    HTTPStatus.TOO_MANY_REQUESTS: "it limits the rate of downloads: try again later",
}
_TLS = "TLS failed: SSL_CERT_FILE names the certificates of a proxy"
_SIGNS = (
    (r"SSL|TLS|certificate", _TLS),
    (r"proxy", "the proxy cannot be used: check HTTPS_PROXY"),
    (
        (
            r"name or service not known|name resolution|nodename nor servname|getaddrinfo"
            r"|no address associated"
        ),
        "the name of the host cannot be resolved: is there a network?",
    ),
    (r"network is unreachable|no route to host", "there is no network"),
    (r"connection refused", "the host refuses connections"),
    (r"timed? ?out", "the host did not answer in time: try again"),
    (
        (
            r"consistency|checksum|corrupt|incomplete|size of|content[ -]length|peer closed"
            r"|disconnected|connection reset|broken pipe"
        ),
        "the download broke off and is incomplete: try again",
    ),
)
_PATTERNS = tuple((re.compile(sign, re.IGNORECASE), reason) for sign, reason in _SIGNS)


def download_reason(error: BaseException) -> str:
    """Return one line: what went wrong, by the innermost cause that is known, and what to do."""
    causes = list(_chain(error))
    found = (reason for cause in reversed(causes) if (reason := _reason(cause)) is not None)
    return next(found, None) or _line(causes[0])


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what caused it, each once."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _reason(error: BaseException) -> str | None:
    if isinstance(error, ssl.SSLError):  # its numbers are no errno
        return _TLS
    if isinstance(error, OSError) and error.errno in _DISK:
        return _DISK[error.errno]
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return _told_status(status)
    line = _line(error)
    return next((reason for sign, reason in _PATTERNS if sign.search(line)), None)


def _told_status(status: int) -> str:
    try:
        meaning = HTTPStatus(status).phrase
    except ValueError:
        meaning = "an unknown status"
    advice = _ADVICE.get(HTTPStatus(status)) if status in set(HTTPStatus) else None
    told = f"the server answered HTTP {status} ({meaning})"
    return f"{told}: {advice}" if advice else told


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())[:_LONGEST]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
