"""In front of the real 4.1.1: its texts to the byte, asked for once, whatever goes wrong with it.

Everything holds for a server started as a command and for one reached over HTTP.
"""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client

from context7_fabric.app import open_app
from support.catalogue import Catalogue
from support.clients import over_http, over_stdio
from support.context7_api import Api
from support.dialogue import Dialogue, outcome_of, talking, texts_of
from support.faults import FAILURES
from support.mortal import KINDS, mortal_upstream
from support.processes import spawn
from support.product import PROGRAM, Variables, product_environment
from support.scripted import settings_for
from support.upstreams import api_environment
from support.wire import MODES, provenance, texts

FASTAPI = "/fastapi/fastapi"
QUESTION = "How do I test a WebSocket?"
OTHER_QUESTION = "How do I stream a response?"
LOOK_UP = {"libraryName": "fastapi", "query": QUESTION}
ASKED = {"libraryId": FASTAPI, "query": QUESTION}
KEY = "ctx7sk-harbour"


def topic(text: str) -> dict[str, str]:
    """The arguments of the older tool."""
    return {"context7CompatibleLibraryID": FASTAPI, "topic": text}


async def resolve(client: Client, name: str = "fastapi") -> types.CallToolResult:
    return await client.call_tool("resolve-library-id", {"libraryName": name, "query": QUESTION})


async def docs(client: Client, question: str = QUESTION) -> types.CallToolResult:
    return await client.call_tool("query-docs", {"libraryId": FASTAPI, "query": question})


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


async def test_tools_are_listed_in_upstreams_own_words_once_it_was_asked(
    api: Api, home: Path, upstream: Variables, real_url: str
) -> None:
    async with over_stdio([PROGRAM], product_environment(home, upstream)) as client:
        before = await client.list_tools()
        assert api.calls == 0
        await resolve(client)
        after = await client.list_tools()
    async with over_http(real_url) as real:
        own = await real.list_tools()
    assert [tool.name for tool in before.tools] == [tool.name for tool in after.tools]
    assert after.tools[:-1] == own.tools
    assert after.tools[-1].name == "get-library-docs"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_restart_knows_everything_without_looking_for_upstream(
    api: Api, home: Path, tmp_path: Path, kind: str
) -> None:
    with mortal_upstream(kind, api, tmp_path) as real:
        environment = product_environment(home, real.variables)
        async with over_stdio([PROGRAM], environment) as client:
            found, answer = await resolve(client), await docs(client)
            tools = await client.list_tools()
        real.end()
        async with over_stdio([PROGRAM], environment) as client:
            assert (await client.list_tools()).tools == tools.tools
            again = [await docs(client), await resolve(client)]
        assert again[0].content == answer.content
        assert texts(again[1])[0].startswith(texts(found)[0].split("\n----------\n")[0])
        assert [provenance(each)["outcome"] for each in again] == ["hit", "hit"]
        assert real.contacts == 0
    assert api.calls == 2


async def test_two_processes_on_one_home_share_what_either_fetched(
    api: Api, home: Path, upstream: Variables
) -> None:
    environment = product_environment(home, upstream)
    async with (
        over_stdio([PROGRAM], environment) as one,
        over_stdio([PROGRAM], environment) as other,
    ):
        pairs = [
            (await resolve(one), await resolve(other)),
            (await docs(other), await docs(one)),
        ]
    for first, second in pairs:
        assert first.content == second.content
        assert (provenance(first)["outcome"], provenance(second)["outcome"]) == ("miss", "hit")
    assert api.calls == 2


async def test_two_processes_that_want_the_same_at_once_ask_once(
    api: Api, home: Path, upstream: Variables
) -> None:
    environment = product_environment(home, upstream)
    results: list[types.CallToolResult] = []

    async def ask(client: Client) -> None:
        results.append(await docs(client))

    async with (
        over_stdio([PROGRAM], environment) as one,
        over_stdio([PROGRAM], environment) as other,
    ):
        await docs(one, OTHER_QUESTION)
        api.clear()
        with api.gate() as gate:
            async with anyio.create_task_group() as both:
                both.start_soon(ask, one)
                both.start_soon(ask, other)
                await gate.arrived(1)
                gate.release()
    assert results[0].content == results[1].content
    outcomes = {provenance(each)["outcome"] for each in results}
    assert "miss" in outcomes
    assert outcomes < {"miss", "coalesced", "hit"}
    assert api.calls == 1


@pytest.mark.parametrize("by", ["variable", "flag"])
async def test_a_key_reaches_the_api(api: Api, home: Path, upstream: Variables, by: str) -> None:
    words = ["--api-key", KEY] if by == "flag" else []
    variables = {"CONTEXT7_API_KEY": KEY if by == "variable" else "ctx7sk-beaten-by-the-flag"}
    environment = product_environment(home, {**upstream, **variables})
    async with over_stdio([PROGRAM, *words], environment) as client:
        await resolve(client)
        await docs(client)
    assert [each.headers["authorization"] for each in api.requests] == [f"Bearer {KEY}"] * 2


def test_what_a_key_fetched_is_served_to_no_other_key_and_to_nobody_without(
    api: Api, home: Path, upstream: Variables
) -> None:
    private = {"libraryId": "/harbour/ledger", "query": "How do I post?"}

    def environment(key: str) -> dict[str, str]:
        return product_environment(home, {**upstream, "CONTEXT7_API_KEY": key})

    with (
        spawn([PROGRAM], environment(KEY)) as owner,
        spawn([PROGRAM], environment("ctx7sk-other")) as other,
        spawn([PROGRAM], environment("")) as nobody,
    ):
        told = []
        for process in (owner, other, nobody):
            dialogue = Dialogue(process)
            dialogue.introduce()
            told.append([texts_of(dialogue.call("query-docs", **private))[0] for _ in range(2)])
    assert "ledger.post" in told[0][0]
    assert told[0][1] == told[0][0]
    assert told[1:] == [[FAILURES["library missing"].said("/harbour/ledger")] * 2] * 2
    assert [each.key for each in api.requests] == [KEY, "ctx7sk-other", None]


@pytest.fixture(scope="module")
def real(shared_api: Api, newest: list[str]) -> Iterator[Dialogue]:
    """The real server, asked directly."""
    with talking(newest, api_environment(shared_api)) as dialogue:
        yield dialogue


@pytest.fixture(scope="module")
def ours(upstream: Variables, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dialogue]:
    """The product in front of it; it does not remember that something was not found."""
    home = tmp_path_factory.mktemp("home")
    environment = product_environment(home, {**upstream, "CONTEXT7_FABRIC_NEGATIVE_TTL": "0s"})
    with talking([PROGRAM], environment) as dialogue:
        yield dialogue


LIMITS = ("rate limited", "rate limited, with Retry-After", "quota spent", "spending limit")
"""Failures after which upstream is left alone for a while."""


@pytest.mark.parametrize("name", [name for name in FAILURES if name not in LIMITS])
def test_a_failure_is_told_in_the_real_servers_words_and_not_stored(
    api: Api, ours: Dialogue, real: Dialogue, name: str
) -> None:
    calls = known_only_to(api, name)
    api.fail(FAILURES[name])
    told = [ours.call(tool, **arguments) for tool, arguments in calls]
    meant = [real.call(tool, **arguments) for tool, arguments in calls]
    assert [each["content"] for each in told] == [each["content"] for each in meant]
    assert not any(each.get("isError") for each in (*told, *meant))
    api.heal()
    for tool, arguments in calls:
        assert outcome_of(ours.call(tool, **arguments)) == "miss"
        assert outcome_of(ours.call(tool, **arguments)) == "hit"


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_told_in_the_real_servers_words_and_respected_and_not_stored(
    api: Api, home: Path, upstream: Variables, real: Dialogue, name: str
) -> None:
    calls = known_only_to(api, name)
    api.fail(FAILURES[name])
    with ExitStack() as stack:
        processes = [
            # On homes of their own, because all on one home keep the rest that one was told.
            stack.enter_context(spawn([PROGRAM], product_environment(home / tool, upstream)))
            for tool, _ in calls
        ]
        for process, (tool, arguments) in zip(processes, calls, strict=True):
            dialogue = Dialogue(process)
            dialogue.introduce()
            told = dialogue.call(tool, **arguments)
            assert told["content"] == real.call(tool, **arguments)["content"]
            assert not told.get("isError")
            asked = api.calls
            assert "is not asked for another" in texts_of(dialogue.call(tool, **arguments))[0]
            assert api.calls == asked
    assert not any(anyio.run(stored, home / tool) for tool, _ in calls)


async def stored(home: Path) -> int:
    """How much of upstream's a home holds."""
    async with open_app(settings_for(home, UPSTREAM="off")) as app:
        return sum((await app.desk.shelf.counts()).values())


def known_only_to(api: Api, name: str) -> list[tuple[str, dict[str, Any]]]:
    """A look-up and a question about a library of its own, which no other test can have stored."""
    slug = "".join(sign for sign in name if sign.isalpha())
    library = dataclasses.replace(
        api.catalogue.libraries[0], id=f"/faults/{slug}", title=f"Fault {slug}", names=()
    )
    api.catalogue = Catalogue((library,))
    return [
        ("resolve-library-id", {"libraryName": library.title, "query": QUESTION}),
        ("query-docs", {"libraryId": library.id, "query": QUESTION}),
    ]


async def test_redirects_are_followed_once_and_remembered(
    api: Api, home: Path, upstream: Variables, real_url: str
) -> None:
    api.redirects = {"/tiangolo/fastapi": "/fast/api", "/fast/api": FASTAPI}
    old = {"libraryId": "/tiangolo/fastapi"}
    async with over_stdio([PROGRAM], product_environment(home, upstream)) as client:
        answer = await client.call_tool("query-docs", {**old, "query": QUESTION})
        asked = [each.query["libraryId"] for each in api.requests]
        again = await client.call_tool("query-docs", {**old, "query": QUESTION})
        new = await docs(client)
        await client.call_tool("query-docs", {**old, "query": OTHER_QUESTION})
    assert asked == ["/tiangolo/fastapi", "/fast/api", FASTAPI]
    assert [each.query["libraryId"] for each in api.requests][3:] == [FASTAPI]
    async with over_http(real_url) as real:
        direct = await docs(real)
    assert answer.content == again.content == new.content == direct.content
    assert [provenance(each)["outcome"] for each in (answer, again, new)] == ["miss", "hit", "hit"]
    assert provenance(answer)["library_id"] == FASTAPI


@pytest.mark.parametrize("kind", KINDS)
async def test_an_upstream_that_was_killed_and_is_back_answers_the_next_call(
    api: Api, home: Path, tmp_path: Path, kind: str
) -> None:
    with mortal_upstream(kind, api, tmp_path) as real:
        async with over_stdio([PROGRAM], product_environment(home, real.variables)) as client:
            await resolve(client)
            real.end()
            real.come_back()
            answer = await docs(client)
    assert provenance(answer)["outcome"] == "miss"
    assert f"### Walk through: {QUESTION}" in texts(answer)[0]


@pytest.mark.parametrize("kind", KINDS)
async def test_while_upstream_is_gone_what_is_stored_is_served_and_the_rest_is_an_error(
    api: Api, home: Path, tmp_path: Path, kind: str
) -> None:
    with mortal_upstream(kind, api, tmp_path) as real:
        async with over_stdio([PROGRAM], product_environment(home, real.variables)) as client:
            await docs(client)
            real.end()
            stored = await docs(client)
            lacking = await client.call_tool(
                "query-docs", {"libraryId": "/numpy/numpy", "query": "where"}
            )
            real.come_back()
            found = await client.call_tool(
                "query-docs", {"libraryId": "/numpy/numpy", "query": "where"}
            )
    assert provenance(stored)["outcome"] == "hit"
    assert lacking.is_error
    assert "cannot be reached" in texts(lacking)[0]
    assert "\n" not in texts(lacking)[0]
    assert provenance(found)["outcome"] == "miss"


def test_stdout_carries_the_protocol_and_nothing_else(
    api: Api, home: Path, upstream: Variables
) -> None:
    with talking([PROGRAM], product_environment(home, upstream)) as dialogue:
        for question in (QUESTION, QUESTION, OTHER_QUESTION):
            dialogue.call("query-docs", libraryId=FASTAPI, query=question)
        process = dialogue.process
        process.close_stdin()
        assert process.wait() == 0
        process.out.close()
        lines = process.out.text.splitlines()
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in lines)
    assert len(lines) == 4
