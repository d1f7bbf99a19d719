"""Every call of a tool is recorded, in both eras of the protocol, and no answer waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest

from context7_fabric.call_log.records import CallRecord, record_in
from context7_fabric.errors import UpstreamOff, UpstreamTimeout
from context7_fabric.fabric.context import Scope
from context7_fabric.models import PUBLIC, Caller, Question
from context7_fabric.runtime.app import App
from context7_fabric.runtime.runtime import open_app
from contracts.disk_store import execute
from support.app_server import MODES, call, connected, provenance, texts
from support.scripted import FakeClock, ScriptedUpstream, docs_text, scripted_app, settings_for

DAY = 86400.0
REFUSE = "CREATE TRIGGER refuse BEFORE INSERT ON Cache BEGIN SELECT RAISE(FAIL, 'no room'); END"
SECRET = "ghp_0123456789abcdefghijABCDEFGHIJ"


async def records(app: App) -> list[CallRecord]:
    """Return the records of calls, the oldest first."""
    await app.services.call_log.flush()
    contexts = await app.fabric.query("execution:*", Scope.EXECUTION)
    return [each for each in map(record_in, reversed(contexts)) if each is not None]


async def record_of(app: App, result: types.CallToolResult) -> CallRecord:
    """Return the record of the call that `result` answers."""
    return await app.services.call_log.find(provenance(result)["execution_id"], lambda _each: True)


async def the_record(app: App) -> CallRecord:
    (record,) = await records(app)
    return record


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_is_recorded_as_its_answer_tells(app: App, mode: str) -> None:
    async with connected(app, mode) as client:
        result = await call(client, "query-docs", libraryId="/widgets/widget1", query="start")
    record, meta = await the_record(app), provenance(result)
    assert record.id == meta["execution_id"]
    assert (record.outcome, record.tier) == (meta["outcome"], meta["tier"]) == ("miss", "upstream")
    assert record.arguments == {"libraryId": "/widgets/widget1", "query": "start"}
    assert record.library_id == meta["library_id"]
    assert record.size == len(texts(result)[0])
    assert record.client.startswith("mcp ")
    assert record.upstream
    assert [step.what for step in record.steps] == [
        "nothing stored",
        "asked Context7",
        "admitted and stored",
        "answered",
    ]


@pytest.mark.parametrize("mode", MODES)
async def test_a_hit_says_how_old_the_stored_copy_was(
    app: App, clock: FakeClock, mode: str
) -> None:
    asked = {"libraryId": "/widgets/widget1", "query": "start"}
    async with connected(app, mode) as client:
        await call(client, "query-docs", **asked)
        clock.forward(7200)
        result = await call(client, "query-docs", **asked)
    record = await record_of(app, result)
    assert record.steps[0].what == "stored copy, 2 hours old: serve it"
    assert (record.outcome, record.upstream) == ("hit", False)
    assert record.automated.score == 3


@pytest.mark.parametrize("tool", ["resolve-library-id", "query-docs", "get-library-docs"])
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_arguments_that_fail_are_recorded_too(app: App, tool: str, mode: str) -> None:
    async with connected(app, mode) as client:
        result = await call(client, tool, libraryName=7)
    record = await the_record(app)
    assert (record.tool, record.outcome, record.tier) == (tool, "error", "local")
    assert record.arguments == {"libraryName": 7}
    assert record.error == texts(result)[0]
    assert not record.upstream


async def test_an_answer_that_failed_upstream_says_why(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.error = UpstreamTimeout("here", 55)
    async with connected(app) as client:
        await call(client, "query-docs", libraryId="/nothing/known", query="start")
    record = await the_record(app)
    assert record.error is not None
    assert "did not answer within 55 s" in record.error
    assert "Context7 at here did not answer within 55 s" in [step.what for step in record.steps]


async def test_what_is_switched_off_is_not_asked(tmp_path: Path) -> None:
    async with (
        open_app(settings_for(tmp_path, UPSTREAM="off")) as app,
        connected(app) as client,
    ):
        await call(client, "query-docs", libraryId="/nothing/known", query="start")
        record = await the_record(app)
    assert not record.upstream
    assert [step.what for step in record.steps] == [
        "nothing stored",
        str(UpstreamOff()),
        "answered",
    ]


async def test_what_rests_is_not_asked(app: App, upstream: ScriptedUpstream) -> None:
    upstream.texts["query-docs"] = "Rate limited or quota exceeded."
    async with connected(app) as client:
        refused, held_back = [
            await record_of(
                app, await call(client, "query-docs", libraryId="/widgets/widget1", query=question)
            )
            for question in ("start", "stop")
        ]
    assert len(upstream.calls) == 1
    assert (refused.upstream, held_back.upstream) == (True, False)
    nothing, why, answered = [step.what for step in held_back.steps]
    assert (nothing, answered) == ("nothing stored", "answered")
    assert why.startswith("Context7 is not asked for another 60 s")


async def test_what_does_not_answer_in_time_is_asked(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path
) -> None:
    asked = {"libraryId": "/widgets/widget1", "query": "start"}
    async with (
        scripted_app(upstream, clock, tmp_path, PATIENCE="0s") as app,
        connected(app) as client,
    ):
        await call(client, "query-docs", **asked)
        clock.forward(60 * DAY)
        upstream.gate = anyio.Event()
        record = await record_of(app, await call(client, "query-docs", **asked))
        upstream.gate.set()
    assert record.upstream
    assert [step.what for step in record.steps][1:] == [
        "asked Context7",
        "Context7 has not answered within 0 s",
        "answered",
    ]


async def test_of_those_who_wait_for_the_same_one_asked(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    upstream.gate = anyio.Event()
    question, callers = Question("/widgets/widget1", "start"), [Caller() for _ in range(3)]
    async with (
        scripted_app(upstream, clock, app.settings.home) as elsewhere,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(app.services.query, question, callers[0])
        with anyio.fail_after(30):
            await upstream.arrived.wait()
        tasks.start_soon(app.services.query, question, callers[1])
        tasks.start_soon(elsewhere.services.query, question, callers[2])
        await anyio.wait_all_tasks_blocked()
        upstream.gate.set()
    assert [each.trace.went_upstream for each in callers] == [True, False, False]


async def test_a_redirected_answer_is_found_where_it_was_stored(
    app: App, upstream: ScriptedUpstream
) -> None:
    def say(_name: str, arguments: Mapping[str, Any]) -> str:
        if arguments["libraryId"] == "/old/widget1":
            return "Library /old/widget1 has been redirected to this library: /widgets/widget1."
        return docs_text(arguments)

    upstream.say = say
    async with connected(app) as client:
        result = await call(client, "query-docs", libraryId="/old/widget1", query="start")
    assert provenance(result)["library_id"] == "/widgets/widget1"
    record = await the_record(app)
    held = [await app.services.answer_store.own(key, PUBLIC) for key in record.stored_at]
    assert [each is not None for each in held] == [False, True]


def test_a_secret_in_a_question_is_in_no_file_of_the_store(tmp_path: Path) -> None:
    async def walk() -> None:
        async with (
            scripted_app(ScriptedUpstream(), FakeClock(), tmp_path / "home") as app,
            connected(app) as client,
        ):
            await call(client, "query-docs", libraryId="/widgets/widget1", query=f"use {SECRET}")
            await call(client, "query-docs", libraryId=7, query=f"use {SECRET}")
            assert len(await records(app)) == 2

    anyio.run(walk)
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"use [api-key]" in stored
    assert SECRET.encode() not in stored


async def test_what_waits_is_written_when_the_app_closes(tmp_path: Path) -> None:
    clock = FakeClock()
    async with (
        scripted_app(ScriptedUpstream(), clock, tmp_path / "home") as app,
        connected(app) as client,
    ):
        await call(client, "query-docs", libraryId="/widgets/widget1", query="start")
    async with scripted_app(ScriptedUpstream(), clock, tmp_path / "home") as app:
        assert (await the_record(app)).tool == "query-docs"


async def test_a_store_that_fails_loses_no_answer_and_no_record(app: App) -> None:
    asked = {"libraryId": "/widgets/widget1", "query": "start"}
    store = app.settings.home / "fabric"
    async with connected(app) as client:
        execute(store, REFUSE)
        first = await call(client, "query-docs", **asked)
        await app.services.call_log.flush()
        assert await app.fabric.count_contexts(Scope.EXECUTION) == 0
        execute(store, "DROP TRIGGER refuse")
        second = await call(client, "query-docs", **asked)
    assert texts(first) == texts(second)
    ids = {provenance(each)["execution_id"] for each in (first, second)}
    assert {record.id for record in await records(app)} == ids


async def test_records_are_kept_for_the_time_and_the_number_set(tmp_path: Path) -> None:
    clock, limits = FakeClock(), {"EXECUTIONS_KEEP": "1h", "EXECUTIONS_MOST": "2"}
    kept = []
    for number in range(4):
        clock.forward(1)
        async with (
            scripted_app(ScriptedUpstream(), clock, tmp_path / "home", **limits) as app,
            connected(app) as client,
        ):
            await call(client, "query-docs", libraryId="/widgets/widget1", query=f"q{number}")
            kept = [record.arguments["query"] for record in await records(app)]
    assert kept == ["q2", "q3"]
    clock.forward(3601)
    async with scripted_app(ScriptedUpstream(), clock, tmp_path / "home", **limits) as app:
        assert await records(app) == []


async def test_a_record_that_is_too_large_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home, clock = tmp_path / "home", FakeClock()
    async with (
        scripted_app(ScriptedUpstream(), clock, home, VALUE_LIMIT="2000") as app,
        connected(app) as client,
    ):
        await call(client, "query-docs", libraryId="/widgets/widget1", query="long " * 400)
        short = await call(client, "query-docs", libraryId=7)
        assert (await the_record(app)).id == provenance(short)["execution_id"]
    assert "a record is not stored: " in caplog.text


async def test_what_cannot_be_trimmed_is_a_fault_of_the_store_and_no_more(tmp_path: Path) -> None:
    home, clock = tmp_path / "home", FakeClock()
    async with (
        scripted_app(ScriptedUpstream(), clock, home, EXECUTIONS_MOST="1") as app,
        connected(app) as client,
    ):
        execute(home / "fabric", REFUSE.replace("INSERT", "DELETE"))
        for _ in range(2):
            await call(client, "query-docs", libraryId=7)
        assert len(await records(app)) == 2
        assert app.fabric.faults.count == 1
        execute(home / "fabric", "DROP TRIGGER refuse")
