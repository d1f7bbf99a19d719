"""A 429 from the HTTP server in front of Context7: its Retry-After is respected and shown."""

import json
import time
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from context7_fabric.models import Caller, Question
from context7_fabric.runtime.runtime import open_app
from support.listener import serving
from support.product import product_environment, run_product
from support.scripted import FakeClock, settings_for
from support.sessions import Form, session_upstream

QUESTION = Question("/widgets/widget1", "start")


class Gateway:
    """Application that refuses every call and counts them."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers
        self.calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.calls += 1
            await Request(scope, receive).body()
            await PlainTextResponse("slow down", 429, self.headers)(scope, receive, send)


@pytest.mark.parametrize(
    ("retry_after", "rest"),
    [
        ("120", 120),
        ("1", 1),
        ("86401", 86400),
        ("9" * 300, 86400),
        ("0", 1),
        (None, 60),
        ("-5", 60),
        ("soon", 60),
        ("", 60),
    ],
)
async def test_no_call_goes_out_before_its_time(
    tmp_path: Path, retry_after: str | None, rest: int
) -> None:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    gateway, clock = Gateway(headers), FakeClock()
    with serving(gateway) as port:
        settings = settings_for(tmp_path, UPSTREAM=f"http://127.0.0.1:{port}/mcp")
        async with open_app(settings, clock=clock) as app:
            limited = await app.services.query(QUESTION, Caller())
            calls = gateway.calls
            clock.forward(rest - 1)
            paused = await app.services.query(QUESTION, Caller())
            assert gateway.calls == calls
            clock.forward(1)
            await app.services.query(QUESTION, Caller())
            assert gateway.calls > calls
    assert "429" in limited.text
    assert "not asked for another 1 s" in paused.text


@pytest.mark.parametrize("status", [429, 402])
async def test_a_limit_costs_one_call_and_no_new_session(home: Path, status: int) -> None:
    clock = FakeClock()
    with session_upstream() as upstream:
        async with open_app(settings_for(home, UPSTREAM=upstream.url), clock=clock) as app:
            assert (await app.services.query(QUESTION, Caller())).outcome == "miss"
            upstream.always = Form(status, "slow down", "text/plain")
            calls, opened = upstream.calls, upstream.opened
            for number in range(5):
                await app.services.query(Question("/widgets/widget2", f"{number}"), Caller())
            assert (upstream.calls - calls, upstream.opened - opened) == (1, 0)
            upstream.always = None
            clock.forward(60)
            last = await app.services.query(Question("/widgets/widget2", "again"), Caller())
    assert last.outcome == "miss"


def test_doctor_and_stats_show_a_limit_and_doctor_ends_it(home: Path) -> None:
    with session_upstream() as upstream:
        upstream.always = Form(429, "slow down", "text/plain")
        environment = product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": upstream.url})
        words = ("docs", "/widgets/widget1", "How?")
        assert run_product(*words, env=environment).returncode == 1
        upstream.always = None
        limited = run_product(*words, env=environment)
        assert "is not asked for another" in limited.stderr
        checked = run_product("doctor", "--json", env=environment)
        limits = json.loads(checked.stdout)["limits"]
        assert (checked.returncode, limits["ok"]) == (1, False)
        for part in ("(429)", "for 59 minutes, until ", "one call a minute", "doctor --fix"):
            assert part in limits["told"]
        figures = json.loads(run_product("stats", "--json", env=environment).stdout)
        assert figures["resting_until"] > time.time()
        assert "(429)" in figures["resting_because"]
        assert "doctor --fix" in figures["resting_ends"]
        fixed = run_product("doctor", "--fix", "--json", env=environment)
        limits = json.loads(fixed.stdout)["limits"]
        assert (limits["ok"], limits["told"]) == (True, "1 ended")
        assert run_product(*words, env=environment).returncode == 0
