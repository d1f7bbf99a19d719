"""Lost sessions of upstream: a new one is opened, and the call is sent once more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from context7_fabric.models import Answer, Caller, Question
from context7_fabric.runtime.app import App
from context7_fabric.runtime.runtime import open_app
from context7_fabric.upstream.circuit_breaker import FAILURES_TO_OPEN
from support.client import outcome_of, talking
from support.product import PROGRAM, product_environment
from support.scripted import settings_for
from support.sessions import Form, SessionUpstream, error_form, session_upstream, stream_form

LIBRARY = "/widgets/widget1"

CERTAIN = {
    "404 with -32001": error_form(404, -32001, "Session not found"),
    "404 with -32600": error_form(404, -32600, "Session terminated"),
    "404 with -32601": error_form(404, -32601, "Method not found"),
    "404 without an id": error_form(404, -32000, "Unknown session", null_id=True),
    "404 with a detail": Form(404, '{"detail":"Session not found"}'),
    "404 in plain text": Form(404, "session expired", "text/plain"),
    "404 in HTML": Form(404, "<html><title>404</title></html>", "text/html"),
    "404 with bad JSON": Form(404, '{"jsonrpc":"2.0","id":'),
    "404 empty": Form(404),
    "410": Form(410, "gone", "text/plain"),
    "400 no valid session": error_form(400, -32000, "Bad Request: No valid session ID provided"),
    "400 not initialized": error_form(400, -32000, "Bad Request: Server not initialized"),
    "400 header required": error_form(400, -32600, "Mcp-Session-Id header is required"),
    "400 missing": Form(400, "Missing session ID", "text/plain"),
    "400 empty": Form(400),
}
POSSIBLE = {
    "401": Form(401, '{"error":"invalid_token"}'),
    "401 empty": Form(401),
    "503": Form(503, "no such backend", "text/plain"),
    "503 in HTML": Form(503, "<h1>Service Unavailable</h1>", "text/html"),
    "200 with -32001": error_form(200, -32001, "Unknown client"),
    "200 session not found": error_form(200, -32000, "Session not found"),
    "200 not initialized": error_form(200, -32002, "Server not initialized"),
    "200 in a stream": stream_form(-32603, "No transport found for sessionId"),
    "422": error_form(422, -32602, "invalid session"),
    "403 in plain text": Form(403, "forbidden", "text/plain"),
}
FORMS = CERTAIN | POSSIBLE


@asynccontextmanager
async def warm_app(upstream: SessionUpstream, home: Path) -> AsyncIterator[App]:
    """The app in front of a server, with a connection that has answered."""
    async with open_app(settings_for(home, UPSTREAM=upstream.url)) as app:
        answer = await ask(app, "warm")
        assert answer.outcome == "miss", answer.text
        yield app


async def ask(app: App, question: str, library: str = LIBRARY) -> Answer:
    return await app.services.query(Question(library, question), Caller(app.principal))


@pytest.mark.parametrize(
    ("name", "streams"),
    [*((name, False) for name in FORMS), ("404 empty", True), ("401", True), ("400 missing", True)],
)
async def test_calls_in_a_lost_session_are_sent_again_over_one_new_session(
    home: Path, name: str, streams: bool
) -> None:
    answers: list[Answer] = []
    with session_upstream(FORMS[name], streams=streams) as upstream:
        async with warm_app(upstream, home) as app:
            before = upstream.opened
            upstream.forget()

            async def one(number: int) -> None:
                answers.append(await ask(app, f"question {number}"))

            async with anyio.create_task_group() as asking:
                for number in range(5):
                    asking.start_soon(one, number)
            lost = await app.services.call_gate.status()
    assert [each.outcome for each in answers] == ["miss"] * 5
    assert upstream.opened == before + 1
    assert lost.lost_session is not None


@pytest.mark.parametrize("name", CERTAIN)
async def test_a_session_that_is_lost_again_is_renewed_again(home: Path, name: str) -> None:
    with session_upstream(FORMS[name]) as upstream:
        async with warm_app(upstream, home) as app:
            for number in range(3):
                upstream.forget()
                assert (await ask(app, f"question {number}")).outcome == "miss"


@pytest.mark.either_mode
def test_the_product_outlives_a_gateway_that_forgets_its_sessions(home: Path) -> None:
    with session_upstream() as upstream:
        environment = product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": upstream.url})
        with talking([PROGRAM], environment) as dialogue:
            for number in range(3):
                asked = dialogue.call("query-docs", libraryId=LIBRARY, query=f"part {number}")
                assert outcome_of(asked) == "miss"
                upstream.forget()


@pytest.mark.parametrize(
    ("form", "status"),
    [
        (Form(401), "HTTP 401 (Unauthorized)"),
        (Form(403, "no", "text/plain"), "HTTP 403 (Forbidden)"),
        (Form(451, "<html>", "text/html"), "HTTP 451 (Unavailable For Legal Reasons)"),
        (Form(502, "bad", "text/plain"), "HTTP 502 (Bad Gateway)"),
        (Form(503), "HTTP 503 (Service Unavailable)"),
        (Form(524), "HTTP 524 (origin did not answer in time)"),
        (Form(599), "HTTP 599 (a server error)"),
        (error_form(401, -32001, "Invalid token"), "Invalid token (HTTP 401 (Unauthorized)"),
        (error_form(500, -32603, "boom"), "boom (HTTP 500 (Internal Server Error))"),
        (Form(404), "HTTP 404 (Not Found)"),
        (Form(400), "HTTP 400 (Bad Request)"),
    ],
)
async def test_an_error_that_stays_is_shown_with_its_status_and_costs_one_new_session_a_minute(
    home: Path, form: Form, status: str
) -> None:
    with session_upstream() as upstream:
        async with warm_app(upstream, home) as app:
            upstream.always = form
            opened, calls = upstream.opened, upstream.calls
            assert status in (await ask(app, "one", "/widgets/widget2")).text
            assert upstream.calls - calls <= 2
            assert upstream.opened - opened <= 1
            upstream.always = None
            assert (await ask(app, "two")).outcome == "miss"


@pytest.mark.parametrize(
    "form",
    [
        Form(200, '{"jsonrpc":"2.0","id":{id},"result":'),
        Form(200, "[" * 5000),
        Form(200, "no JSON at all"),
        Form(200),
        Form(200, '{"jsonrpc":"2.0","id":{id},"result":{"content":[],"_meta":7}}'),
        Form(200, "event: message\ndata: nonsense\n\n", "text/event-stream"),
        Form(200, "<title>Sign in</title>", "text/html"),
    ],
)
async def test_replies_that_cannot_be_read_are_asked_for_once_each_and_open_the_breaker(
    home: Path, form: Form
) -> None:
    with session_upstream() as upstream:
        async with warm_app(upstream, home) as app:
            upstream.always, before = form, upstream.calls
            for number in range(FAILURES_TO_OPEN):
                answer = await ask(app, f"question {number}", "/widgets/widget2")
                assert "could not be read" in answer.text
            assert upstream.calls == before + FAILURES_TO_OPEN
            assert app.services.call_gate.is_open
            assert "is not asked for another" in (await ask(app, "one more", "/w/w3")).text
            assert upstream.calls == before + FAILURES_TO_OPEN
