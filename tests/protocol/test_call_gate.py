"""Calls that are not sent upstream: back-off after a 429, circuit breaker, the month's quota."""

from pathlib import Path

import anyio
import pytest

from context7_fabric.errors import UpstreamLimited, UpstreamUnreachable
from context7_fabric.models import Answer, Caller, Question
from context7_fabric.runtime.app import App
from context7_fabric.runtime.runtime import open_app
from context7_fabric.settings import read_settings
from context7_fabric.views.purge import Purge
from support.scripted import (
    FakeClock,
    ScriptedUpstream,
    docs_text,
    scripted_app,
    settings_for,
)

DAY = 86400.0
GONE = UpstreamUnreachable("the test", "no route to host")
LIMITED = "Rate limited or quota exceeded. Create a free API key at https://context7.com/dashboard."
MONTHLY = "Monthly quota exceeded. Create a free API key at https://context7.com/dashboard."


async def ask(app: App, query: str) -> Answer:
    """Ask the question `query` of a library."""
    return await app.services.query(Question("/widgets/widget1", query), Caller(app.principal))


@pytest.mark.parametrize(("text", "rest"), [(LIMITED, 60), (MONTHLY, 60)])
async def test_after_a_429_no_call_goes_out_before_its_time(
    app: App, upstream: ScriptedUpstream, clock: FakeClock, text: str, rest: float
) -> None:
    upstream.texts["query-docs"] = text
    assert (await ask(app, "one")).text == text
    clock.forward(rest - 1)
    paused = await ask(app, "two")
    assert paused.is_error
    assert text.rstrip(".") in paused.text
    assert len(upstream.calls) == 1
    clock.forward(1)
    await ask(app, "two")
    assert len(upstream.calls) == 2


async def test_retry_after_is_honoured(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    await app.services.tools.refresh()
    upstream.error = UpstreamLimited("the test", 300)
    await ask(app, "one")
    clock.forward(299)
    await ask(app, "two")
    assert len(upstream.calls) == 1
    clock.forward(1)
    await ask(app, "two")
    assert len(upstream.calls) == 2


async def test_a_rest_is_kept_by_every_process_on_the_home(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("rest")
    upstream.texts["query-docs"] = LIMITED
    async with (
        scripted_app(upstream, clock, home) as one,
        scripted_app(upstream, clock, home) as two,
    ):
        await ask(one, "one")
        assert (await ask(two, "two")).is_error
    assert len(upstream.calls) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Too many requests, please try again in a while.",
        "You have reached the usage limit of the free plan.",
        "Request failed with status 402. Please try again later.",
        "Your quota for this billing period is exhausted.",
    ],
)
async def test_a_limit_without_a_time_is_probed_once_a_minute_and_ended_by_an_answer(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path, text: str
) -> None:
    upstream.texts["query-docs"] = text
    async with (
        scripted_app(upstream, clock, tmp_path) as one,
        scripted_app(upstream, clock, tmp_path) as two,
    ):
        await ask(one, "first")
        for minute in range(1, 4):
            clock.forward(59)
            await ask(one, f"too early {minute}")
            clock.forward(1)
            for app in (two, one, two):
                await ask(app, f"probe {minute}")
            assert len(upstream.calls) == 1 + minute
        del upstream.texts["query-docs"]
        clock.forward(60)
        answers = [await ask(app, f"well {number}") for number, app in enumerate((two, one, two))]
    assert [answer.outcome for answer in answers] == ["miss"] * 3


async def test_a_limit_holds_back_refreshing_for_an_hour_and_outlasts_the_process(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path
) -> None:
    async with scripted_app(upstream, clock, tmp_path) as app:
        await ask(app, "kept")
        clock.forward(5 * DAY)
        upstream.texts["query-docs"] = MONTHLY
        await ask(app, "limited")
    calls = len(upstream.calls)
    async with scripted_app(upstream, clock, tmp_path) as app:
        clock.forward(1800)
        assert (await ask(app, "kept")).outcome == "stale"
        await anyio.wait_all_tasks_blocked()
        assert len(upstream.calls) == calls
        held = await app.services.call_gate.status()
        assert held.back_off is not None
        clock.forward(1801)
        upstream.arrived = anyio.Event()
        await ask(app, "kept")
        await upstream.arrived.wait()
        await anyio.wait_all_tasks_blocked()
        assert len(upstream.calls) == calls + 1


async def test_a_limit_is_one_credentials_own(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path
) -> None:
    upstream.texts["query-docs"] = MONTHLY
    keys = ("ctx7sk-one-one-one", "ctx7sk-two-two-two")
    calls = 0
    principals: list[dict[str, str]] = [{}, {"CONTEXT7_FABRIC_PRINCIPAL": "team"}]
    for principal in principals:
        for key in keys:
            environ = {"CONTEXT7_FABRIC_HOME": str(tmp_path), "CONTEXT7_API_KEY": key}
            settings = read_settings(environ | principal)
            async with open_app(settings, clock=clock, connect=lambda _tasks: upstream) as app:
                await ask(app, f"question {calls}")
                await ask(app, f"another {calls}")
            calls += 1
            assert len(upstream.calls) == calls


@pytest.mark.parametrize("ahead", [60, 3600, 30 * DAY, 3650 * DAY])
async def test_a_limit_that_was_met_while_the_clock_was_ahead_is_ignored(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path, ahead: float
) -> None:
    upstream.texts["query-docs"] = MONTHLY
    clock.forward(ahead)
    async with scripted_app(upstream, clock, tmp_path) as app:
        await ask(app, "limited")
        clock.forward(-ahead)
        del upstream.texts["query-docs"]
        assert (await ask(app, "well")).outcome == "miss"
    async with scripted_app(upstream, clock, tmp_path) as app:
        assert (await ask(app, "well too")).outcome == "miss"


async def test_purging_all_ends_a_limit(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    upstream.texts["query-docs"] = MONTHLY
    await ask(app, "limited")
    await Purge(app.fabric).everything()
    assert (await app.services.call_gate.status()).back_off is None
    del upstream.texts["query-docs"]
    assert (await ask(app, "well")).outcome == "miss"


async def test_what_is_stored_is_served_while_upstream_rests(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    await ask(app, "one")
    upstream.texts["query-docs"] = LIMITED
    await ask(app, "another thing entirely")
    clock.forward(40 * DAY)
    await ask(app, "another thing entirely")
    stale = await ask(app, "one")
    assert stale.outcome == "stale"
    assert stale.text == docs_text({"query": "one"})
    assert "not asked for another" in (stale.note or "")


async def test_five_failures_open_the_breaker_and_one_probe_closes_it(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    upstream.generation = 2
    await app.services.tools.refresh()
    upstream.error = GONE
    for number in range(7):
        await ask(app, f"question {number}")
    assert len(upstream.calls) == 5
    held = await app.services.call_gate.status()
    assert held.opening is not None
    assert "no route to host" in held.opening.why
    clock.forward(1)
    await ask(app, "still broken")
    assert len(upstream.calls) == 6
    await ask(app, "not asked")
    assert len(upstream.calls) == 6
    clock.forward(2)
    upstream.error = None
    assert (await ask(app, "probe")).outcome == "miss"
    assert (await ask(app, "and on")).outcome == "miss"
    assert len(upstream.calls) == 8
    assert (await app.services.call_gate.status()).opening is None


async def test_a_probe_that_is_limited_is_not_the_last_one(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    await app.services.tools.refresh()
    upstream.error = GONE
    for number in range(5):
        await ask(app, f"question {number}")
    clock.forward(31)
    upstream.error = UpstreamLimited("the test", 300)
    await ask(app, "limited")
    clock.forward(301)
    upstream.error = None
    assert (await ask(app, "well again")).outcome == "miss"
    assert (await ask(app, "and on")).outcome == "miss"


async def test_calls_and_savings_of_the_month_are_counted_over_restarts(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("meter")
    for _start in range(2):
        async with scripted_app(upstream, clock, home) as app:
            await ask(app, "one")
            await ask(app, "one")
    async with scripted_app(upstream, clock, home) as app:
        usage = await app.services.quota.month()
        assert (usage.calls, usage.saved) == (1, 3)
        clock.forward(32 * DAY)
        assert (await app.services.quota.month()).calls == 0


async def test_refreshing_behind_stops_at_four_fifths_of_the_month(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("month")
    clock.now = 1_798_761_600.0  # 2027-01-01
    async with scripted_app(upstream, clock, home, MONTHLY_CALLS="5") as app:
        for number in range(4):
            await ask(app, f"question {number}")
        clock.forward(5 * DAY)
        assert (await ask(app, "question 0")).outcome == "stale"
        assert (await ask(app, "a real miss")).outcome == "miss"
    assert len(upstream.calls) == 5


async def test_what_upstream_said_of_the_quota_is_kept(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    upstream.texts["query-docs"] = MONTHLY
    await ask(app, "one")
    said = (await app.services.call_gate.status()).quota_message
    assert said is not None
    assert (said.text, said.at) == (MONTHLY, clock.now)


async def test_an_upstream_that_is_switched_off_is_no_call_and_never_called_failing(
    clock: FakeClock, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "home", UPSTREAM="off")
    async with open_app(settings, clock=clock) as app:
        answers = [await ask(app, f"question {number}") for number in range(8)]
        assert (await app.services.quota.month()).calls == 0
    assert len({answer.text for answer in answers}) == 1
    assert "switched off" in answers[0].text
