"""A rating of an answer acts on what the next to ask is served, in both eras of the protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client

from context7_fabric.fabric.context import Scope
from context7_fabric.models import PUBLIC
from context7_fabric.runtime.app import App
from support.app_server import MODES, call, connected, provenance, texts
from support.scripted import FakeClock, ScriptedUpstream, list_text, scripted_app

DAY = 86400
DOCS = {"libraryId": "/widgets/widget1", "query": "start"}
NAME = {"libraryName": "widget", "query": "start"}


@pytest.fixture
async def app(upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path) -> AsyncIterator[App]:
    """Return an open app that takes feedback."""
    async with scripted_app(upstream, clock, tmp_path / "home", TOOLS="+feedback") as opened:
        yield opened


async def asked(client: Client, tool: str, given: dict[str, str]) -> dict[str, Any]:
    """Return what an answer says of itself."""
    return provenance(await call(client, tool, **given))


async def rate(
    client: Client, answer: dict[str, Any], rating: int, **more: str
) -> types.CallToolResult:
    execution_id = answer["execution_id"]
    return await call(client, "record-feedback", executionId=execution_id, rating=rating, **more)


@pytest.mark.parametrize("mode", MODES)
async def test_a_bad_answer_is_asked_for_again(app: App, mode: str) -> None:
    async with connected(app, mode) as client:
        answer = await asked(client, "query-docs", DOCS)
        assert (await asked(client, "query-docs", DOCS))["outcome"] == "hit"
        result = await rate(client, answer, 1, comment="wrong", corrections="use v2")
        effect = "the stored answer is dropped, the next question goes upstream"
        assert texts(result) == [f"recorded 1 of 5 for {answer['execution_id']}: {effect}"]
        assert not result.is_error
        assert (await asked(client, "query-docs", DOCS))["outcome"] == "miss"
    (kept,) = await app.fabric.query("feedback:*", Scope.FEEDBACK)
    assert kept.key == f"feedback:{answer['execution_id']}"
    assert isinstance(kept.value, dict)
    assert (kept.value["comment"], kept.value["corrections"]) == ("wrong", "use v2")


async def test_a_bad_look_up_loses_its_list_and_the_choice(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.texts["resolve-library-id"] = list_text(title="Widget")
    async with connected(app) as client:
        await asked(client, "resolve-library-id", NAME)
        await asked(client, "query-docs", DOCS)
        learned = await asked(client, "resolve-library-id", NAME)
        assert (learned["tier"], learned["library_id"]) == ("learned", "/widgets/widget1")
        result = await rate(client, learned, 2)
        assert "dropped" in texts(result)[0]
        assert "the library chosen for the name is forgotten" in texts(result)[0]
        assert (await asked(client, "resolve-library-id", NAME))["outcome"] == "miss"
        assert (await asked(client, "resolve-library-id", NAME))["tier"] == "name"


async def test_a_library_of_the_registry_loses_its_choice_as_such_too(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.texts["resolve-library-id"] = list_text(title="FastAPI")
    async with connected(app) as client:
        alias, name = {**NAME, "libraryName": "fast-api"}, {**NAME, "libraryName": "fastapi"}
        await asked(client, "resolve-library-id", alias)
        await asked(client, "query-docs", DOCS)
        assert (await asked(client, "resolve-library-id", name))["tier"] == "learned"
        await rate(client, await asked(client, "resolve-library-id", alias), 1)
        assert (await asked(client, "resolve-library-id", name))["outcome"] == "miss"
        assert (await asked(client, "resolve-library-id", name))["tier"] == "name"


async def test_a_good_answer_stays_fresh_twice_as_long(app: App, clock: FakeClock) -> None:
    async with connected(app) as client:
        answer = await asked(client, "query-docs", DOCS)
        clock.forward(4 * DAY)
        assert (await asked(client, "query-docs", DOCS))["outcome"] == "stale"
        await rate(client, answer, 5)
        assert (await asked(client, "query-docs", DOCS))["outcome"] == "hit"
        clock.forward(4 * DAY)
        assert (await asked(client, "query-docs", DOCS))["outcome"] != "miss"


async def test_a_good_answer_is_served_stale_twice_as_long(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    async with connected(app) as client:
        await rate(client, await asked(client, "query-docs", DOCS), 4)
        before = len(upstream.calls)
        clock.forward(5 * DAY)
        assert (await asked(client, "query-docs", DOCS))["outcome"] == "hit"
        assert len(upstream.calls) == before
        clock.forward(50 * DAY)
        assert (await asked(client, "query-docs", DOCS))["outcome"] == "stale"


async def test_a_middling_rating_leaves_the_answer_alone(app: App, clock: FakeClock) -> None:
    async with connected(app) as client:
        answer = await asked(client, "query-docs", DOCS)
        await rate(client, answer, 3)
        assert (await asked(client, "query-docs", DOCS))["outcome"] == "hit"
        clock.forward(4 * DAY)
        assert (await asked(client, "query-docs", DOCS))["outcome"] == "stale"


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_feedback_on_what_cannot_be_rated_is_refused(app: App, mode: str) -> None:
    async with connected(app, mode) as client:
        for execution_id in ("0123", "*"):
            result = await rate(client, {"execution_id": execution_id}, 1)
            assert result.is_error
            assert texts(result)[0].startswith("no record of a call has an id that begins with")


async def test_a_call_is_named_by_the_beginning_of_its_id(app: App) -> None:
    async with connected(app) as client:
        answer = await asked(client, "query-docs", DOCS)
        result = await rate(client, {"execution_id": answer["execution_id"][:8]}, 3)
        assert answer["execution_id"] in texts(result)[0]


async def test_a_call_of_another_principal_is_not_rated(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    async with (
        scripted_app(upstream, clock, home, PRINCIPAL="other") as other,
        connected(other) as client,
    ):
        answer = await asked(client, "query-docs", DOCS)
    async with scripted_app(upstream, clock, home, TOOLS="+feedback") as app:
        async with connected(app) as client:
            assert (await rate(client, answer, 1)).is_error
        assert await app.fabric.keys(Scope.FEEDBACK) == []
        assert await app.fabric.query("docs:*#name-other")


async def test_feedback_on_a_bad_public_answer_drops_it_for_all_it_was_served_to(
    upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    async with scripted_app(upstream, clock, home) as app, connected(app) as client:
        await asked(client, "query-docs", DOCS)
    settings = {"PRINCIPAL": "me", "TOOLS": "+feedback"}
    async with scripted_app(upstream, clock, home, **settings) as app, connected(app) as client:
        answer = await asked(client, "query-docs", DOCS)
        assert answer["outcome"] == "hit"
        await rate(client, answer, 1)
        record = await app.services.call_log.find(answer["execution_id"], lambda _each: True)
        assert await app.services.answer_store.own(record.stored_at[0], PUBLIC) is None
        assert (await asked(client, "query-docs", DOCS))["outcome"] == "miss"
