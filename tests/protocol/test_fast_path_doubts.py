"""Calls that are no hit, or might be none, go through the SDK as if there were no fast path."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from context7_fabric.models import Caller, Question
from context7_fabric.runtime.app import App
from context7_fabric.views.purge import Purge
from support.app_server import (
    ASKED,
    OLD,
    QUERY,
    RESOLVE,
    RawClient,
    answer_meta,
    connected_raw,
    opened,
    records,
)
from support.scripted import FakeClock, ScriptedUpstream, list_text, scripted_app

DAY = 86400.0


@pytest.fixture
async def raw(app: App) -> AsyncIterator[RawClient]:
    """A raw of the test's app."""
    async with opened(app) as raw:
        yield raw


async def test_nothing_is_recorded_of_a_call_that_the_sdk_gets(raw: RawClient, app: App) -> None:
    replies = [await raw.ask(query=str(each), libraryId="/a/b") for each in range(3)]
    ids = {each.id for each in await records(app)}
    assert ids == {answer_meta(each)["execution_id"] for each in replies}
    assert (await app.services.quota.month()).saved == 0


async def test_a_stale_answer_is_refreshed_as_ever(raw: RawClient, clock: FakeClock) -> None:
    await raw.by_fast_path()
    clock.forward(5 * DAY)
    assert answer_meta(await raw.by_the_sdk())["outcome"] == "stale"


async def test_an_expired_answer_is_fetched_anew(raw: RawClient, clock: FakeClock) -> None:
    await raw.by_fast_path()
    clock.forward(100 * DAY)
    assert answer_meta(await raw.by_the_sdk())["outcome"] == "miss"


async def test_without_upstream_an_old_answer_says_so(
    upstream: ScriptedUpstream, clock: FakeClock, app: App
) -> None:
    async with opened(app) as raw:
        await raw.by_fast_path()
    home = app.settings.home
    async with (
        scripted_app(upstream, clock, home, UPSTREAM="off") as off,
        opened(off) as raw,
    ):
        await raw.by_fast_path()
        clock.forward(5 * DAY)
        assert answer_meta(await raw.by_the_sdk())["outcome"] == "offline"


async def test_what_another_process_purged_is_gone(
    raw: RawClient, app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    async with scripted_app(upstream, clock, app.settings.home) as elsewhere:
        await raw.by_fast_path()
        assert await Purge(elsewhere.fabric).everything()
        assert answer_meta(await raw.by_the_sdk())["outcome"] == "miss"


async def test_what_another_process_fetched_anew_is_served(
    raw: RawClient, app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    async with (
        scripted_app(upstream, clock, app.settings.home) as elsewhere,
        opened(elsewhere) as other,
    ):
        old = await raw.by_fast_path()
        await Purge(elsewhere.fabric).everything()
        upstream.revision = 2
        await other.ask()
        new = await raw.by_the_sdk()
        assert answer_meta(new)["outcome"] == "hit"
        assert new["result"]["content"] != old["result"]["content"]
        assert (await raw.by_fast_path())["result"]["content"] == new["result"]["content"]


async def test_an_answer_that_was_rated_badly_is_gone(raw: RawClient, app: App) -> None:
    reply = await raw.by_fast_path()
    await app.services.feedback.give(answer_meta(reply)["execution_id"], 1, None, None)
    assert answer_meta(await raw.by_the_sdk())["outcome"] == "miss"


async def test_answer_fetched_by_one_principal_is_served_to_no_other(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path
) -> None:
    async with (
        scripted_app(upstream, clock, tmp_path, PRINCIPAL="one") as one,
        scripted_app(upstream, clock, tmp_path, PRINCIPAL="two") as two,
        opened(one) as ones,
        opened(two) as twos,
    ):
        await ones.by_fast_path()
        await twos.ask(query="other", libraryId="/a/b")
        assert answer_meta(await twos.by_the_sdk())["outcome"] == "miss"
        await ones.by_fast_path()
        await twos.by_fast_path()
        principals = {each.principal for each in await records(one) + await records(two)}
        assert principals == {"name-one", "name-two"}


async def test_a_tool_that_is_not_served_stays_unknown(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path
) -> None:
    async with (
        scripted_app(upstream, clock, tmp_path, TOOLS="query-docs") as app,
        opened(app) as raw,
    ):
        await raw.by_fast_path()
        reply = await raw.by_the_sdk(OLD, libraryId="/widgets/widget1", topic="start")
        assert reply["error"]["message"] == "Tool get-library-docs not found"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (RESOLVE, {"libraryName": "widget", "query": "start"}),
        ("no-such-tool", ASKED),
        (QUERY, {"libraryId": "/widgets/widget1"}),
        (QUERY, {"libraryId": 7, "query": "start"}),
        (QUERY, {"libraryId": "widget1", "query": "start"}),
        (QUERY, {"libraryId": "/widgets/widget1", "query": "x" * 20_000}),
        (OLD, {"libraryId": "/widgets/widget1", "topic": "start", "page": 2}),
        (OLD, {"libraryId": "/widgets/widget1", "topic": "start", "mode": "code"}),
        (OLD, {"libraryId": "/widgets/widget1", "topic": "start", "mode": "no mode"}),
    ],
    ids=lambda each: json.dumps(each)[:80],
)
async def test_other_calls_always_come_through_the_sdk(
    raw: RawClient, tool: str, arguments: dict[str, object]
) -> None:
    await raw.by_fast_path()
    for _ in range(4):
        await raw.by_the_sdk(tool, **arguments)


async def test_before_the_handshake_the_sdk_answers(raw: RawClient, app: App) -> None:
    await raw.by_fast_path()
    async with connected_raw(app) as other:
        for _ in range(3):
            assert answer_meta(await other.by_the_sdk())["outcome"] == "hit"
        await other.handshake(client="late")
        reply = await other.by_the_sdk()
        await other.by_fast_path()
    record = next(
        each for each in await records(app) if each.id == answer_meta(reply)["execution_id"]
    )
    assert record.client == "late 1"


async def test_a_client_of_the_modern_era_is_served_by_the_sdk(raw: RawClient, app: App) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    await raw.by_fast_path()
    async with connected_raw(app) as modern:
        for _ in range(4):
            reply = await modern.by_the_sdk_with(meta)
            assert reply["result"]["resultType"] == "complete"
        assert "error" in await modern.handshake()
        assert "error" in await modern.ask()


async def test_a_client_that_shakes_hands_anew_is_served_by_the_sdk(
    raw: RawClient, app: App
) -> None:
    await raw.by_fast_path()
    await raw.handshake(client="another")
    reply, *_ = [await raw.by_the_sdk() for _ in range(4)]
    record = next(
        each for each in await records(app) if each.id == answer_meta(reply)["execution_id"]
    )
    assert record.client == "another 1"


async def test_a_question_still_teaches_what_a_look_up_meant(
    raw: RawClient, app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    upstream.texts[RESOLVE] = list_text(2, "Widget")
    look_up = {"libraryName": "widget", "query": "start"}
    other = {"libraryId": "/widgets/widget2", "query": "start"}
    await raw.by_fast_path()
    await raw.ask(RESOLVE, **look_up)
    assert answer_meta(await raw.by_the_sdk())["outcome"] == "hit"
    assert answer_meta(await raw.ask(RESOLVE, **look_up))["library_id"] == "/widgets/widget1"
    await raw.by_fast_path()
    async with (
        scripted_app(upstream, clock, app.settings.home) as elsewhere,
        opened(elsewhere) as neighbour,
    ):
        await neighbour.ask(RESOLVE, **look_up)
        await neighbour.ask(**other)
        assert answer_meta(await raw.ask(RESOLVE, **look_up))["library_id"] == "/widgets/widget2"
        await raw.by_the_sdk()
        assert answer_meta(await raw.ask(RESOLVE, **look_up))["library_id"] == "/widgets/widget1"


async def test_question_after_a_look_up_is_learned_from_though_its_answer_is_cached(
    raw: RawClient, app: App, upstream: ScriptedUpstream
) -> None:
    upstream.texts[RESOLVE] = list_text(2, "Widget")
    look_up = {"libraryName": "widget", "query": "start"}
    second = {"libraryId": "/widgets/widget2", "query": "start"}
    async with opened(app) as other:
        await other.ask(RESOLVE, **look_up)
        await other.ask()
    for asked in (ASKED, second, ASKED, second):
        await raw.by_fast_path(**asked)
    await raw.ask(RESOLVE, **look_up)
    await raw.by_the_sdk(**second)
    assert answer_meta(await raw.ask(RESOLVE, **look_up))["library_id"] == "/widgets/widget2"


async def test_each_use_of_a_library_is_counted(raw: RawClient, app: App) -> None:
    await raw.ask(RESOLVE, libraryName="widget", query="start")
    await raw.by_fast_path()
    row = app.services.registry.row("/widgets/widget1")
    await raw.by_fast_path()
    after = app.services.registry.row("/widgets/widget1")
    assert row is not None
    assert after is not None
    assert after.usage_count > row.usage_count


async def test_cached_answer_after_another_process_has_written_is_gone(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    question = Question("/widgets/widget1", "start")
    async with scripted_app(upstream, clock, app.settings.home) as elsewhere:
        for _ in range(3):
            await app.services.query(question, Caller(app.principal))
        assert app.services.cached(question, Caller(app.principal))
        await elsewhere.fabric.set_context("anything", 1)
        assert app.services.cached(question, Caller(app.principal)) is None


async def test_cached_answer_of_an_entry_that_expires_by_itself_is_none(app: App) -> None:
    question = Question("/widgets/widget1", "start")
    for _ in range(3):
        await app.services.query(question, Caller(app.principal))
    (entry,) = await app.fabric.query("docs:*")
    await app.fabric.set_context(entry.key, entry.value, ttl=60)
    for _ in range(3):
        answer = await app.services.query(question, Caller(app.principal))
        assert answer.outcome == "hit"
        assert app.services.cached(question, Caller(app.principal)) is None


async def test_cached_answer_for_another_owner_is_none(app: App) -> None:
    question = Question("/widgets/widget1", "start")
    for _ in range(3):
        await app.services.query(question, Caller(app.principal))
    assert app.services.cached(question, Caller(app.principal))
    assert app.services.cached(question, Caller(app.principal, "another")) is None


async def test_question_with_a_secret_is_never_cached(app: App) -> None:
    question = Question("/widgets/widget1", f"start with ctx7sk-{'1234567890' * 4}")
    outcomes = [
        (await app.services.query(question, Caller(app.principal))).outcome for _ in range(3)
    ]
    assert outcomes == ["miss", "hit", "hit"]
    assert app.services.cached(question, Caller(app.principal)) is None
