"""The product in front of the real 4.1.1: the same texts to the byte, each fetched once.

It holds for a server started as a command and for one over HTTP, also when either is killed.
"""

import json
from pathlib import Path

import anyio
import mcp_types as types
import pytest
from mcp import Client

from support.app_server import MODES, provenance, texts
from support.client import Dialogue, over_http, over_stdio, talking, texts_of
from support.context7_api import Api
from support.faults import FAILURES
from support.mortal import KINDS, mortal_upstream
from support.processes import spawn
from support.product import PROGRAM, Variables, product_environment

pytestmark = pytest.mark.either_mode

FASTAPI = "/fastapi/fastapi"
QUESTION = "How do I test a WebSocket?"
OTHER_QUESTION = "How do I stream a response?"
LOOK_UP = {"libraryName": "fastapi", "query": QUESTION}
ASKED = {"libraryId": FASTAPI, "query": QUESTION}
KEY = "ctx7sk-harbour"
SECONDS_TO_RETURN = 10
"""Enough for the start of a real server, and for what opens and closes the circuit breaker."""


def topic(text: str) -> dict[str, str]:
    """The arguments of the older tool."""
    return {"context7CompatibleLibraryID": FASTAPI, "topic": text}


async def resolve(client: Client) -> types.CallToolResult:
    return await client.call_tool("resolve-library-id", LOOK_UP)


async def docs(
    client: Client, question: str = QUESTION, library_id: str = FASTAPI
) -> types.CallToolResult:
    return await client.call_tool("query-docs", {"libraryId": library_id, "query": question})


@pytest.mark.parametrize("mode", MODES)
async def test_a_miss_is_the_real_servers_answer_and_a_hit_is_the_same_without_a_request(
    api: Api, home: Path, upstream: Variables, real_url: str, mode: str
) -> None:
    calls = [
        ("resolve-library-id", LOOK_UP),
        ("query-docs", ASKED),
        ("get-library-docs", topic("websocket")),
    ]
    environment = product_environment(home, upstream)
    async with over_stdio([PROGRAM], environment, mode) as client:
        misses, hits = [], []
        for tool, arguments in calls:
            misses.append(await client.call_tool(tool, arguments))
            seen = api.calls
            hits.append(await client.call_tool(tool, arguments))
            assert api.calls == seen
    assert api.calls == 3
    async with over_http(real_url) as real:
        direct = [
            await real.call_tool("resolve-library-id", LOOK_UP),
            await real.call_tool("query-docs", ASKED),
            await real.call_tool("query-docs", {"libraryId": FASTAPI, "query": "websocket"}),
        ]
    assert [each.content for each in misses] == [each.content for each in direct]
    assert [each.content for each in hits] == [each.content for each in direct]
    assert [provenance(each)["outcome"] for each in misses] == ["miss"] * 3
    assert [provenance(each)["outcome"] for each in hits] == ["hit"] * 3
    assert not any(each.is_error for each in (*misses, *hits))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_restart_knows_tools_and_answers_without_looking_for_upstream(
    api: Api, home: Path, tmp_path: Path, real_url: str, kind: str
) -> None:
    async with over_http(real_url) as direct:
        own = (await direct.list_tools()).tools
    with mortal_upstream(kind, api, tmp_path) as real:
        environment = product_environment(home, real.variables)
        async with over_stdio([PROGRAM], environment) as client:
            before = (await client.list_tools()).tools
            assert api.calls == 0
            found, answer = await resolve(client), await docs(client)
            after = (await client.list_tools()).tools
        assert [tool.name for tool in before] == [tool.name for tool in after]
        assert after[:-1] == own
        assert after[-1].name == "get-library-docs"
        real.end()
        async with over_stdio([PROGRAM], environment) as client:
            assert (await client.list_tools()).tools == after
            again = [await docs(client), await resolve(client)]
        assert [provenance(each)["outcome"] for each in again] == ["hit", "hit"]
        assert again[0].content == answer.content
        # The question taught which library was meant: the look-up repeats its entry alone.
        assert provenance(again[1])["tier"] == "learned"
        first_entry = texts(found)[0].removeprefix("Available Libraries:\n\n").split("\n---")[0]
        assert first_entry in texts(again[1])[0]
        assert real.contacts == 0
    assert api.calls == 2


async def test_two_processes_on_one_home_share_what_either_fetched_and_fetch_it_once(
    api: Api, home: Path, upstream: Variables
) -> None:
    environment = product_environment(home, upstream)
    at_once: list[types.CallToolResult] = []

    async def ask(client: Client) -> None:
        at_once.append(await docs(client, OTHER_QUESTION))

    async with (
        over_stdio([PROGRAM], environment) as one,
        over_stdio([PROGRAM], environment) as other,
    ):
        pairs = [
            (await resolve(one), await resolve(other)),
            (await docs(other), await docs(one)),
        ]
        assert api.calls == 2
        with api.gate() as gate:
            async with anyio.create_task_group() as both:
                both.start_soon(ask, one)
                both.start_soon(ask, other)
                await gate.arrived(1)
                gate.release()
    for first, second in pairs:
        assert first.content == second.content
        assert (provenance(first)["outcome"], provenance(second)["outcome"]) == ("miss", "hit")
    assert at_once[0].content == at_once[1].content
    outcomes = {provenance(each)["outcome"] for each in at_once}
    assert "miss" in outcomes
    assert outcomes < {"miss", "coalesced", "hit"}
    assert api.calls == 3


async def test_a_key_on_the_command_line_reaches_the_api_before_one_in_the_environment(
    api: Api, home: Path, upstream: Variables
) -> None:
    environment = product_environment(home, {**upstream, "CONTEXT7_API_KEY": "ctx7sk-beaten"})
    async with over_stdio([PROGRAM, "--api-key", KEY], environment) as client:
        await resolve(client)
        await docs(client)
    assert [each.headers["authorization"] for each in api.requests] == [f"Bearer {KEY}"] * 2


def test_answers_fetched_with_a_key_are_served_to_no_other_key_and_to_no_client_without_one(
    api: Api, home: Path, upstream: Variables
) -> None:
    private = {"libraryId": "/harbour/ledger", "query": "How do I post?"}

    def environment(key: str) -> dict[str, str]:
        return product_environment(home, {**upstream, "CONTEXT7_API_KEY": key})

    with (
        spawn([PROGRAM], environment(KEY)) as owner,
        spawn([PROGRAM], environment("ctx7sk-other")) as other,
        spawn([PROGRAM], environment("")) as keyless,
    ):
        answers = []
        for process in (owner, other, keyless):
            dialogue = Dialogue(process)
            dialogue.introduce()
            answers.append([texts_of(dialogue.call("query-docs", **private))[0] for _ in range(2)])
    assert "ledger.post" in answers[0][0]
    assert answers[0][1] == answers[0][0]
    assert answers[1:] == [[FAILURES["library missing"].said("/harbour/ledger")] * 2] * 2
    headers = [each.headers.get("authorization") for each in api.requests]
    assert headers == [f"Bearer {KEY}", "Bearer ctx7sk-other", None]


async def test_redirects_are_followed_once_and_remembered(
    api: Api, home: Path, upstream: Variables, real_url: str
) -> None:
    old = "/tiangolo/fastapi"
    api.redirects = {old: "/fast/api", "/fast/api": FASTAPI}
    async with over_stdio(
        [PROGRAM], product_environment(home, {**upstream, "CONTEXT7_FABRIC_META": "full"})
    ) as client:
        answer = await docs(client, QUESTION, old)
        asked = [each.query["libraryId"] for each in api.requests]
        again = await docs(client, QUESTION, old)
        new = await docs(client)
        await docs(client, OTHER_QUESTION, old)
    assert asked == [old, "/fast/api", FASTAPI]
    assert [each.query["libraryId"] for each in api.requests][3:] == [FASTAPI]
    async with over_http(real_url) as real:
        direct = await docs(real)
    assert answer.content == again.content == new.content == direct.content
    assert [provenance(each)["outcome"] for each in (answer, again, new)] == ["miss", "hit", "hit"]
    assert provenance(answer)["library_id"] == FASTAPI


@pytest.mark.parametrize("kind", KINDS)
async def test_an_upstream_that_is_killed_costs_no_call_that_could_be_answered(
    api: Api, home: Path, tmp_path: Path, kind: str
) -> None:
    with mortal_upstream(kind, api, tmp_path) as real:
        async with over_stdio([PROGRAM], product_environment(home, real.variables)) as client:
            await docs(client)
            real.end()
            real.come_back()
            next_call = await docs(client, OTHER_QUESTION)
            real.end()
            stored = await docs(client)
            lacking = await docs(client, QUESTION, "/numpy/numpy")
            real.come_back()
            with anyio.fail_after(SECONDS_TO_RETURN):
                while (found := await docs(client, QUESTION, "/numpy/numpy")).is_error:
                    assert "cannot be reached" in texts(found)[0]
                    await anyio.sleep(0.05)
    assert provenance(next_call)["outcome"] == "miss"
    assert f"### Walk through: {OTHER_QUESTION}" in texts(next_call)[0]
    assert provenance(stored)["outcome"] == "hit"
    assert lacking.is_error
    assert "cannot be reached" in texts(lacking)[0]
    assert "\n" not in texts(lacking)[0]
    assert provenance(found)["outcome"] == "miss"


def test_stdout_carries_the_protocol_and_nothing_else(
    api: Api, home: Path, by_command: Variables
) -> None:
    with talking([PROGRAM], product_environment(home, by_command)) as dialogue:
        for question in (QUESTION, QUESTION, OTHER_QUESTION):
            dialogue.call("query-docs", libraryId=FASTAPI, query=question)
        process = dialogue.process
        process.close_stdin()
        assert process.wait() == 0
        process.out.close()
        messages = [json.loads(line) for line in process.out.text.splitlines()]
    assert all(each["jsonrpc"] == "2.0" for each in messages)
    assert [each["id"] for each in messages if "id" in each] == [1, 2, 3, 4]
    notifications = {each["method"] for each in messages if "id" not in each}
    assert notifications <= {"notifications/tools/list_changed"}
