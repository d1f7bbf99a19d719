"""Statuses, Retry-After and lost sessions are read from what an HTTP server answers."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from mcp.shared.exceptions import MCPError

from context7_fabric.upstream.failures import (
    Exchange,
    SessionLoss,
    describe_status,
    reports_lost_session,
    retry_seconds,
    session_loss,
)

DATE = "Mon, 30 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("0", 0),
        ("9" * 400, float("inf")),
        ("Mon, 30 Nov 2026 12:01:30 GMT", 90),
        ("Mon, 30 Nov 2026 12:01:30 -0000", 90),
        ("Mon, 30 Nov 2026 11:00:00 GMT", 0),
        ("Monday, 30-Nov-26 12:00:10 GMT", 10),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(text: str, seconds: float) -> None:
    assert retry_seconds(text, DATE) == seconds


@pytest.mark.parametrize(
    "text",
    [None, "", "-5", "soon", "²", "12 minutes", "1e3", "nan", "99999999999999", "Mon, 99 Foo 2026"],
)
def test_retry_after_that_is_neither_counts_for_nothing_or_is_bounded(text: str | None) -> None:
    read = retry_seconds(text, DATE)
    assert read is None or read > 0


@pytest.mark.parametrize("ahead", [-30 * 86400, 30 * 86400])
def test_a_date_counts_from_the_servers_own_clock(ahead: float) -> None:
    now = time.time() + ahead
    assert retry_seconds(formatdate(now + 60, usegmt=True), formatdate(now, usegmt=True)) == 60


@pytest.mark.parametrize(
    ("status", "described"),
    [
        (403, "HTTP 403 (Forbidden)"),
        (418, "HTTP 418 (I'm a Teapot)"),
        (502, "HTTP 502 (Bad Gateway)"),
        (522, "HTTP 522 (origin did not accept the connection in time)"),
        (524, "HTTP 524 (origin did not answer in time)"),
        (498, "HTTP 498 (a client error)"),
        (777, "HTTP 777 (a server error)"),
        (401, "HTTP 401 (Unauthorized): check CONTEXT7_API_KEY"),
    ],
)
def test_describe_status_adds_its_meaning(status: int, described: str) -> None:
    assert describe_status(status) == described


@pytest.mark.parametrize(
    ("status", "in_session", "said", "loss"),
    [
        (404, True, "", SessionLoss.CERTAIN),
        (410, True, "", SessionLoss.CERTAIN),
        (400, True, "", SessionLoss.CERTAIN),
        (400, False, "Missing session", SessionLoss.CERTAIN),
        (400, True, "Invalid arguments", SessionLoss.NONE),
        (404, False, "", SessionLoss.POSSIBLE),
        (401, False, "", SessionLoss.POSSIBLE),
        (503, True, "", SessionLoss.POSSIBLE),
        (200, False, "Session not found", SessionLoss.POSSIBLE),
        (None, False, "Server not initialized", SessionLoss.POSSIBLE),
        (200, True, "Tool query-docs not found", SessionLoss.NONE),
        (500, True, "", SessionLoss.NONE),
        (None, False, "quota exceeded", SessionLoss.NONE),
    ],
)
def test_session_loss_follows_status_and_words(
    status: int | None, in_session: bool, said: str, loss: SessionLoss
) -> None:
    exchange = Exchange(status, in_session=in_session)
    error = MCPError(-32603, said or "Server returned an error response")
    assert session_loss(error, exchange) is loss


@pytest.mark.parametrize(
    ("text", "is_lost"),
    [
        ("Session 12 not found", True),
        ("Error: no active session for this client", True),
        ("MCP error -32000: Server not initialized", True),
        ("The session parameter must be a string", False),
        ("How to keep a database session open", False),
        ("session not found " * 40, False),
    ],
)
def test_tool_error_reports_a_lost_session_only_in_plain_words(text: str, is_lost: bool) -> None:
    assert reports_lost_session(text) is is_lost
