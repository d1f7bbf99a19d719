"""Answers of the fast path equal those of the SDK, and are recorded and counted alike."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from random import Random

import anyio
import pytest
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from context7_fabric.call_log.records import BEHIND, CallRecord
from context7_fabric.mcp_server.tools import META_KEY
from context7_fabric.models import Answer, Caller, Outcome, Question
from context7_fabric.registry.choices import LearnedChoices
from context7_fabric.runtime.app import App
from context7_fabric.views.purge import Purge
from support.app_server import (
    ASKED,
    OLD,
    QUERY,
    RawClient,
    Reply,
    answer_meta,
    opened,
    records,
)
from support.client import SECONDS
from support.scripted import FakeClock, ScriptedUpstream, docs_text, scripted_app

DAY = 86400.0
BESIDE = {"tests/way": "by the SDK"}
"""Unknown to the fast path: with it in `_meta`, the SDK answers."""


@pytest.fixture
async def raw(app: App) -> AsyncIterator[RawClient]:
    """A raw of the test's app."""
    async with opened(app) as raw:
        yield raw


def apart_from_the_call(reply: Reply) -> Reply:
    """The reply without the fields that differ from call to call."""
    about = {name: value for name, value in answer_meta(reply).items() if name not in _OF_ONE_CALL}
    return reply | {"result": reply["result"] | {"_meta": {META_KEY: about}}}


_OF_ONE_CALL = ("execution_id", "age_seconds")


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (QUERY, ASKED),
        (QUERY, {"question": "Wie heißt das? 日本語 🎉 \x00\x7f\u2028", "libraryID": "/a/b"}),
        (QUERY, {"libraryId": "/widgets/widget1/v1.2", "query": ""}),
        (OLD, {"context7CompatibleLibraryID": "/widgets/widget1"}),
        (OLD, {"libraryId": "/widgets/widget1", "topic": "start", "tokens": 30}),
        (OLD, {"libraryId": "/widgets/widget1", "topic": "start", "page": None, "mode": None}),
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("number", [7, "7", -(2**53), '日本 " \\ \n'], ids=repr)
async def test_a_hit_is_what_the_sdk_would_have_sent(
    raw: RawClient, tool: str, arguments: dict[str, object], number: object
) -> None:
    by_path = await raw.by_fast_path(tool, number, **arguments)
    by_sdk = await raw.ask(tool, number, BESIDE, **arguments)
    assert answer_meta(by_path)["outcome"] == "hit"
    assert json.dumps(apart_from_the_call(by_path)) == json.dumps(apart_from_the_call(by_sdk))
    assert answer_meta(by_path)["execution_id"] != answer_meta(by_sdk)["execution_id"]


@pytest.mark.parametrize("version", HANDSHAKE_PROTOCOL_VERSIONS)
async def test_every_version_with_a_handshake_has_the_same_form(app: App, version: str) -> None:
    async with opened(app, version) as raw:
        by_path = await raw.by_fast_path()
        by_sdk = await raw.ask(meta=BESIDE)
    assert json.dumps(apart_from_the_call(by_path)) == json.dumps(apart_from_the_call(by_sdk))


async def test_notice_that_was_cut_off_is_stated_as_by_the_sdk(
    raw: RawClient, upstream: ScriptedUpstream
) -> None:
    notice = "Upgrade your plan at https://context7.com/plans for higher limits."
    upstream.texts[QUERY] = f"{notice}\n\n{docs_text({'query': 'start'})}"
    by_path = await raw.by_fast_path()
    assert notice in by_path["result"]["content"][1]["text"]
    assert answer_meta(by_path)["screening"] == ["notice"]
    by_sdk = await raw.ask(meta=BESIDE)
    assert json.dumps(apart_from_the_call(by_path)) == json.dumps(apart_from_the_call(by_sdk))


async def test_the_age_is_that_of_the_moment(raw: RawClient, clock: FakeClock) -> None:
    assert answer_meta(await raw.by_fast_path())["age_seconds"] == 0
    clock.forward(5)
    assert answer_meta(await raw.by_fast_path())["age_seconds"] == 5


async def test_an_answer_is_recorded_and_counted_once(raw: RawClient, app: App) -> None:
    await raw.by_fast_path()
    before = (await app.services.quota.month()).saved
    old = {each.id for each in await records(app)}
    by_path, by_sdk = (
        await raw.by_fast_path(meta={"progressToken": 1}),
        await raw.ask(meta=BESIDE),
    )
    new = {each.id: each for each in await records(app) if each.id not in old}
    other, reference = (new[answer_meta(each)["execution_id"]] for each in (by_path, by_sdk))
    assert (await app.services.quota.month()).saved - before == len(new)
    assert reference.client == "tests 1"
    assert _without_times(other) == _without_times(reference)


def _without_times(record: CallRecord) -> tuple[object, ...]:
    return (
        record.tool,
        record.arguments,
        record.outcome,
        record.tier,
        record.library_id,
        tuple(step.what for step in record.steps),
        record.size,
        record.tokens,
        record.tokens_saved,
        record.upstream,
        record.client,
        record.principal,
        record.stored_at,
        record.automated,
        record.error,
    )


async def test_client_that_reads_late_gets_every_answer(raw: RawClient) -> None:
    await raw.by_fast_path()
    count = 3000
    for number in range(count):
        raw.send("tools/call", {"name": QUERY, "arguments": ASKED}, number)
    with anyio.fail_after(SECONDS):
        await raw.outgoing.drain()
    ids = {(await raw.receive())["id"] for _ in range(count)}
    assert ids == set(range(count))
    assert count - raw.by_sdk >= BEHIND  # the SDK answers while the records are behind


@pytest.mark.parametrize("seed", range(8))
async def test_cached_answer_equals_the_hit_of_a_query_after_any_history(
    app: App, upstream: ScriptedUpstream, clock: FakeClock, seed: int
) -> None:
    chance, seen = Random(seed), 0  # noqa: S311  # the same walk every time
    questions = [Question(f"/widgets/widget{each}", "start") for each in (1, 2, 3)]
    async with scripted_app(upstream, clock, app.settings.home, PRINCIPAL="two") as other:
        for _ in range(200):
            question = chance.choice(questions)
            await _something_happens(chance, app, other, clock)
            quick, slow = Caller(app.principal), Caller(app.principal)
            cached = app.services.cached(question, quick)
            answer = await app.services.query(question, slow)
            if cached is not None:
                assert (answer.outcome, _lasting(cached)) == (Outcome.HIT, _lasting(answer))
                assert quick.trace.stored_at == slow.trace.stored_at
                assert [what for what, _ in quick.trace.steps] == [
                    what for what, _ in slow.trace.steps
                ]
                seen += 1
    assert seen > 10


async def _something_happens(chance: Random, app: App, other: App, clock: FakeClock) -> None:
    question = Question(f"/widgets/widget{chance.randint(1, 3)}", "start")
    match chance.randint(0, 19):
        case 0:
            clock.forward(chance.choice([3600, DAY, 40 * DAY]))
        case 1:
            await Purge(other.fabric).everything()
        case 2:
            await other.services.query(question, Caller(other.principal))
        case 3:
            await app.services.resolve(Question("widget", "start"), Caller(app.principal))
        case 4:
            old, new = (f"/widgets/widget{each}" for each in chance.sample((1, 2, 3), 2))
            await LearnedChoices(other.fabric).move(old, new, app.principal)
        case _:
            await app.services.query(question, Caller(app.principal))


def _lasting(answer: Answer) -> tuple[object, ...]:
    """Fields that do not differ from call to call."""
    return (
        answer.text,
        answer.outcome,
        answer.tier,
        answer.library_id,
        answer.fetched_at,
        answer.age_seconds,
        answer.note,
        answer.screening,
    )
