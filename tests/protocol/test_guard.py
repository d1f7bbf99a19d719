"""When upstream is left alone: rests after a 429, the breaker, the month's calls."""

from pathlib import Path

import pytest

from context7_fabric.app import App
from context7_fabric.errors import UpstreamLimited, UpstreamUnreachable
from context7_fabric.household import open_app
from context7_fabric.models import Answer, Caller
from context7_fabric.services.docs import Question
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
    return await app.desk.query(Question("/widgets/widget1", query), Caller(app.principal))


@pytest.mark.parametrize(("text", "rest"), [(LIMITED, 60), (MONTHLY, 3600)])
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
    await app.desk.tools.refresh()
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
    await app.desk.tools.refresh()
    upstream.error = GONE
    for number in range(7):
        await ask(app, f"question {number}")
    assert len(upstream.calls) == 5
    clock.forward(31)
    await ask(app, "still broken")
    assert len(upstream.calls) == 6
    await ask(app, "not asked")
    assert len(upstream.calls) == 6
    clock.forward(31)
    upstream.error = None
    assert (await ask(app, "probe")).outcome == "miss"
    assert (await ask(app, "and on")).outcome == "miss"
    assert len(upstream.calls) == 8


async def test_a_probe_that_is_limited_is_not_the_last_one(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    await app.desk.tools.refresh()
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
        usage = await app.desk.meter.month()
        assert (usage.calls, usage.saved) == (1, 3)
        clock.forward(32 * DAY)
        assert (await app.desk.meter.month()).calls == 0


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
    said = await app.desk.turnstile.last_said()
    assert said is not None
    assert (said.why, said.at) == (MONTHLY, clock.now)


async def test_an_upstream_that_is_switched_off_is_no_call_and_never_called_failing(
    clock: FakeClock, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "home", UPSTREAM="off")
    async with open_app(settings, clock=clock) as app:
        answers = [await ask(app, f"question {number}") for number in range(8)]
        assert (await app.desk.meter.month()).calls == 0
    assert len({answer.text for answer in answers}) == 1
    assert "switched off" in answers[0].text
