"""Each cause of a failed download has a text of its own."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass

import pytest

from context7_fabric.embedding import download_reason


@dataclass
class Response:
    """The part of a response that a hub's client keeps."""

    status_code: int


class HubError(Exception):
    """An error of a hub's client, with a response if there was one."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.response = None if status is None else Response(status)


def caused(error: Exception, cause: Exception) -> Exception:
    """An error as `raise error from cause` leaves it."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (HubError("cannot send", 404), "HTTP 404 (Not Found): it has no such model"),
        (HubError("gated", 403), "HTTP 403 (Forbidden): it denies access"),
        (HubError("odd", 799), "HTTP 799 (an unknown status)"),
        (HubError("slow down", 429), "HTTP 429 (Too Many Requests): it limits"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system"), "the disk is read-only"),
        (PermissionError(errno.EACCES, "Permission denied"), "the folder cannot be written"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), "TLS failed"),
        (HubError("certificate verify failed: self-signed"), "TLS failed"),
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "refuses connections"),
        (HubError("All connection attempts failed: Network is unreachable"), "there is no network"),
        (TimeoutError("timed out"), "did not answer in time"),
        (HubError("peer closed connection without a complete body"), "is incomplete"),
        (HubError("Consistency check failed: file should be of size 9"), "is incomplete"),
        (HubError("something else"), "HubError: something else"),
    ],
)
def test_a_failed_download_names_its_cause(error: Exception, message: str) -> None:
    assert message in download_reason(error)
    if not message.startswith("HubError"):
        wrapped = caused(ValueError("no source"), caused(HubError("cannot locate"), error))
        assert download_reason(wrapped) == download_reason(error)
