"""Record of the part that a docset had in a call: why, ratings, statistics, metrics."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from mcp import Client

from context7_fabric.call_log.statistics import as_object, read_statistics
from context7_fabric.cli.why import report
from context7_fabric.daemon.commands import RecordCommands
from context7_fabric.errors import UpstreamUnreachable
from context7_fabric.models import Caller, Question
from context7_fabric.runtime.app import App
from context7_fabric.telemetry.metrics import Metrics
from context7_fabric.telemetry.observer import StateFigures, StoreFigures
from support.app_server import call, connected, provenance, texts
from support.held_docsets import GEARS, KNOWN, UNKNOWN, place_docset
from support.scripted import FakeClock, ScriptedUpstream, scripted_app

DAY = 86400.0
FIGURES = StateFigures("1", "memory", StoreFigures(), 0, 0, 0, 0, 0, 0, {}, 0, 0)
GONE = UpstreamUnreachable("the test", "no route to host")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home that holds the docset of the made-up library."""
    place_docset(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
async def app(upstream: ScriptedUpstream, clock: FakeClock, home: Path) -> AsyncGenerator[App]:
    """Return an open app on that home that takes feedback."""
    async with scripted_app(upstream, clock, home, TOOLS="+feedback") as opened:
        yield opened


async def ask(client: Client, query: str = KNOWN) -> dict[str, Any]:
    return provenance(await call(client, "query-docs", libraryId=GEARS, query=query))


async def rate(client: Client, answer: dict[str, Any], rating: int) -> str:
    execution_id = answer["execution_id"]
    given = {"executionId": execution_id, "rating": rating}
    return texts(await call(client, "record-feedback", **given))[0]


async def why(app: App, execution_id: str = "") -> dict[str, Any]:
    services = app.services
    commands = RecordCommands(services.call_log, services.feedback, app.principal)
    record = await commands.why(execution_id)
    assert record is not None
    return record


async def test_why_of_a_page_shows_words_snippets_confidence_and_threshold(app: App) -> None:
    async with connected(app) as client:
        answer = await ask(client)
    docset = (await why(app, answer["execution_id"]))["docset"]
    assert docset["name"] == GEARS
    assert docset["confidence"] >= docset["threshold"] > 0
    assert {word for word, _weight in docset["words"]} == set(KNOWN.split())
    assert all(weight > 0 for _word, weight in docset["words"])
    first = docset["considered"][0]
    assert first["path"] == "guide/backlash.md"
    assert set(first["words"]) == set(KNOWN.split())


async def test_why_in_words_names_the_decision_and_what_was_considered(app: App) -> None:
    async with connected(app) as client:
        await ask(client, f"{UNKNOWN} spindle")
    record = await why(app)
    lines = dict(report(record))
    needed = f"{record['docset']['threshold']:.2f} needed"
    assert lines["docset"].startswith(f"{GEARS}: confidence 0.")
    assert f"{needed}; too low, so Context7 is asked" in lines["docset"]
    assert "payroll 2." in lines["words"]
    assert any("(guide/backlash.md): spindle" in line for line in lines.values())


async def test_why_of_a_library_without_a_docset_has_no_decision(app: App) -> None:
    async with connected(app) as client:
        await call(client, "query-docs", libraryId="/widgets/widget1", query="start")
    record = await why(app)
    assert record["docset"] is None
    assert "docset" not in dict(report(record))


async def test_record_of_a_long_question_is_bounded(app: App) -> None:
    question = " ".join(f"{'spindle' * 20}{number}" for number in range(60))
    await app.services.query(Question(GEARS, f"{KNOWN} {question}"), caller := Caller())
    decision = caller.trace.docset
    assert decision is not None
    assert len(decision.words) <= 32
    assert max(len(word) for word, _weight in decision.words) <= 64
    assert len(decision.considered) <= 8


@pytest.mark.parametrize("rating", [1, 2])
async def test_question_whose_page_was_rated_badly_goes_upstream_for_thirty_days(
    app: App, clock: FakeClock, upstream: ScriptedUpstream, rating: int
) -> None:
    async with connected(app, "legacy") as client:
        effect = await rate(client, await ask(client), rating)
    assert "for 30 days your question goes to Context7" in effect
    upstream.is_error = True  # so that nothing is stored that would be served
    upstream.texts["query-docs"] = "Something went wrong."
    for later, tier in ((0.0, "upstream"), (29 * DAY, "upstream"), (DAY, "docset")):
        clock.forward(later)
        asked = len(upstream.calls)
        async with connected(app, "legacy") as client:
            await ask(client)
        assert (len(upstream.calls) > asked) == (tier == "upstream")


async def test_question_rated_badly_goes_upstream_for_its_rater_alone(
    app: App, upstream: ScriptedUpstream
) -> None:
    async with connected(app, "legacy") as client:
        await rate(client, await ask(client), 1)
    other = Caller("key-bbbb", connection="other")
    assert (await app.services.query(Question(GEARS, KNOWN), other)).tier == "docset"
    assert upstream.calls == []


async def test_question_rated_well_again_is_answered_by_the_docset(app: App) -> None:
    async with connected(app, "legacy") as client:
        answer = await ask(client)
        await rate(client, answer, 1)
        await rate(client, answer, 4)
    async with connected(app, "legacy") as client:
        assert (await ask(client))["tier"] == "docset"


async def test_statistics_count_pages_calls_saved_and_questions_for_want_of_confidence(
    app: App, upstream: ScriptedUpstream
) -> None:
    async with connected(app, "legacy") as client:
        await ask(client)
        await ask(client, UNKNOWN)
        await ask(client)  # asked again: Context7 goes first, though the docset is confident
        upstream.error = GONE
        await ask(client, f"{UNKNOWN} spindle")
    await app.flush()
    now = app.services.views.clock()
    figures = as_object(await read_statistics(app.fabric, 0.0, now))
    docsets = figures["docsets"]
    assert isinstance(docsets, dict)
    assert docsets.pop("libraries") == [{"library_id": GEARS, **docsets}]
    served = docsets.pop("tokens_served")
    assert isinstance(served, int)
    assert served > 100
    assert docsets == {"answers": 2, "calls_saved": 1, "tokens_saved": 0, "unconfident": 2}
    assert (await app.services.quota.month()).saved == 1


async def test_metrics_count_pages_and_questions_for_want_of_confidence(
    upstream: ScriptedUpstream, clock: FakeClock, home: Path
) -> None:
    metrics = Metrics()
    async with scripted_app(upstream, clock, home) as app:
        for query, gone in ((KNOWN, False), (UNKNOWN, False), (f"{UNKNOWN} spindle", True)):
            upstream.error = GONE if gone else None
            caller = Caller(connection=None)
            answer = await app.services.query(Question(GEARS, query), caller)
            metrics.answered("query-docs", {}, caller, answer)
    page, _kind = await to_thread.run_sync(metrics.page, FIGURES, "")
    for line in (
        'context7_fabric_docset_answers_total{use="first"} 1.0',
        'context7_fabric_docset_answers_total{use="fallback"} 1.0',
        "context7_fabric_docset_calls_saved_total 1.0",
        "context7_fabric_docset_unconfident_total 2.0",
    ):
        assert f"\n{line}\n" in page.decode()
    assert GEARS not in page.decode()
