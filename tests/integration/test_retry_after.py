"""A 429 from the HTTP server in front of Context7: its Retry-After is kept, and told."""

from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from context7_fabric.household import open_app
from context7_fabric.models import Caller
from context7_fabric.services.docs import Question
from support.listener import serving
from support.scripted import FakeClock, settings_for

QUESTION = Question("/widgets/widget1", "start")


class Gateway:
    """Turns every call away and counts them."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers
        self.calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.calls += 1
            await Request(scope, receive).body()
            await PlainTextResponse("slow down", 429, self.headers)(scope, receive, send)


@pytest.mark.parametrize(("headers", "rest"), [({"Retry-After": "120"}, 120), ({}, 60)])
async def test_no_call_goes_out_before_its_time(
    tmp_path: Path, headers: dict[str, str], rest: int
) -> None:
    gateway, clock = Gateway(headers), FakeClock()
    with serving(gateway) as port:
        settings = settings_for(tmp_path, UPSTREAM=f"http://127.0.0.1:{port}/mcp")
        async with open_app(settings, clock=clock) as app:
            limited = await app.desk.query(QUESTION, Caller())
            calls = gateway.calls
            clock.forward(rest - 1)
            paused = await app.desk.query(QUESTION, Caller())
            assert gateway.calls == calls
            clock.forward(1)
            await app.desk.query(QUESTION, Caller())
            assert gateway.calls > calls
    assert "429" in limited.text
    assert "not asked for another 1 s" in paused.text
