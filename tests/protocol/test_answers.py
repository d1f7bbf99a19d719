"""Answers to clients: verbatim misses, hits without upstream, provenance, errors as upstream's."""

from pathlib import Path

import pytest
from mcp.shared.exceptions import MCPError

from context7_fabric.errors import UpstreamUnreachable
from context7_fabric.runtime.app import App
from support.app_server import MODES, call, connected, provenance, texts
from support.scripted import (
    FakeClock,
    ScriptedUpstream,
    docs_text,
    list_text,
    scripted_app,
)

DAY = 86400.0
GONE = UpstreamUnreachable("the test", "no route to host")
FIRST = "/widgets/widget1"


@pytest.mark.parametrize("mode", MODES)
async def test_a_miss_is_upstreams_text_verbatim_and_the_next_call_is_a_hit(
    app: App, upstream: ScriptedUpstream, mode: str
) -> None:
    async with connected(app, mode) as client:
        miss = await call(client, "query-docs", libraryId=FIRST, query="How to start?")
        hit = await call(client, "query-docs", libraryId=FIRST, query=" How  to start?\n")
    assert texts(miss) == [docs_text({"query": "How to start?"})]
    assert texts(hit) == texts(miss)
    assert [provenance(miss)["outcome"], provenance(hit)["outcome"]] == ["miss", "hit"]
    assert [provenance(miss)["tier"], provenance(hit)["tier"]] == ["upstream", "question"]
    assert len(upstream.calls) == 1


async def test_provenance_tells_age_library_and_execution(
    app: App, clock: FakeClock, upstream: ScriptedUpstream
) -> None:
    async with connected(app) as client:
        miss = await call(client, "query-docs", libraryId=FIRST, query="start")
        clock.forward(90)
        hit = await call(client, "query-docs", libraryId=FIRST, query="start")
    about = provenance(hit)
    assert about["age_seconds"] == 90
    assert about["fetched_at"] == provenance(miss)["fetched_at"]
    assert about["library_id"] == FIRST
    assert about["execution_id"] != provenance(miss)["execution_id"]


async def test_a_list_is_served_as_sent_until_a_question_shows_what_was_meant(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.texts["resolve-library-id"] = list_text(14)
    async with connected(app) as client:
        miss = await call(client, "resolve-library-id", libraryName="Widget 2", query="x")
        again = await call(client, "resolve-library-id", libraryName="widget 2", query="other")
        await call(client, "query-docs", libraryId="/widgets/widget2", query="start")
        chosen = await call(client, "resolve-library-id", libraryName="widget 2", query="x")
    assert texts(again) == texts(miss) == [list_text(14)]
    lines = texts(chosen)[0].splitlines()
    assert lines[0] == "- Title: Widget 2"
    others = ",".join(f"/widgets/widget{n}" for n in (1, 3, 4, 5, 6, 7, 8, 9, 10))
    assert lines[-1] == f"- Also matching: {others} and 4 more"
    assert provenance(chosen)["tier"] == "learned"
    assert provenance(chosen)["library_id"] == "/widgets/widget2"
    assert provenance(chosen)["tokens_saved"] > 0


async def test_a_versioned_id_teaches_the_choice_of_its_library(app: App) -> None:
    async with connected(app) as client:
        await call(client, "resolve-library-id", libraryName="widget3", query="x")
        await call(client, "query-docs", libraryId="/widgets/widget3/v2", query="start")
        chosen = await call(client, "resolve-library-id", libraryName="widget3", query="x")
    assert provenance(chosen)["library_id"] == "/widgets/widget3"


async def test_what_one_connection_asked_teaches_nothing_about_anothers_look_up(app: App) -> None:
    async with connected(app, "legacy") as one, connected(app, "legacy") as other:
        await call(one, "resolve-library-id", libraryName="widget3", query="x")
        await call(other, "query-docs", libraryId="/widgets/widget3", query="start")
        served = await call(one, "resolve-library-id", libraryName="widget3", query="x")
    assert provenance(served)["tier"] == "name"


async def test_a_look_up_without_a_question_asks_upstream_with_the_name(
    app: App, upstream: ScriptedUpstream
) -> None:
    async with connected(app) as client:
        await call(client, "resolve-library-id", libraryName="widget")
    assert upstream.calls[0].arguments == {"libraryName": "widget", "query": "widget"}


@pytest.mark.parametrize("mode", MODES)
async def test_a_bad_argument_is_an_error_result_that_names_it(app: App, mode: str) -> None:
    async with connected(app, mode) as client:
        result = await call(client, "query-docs", libraryId=7, query="start")
    assert result.is_error
    assert texts(result) == [
        (
            "Input validation error: Invalid arguments for tool query-docs: "
            "libraryId: Invalid input: expected string, received number"
        )
    ]


@pytest.mark.parametrize("mode", MODES)
async def test_an_unknown_tool_is_a_protocol_error(app: App, mode: str) -> None:
    async with connected(app, mode) as client:
        with pytest.raises(MCPError) as raised:
            await call(client, "no-such-tool")
    assert raised.value.code == -32602


async def test_oversized_arguments_are_refused_before_any_upstream_call(
    app: App, upstream: ScriptedUpstream
) -> None:
    async with connected(app) as client:
        result = await call(client, "query-docs", libraryId=FIRST, query="x" * 10_001)
    assert result.is_error
    assert upstream.calls == []


async def test_an_id_that_is_none_gets_upstreams_own_answer_and_is_not_stored(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.texts["query-docs"] = "Invalid library id."
    async with connected(app) as client:
        for _time in range(2):
            result = await call(client, "query-docs", libraryId="nonsense", query="start")
            assert texts(result) == ["Invalid library id."]
    assert len(upstream.calls) == 2
    assert await app.services.answer_store.counts() == {"answers": 0, "lists": 0, "quarantined": 0}


async def test_a_stored_answer_survives_a_restart(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path
) -> None:
    for _start in range(2):
        async with (
            scripted_app(upstream, clock, tmp_path / "home") as app,
            connected(app) as client,
        ):
            await call(client, "query-docs", libraryId=FIRST, query="start")
    assert len(upstream.calls) == 1


async def test_an_outage_serves_the_old_copy_with_a_note_in_a_second_block(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    async with connected(app) as client:
        miss = await call(client, "query-docs", libraryId=FIRST, query="start")
        clock.forward(60 * DAY)
        upstream.error = GONE
        stale = await call(client, "query-docs", libraryId=FIRST, query="start")
    assert texts(stale)[0] == texts(miss)[0]
    assert "no route to host" in texts(stale)[1]
    assert "60 days ago" in texts(stale)[1]
    assert provenance(stale)["outcome"] == "stale"


async def test_an_outage_assembles_an_answer_from_stored_snippets(
    app: App, upstream: ScriptedUpstream
) -> None:
    async with connected(app) as client:
        await call(client, "query-docs", libraryId=FIRST, query="walk through starting")
        upstream.error = GONE
        assembled = await call(client, "query-docs", libraryId=FIRST, query="starting walk")
        unknown = await call(client, "query-docs", libraryId="/other/one", query="start")
    assert provenance(assembled)["tier"] == "snippets"
    assert provenance(assembled)["outcome"] == "offline"
    assert "assembled" in texts(assembled)[1]
    assert unknown.is_error
    assert "no route to host" in texts(unknown)[0]
    assert "\n" not in texts(unknown)[0]


async def test_a_seed_answers_only_when_upstream_cannot_and_says_so(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.error = GONE
    async with connected(app) as client:
        seeded = await call(client, "resolve-library-id", libraryName="FastAPI", query="x")
        unknown = await call(client, "resolve-library-id", libraryName="zzz-none", query="x")
    assert "- Context7-compatible library ID: /websites/fastapi_tiangolo" in texts(seeded)[0]
    assert "unverified" in texts(seeded)[1]
    assert provenance(seeded)["tier"] == "seed"
    assert provenance(seeded)["outcome"] == "offline"
    assert unknown.is_error


async def test_an_answer_of_another_context7_is_served_only_when_ours_is_silent(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    async with scripted_app(upstream, clock, home) as app, connected(app) as client:
        await call(client, "query-docs", libraryId=FIRST, query="start")
    elsewhere = {"UPSTREAM": "http://127.0.0.1:1/mcp"}
    async with scripted_app(upstream, clock, home, **elsewhere) as app, connected(app) as client:
        upstream.error = GONE
        stale = await call(client, "query-docs", libraryId=FIRST, query="start")
        upstream.error = None
        miss = await call(client, "query-docs", libraryId=FIRST, query="start")
    assert "https://mcp.context7.com/mcp" in texts(stale)[1]
    assert provenance(miss)["outcome"] == "miss"
