"""Three servers on one Redis: they share all entries, and no home holds any."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import httpx2
import mcp_types as types
import pytest
from anyio import to_thread
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from support.client import PLAIN, outcome_of, until
from support.context7_api import Api
from support.mcp_upstream import mcp_upstream
from support.metrics import scraped
from support.notices import PROMPTS, TOOLS, UPDATED, Inbox, noticed_within, subscribed
from support.product import Variables, product_environment, run_product
from support.redis_servers import RedisServer, redis_server
from support.replicas import REPLICAS, Replica, answers, on_redis, replicas, text_of

ANN, BOB = "ctx7sk-ann", "ctx7sk-bob"
SECOND = 1.0


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def variables(by_http: Variables, redis: RedisServer) -> Variables:
    return on_redis(by_http, redis.patient_url)


@pytest.fixture(scope="module")
def three(
    variables: Variables, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Replica]]:
    folder = tmp_path_factory.mktemp("replicas")
    with replicas(folder, *[variables] * REPLICAS) as these:
        yield these


def asked_at_once(
    api: Api, three: list[Replica], question: str, *keys: str | None
) -> list[dict[str, Any]]:
    """Ask all replicas at once, each with its key; upstream is held until all wait for it."""
    with ThreadPoolExecutor(REPLICAS) as threads, api.gate() as gate:
        waiting = [
            threads.submit(each.ask, question, key) for each, key in zip(three, keys, strict=True)
        ]
        gate.wait_for(len(set(keys)))
        for each in three:
            until(each.served, partial(is_in_flight, each))
        gate.release()
        return [each.result() for each in waiting]


def is_in_flight(replica: Replica) -> bool:
    """Return True if a question waits for upstream or for another replica's flight."""
    return scraped(replica.served).total("flights") == 1


@pytest.mark.parametrize("key", [None, ANN])
def test_the_same_question_on_all_at_once_costs_one_call(
    api: Api, three: list[Replica], key: str | None
) -> None:
    question = f"Who asks this at once, with {'a' if key else 'no'} key?"
    results = asked_at_once(api, three, question, key, key, key)
    assert [request.key for request in api.requests] == [key]
    assert all(answers(each, question) for each in results)
    assert sorted(map(outcome_of, results)) == ["coalesced", "coalesced", "miss"]
    assert [outcome_of(each.ask(question, key)) for each in three] == ["hit"] * REPLICAS


def test_the_same_look_up_on_all_costs_one_call(api: Api, three: list[Replica]) -> None:
    found = [
        each.call("resolve-library-id", libraryName="numpy", query="How are arrays added?")
        for each in three
    ]
    assert [outcome_of(each) for each in found] == ["miss", "hit", "hit"]
    assert len({text_of(each) for each in found}) == 1
    assert api.calls == 1


def test_what_a_key_fetched_every_replica_serves_to_that_key_alone(
    api: Api, three: list[Replica]
) -> None:
    question, (first, second, third) = "Whose is this answer?", three
    assert outcome_of(first.ask(question, ANN)) == "miss"
    assert outcome_of(second.ask(question, BOB)) == "miss"
    assert outcome_of(third.ask(question, ANN)) == "hit"
    assert outcome_of(first.ask(question, BOB)) == "hit"
    assert outcome_of(third.ask(question)) == "miss"
    assert [request.key for request in api.requests] == [ANN, BOB, None]


def test_different_keys_with_the_same_question_at_once_have_a_call_each(
    api: Api, three: list[Replica]
) -> None:
    question = "Who asks this at once, with which key?"
    results = asked_at_once(api, three, question, ANN, BOB, None)
    assert [outcome_of(each) for each in results] == ["miss"] * REPLICAS
    assert {request.key for request in api.requests} == {ANN, BOB, None}


def test_no_key_stands_in_redis_or_in_a_log(
    api: Api, three: list[Replica], redis: RedisServer
) -> None:
    assert not three[0].ask("Where is my key written down?", ANN).get("isError")
    entries = redis.cli("--scan").splitlines()
    kept = [redis.cli("--no-raw", "HGETALL", each) for each in entries if ":entry:" in each]
    assert any("Where is my key written down?" in each for each in kept)
    assert not [each for each in (*entries, *kept, *(each.log for each in three)) if ANN in each]


def test_what_is_stored_for_a_user_on_one_is_read_changed_and_found_on_the_others(
    three: list[Replica],
) -> None:
    first, second, third = three
    note = {"key": "note:bread", "scope": "USER"}
    first.call("fabric-set", value="flour", **note)
    assert json.loads(text_of(second.call("fabric-get", **note)))["value"] == "flour"
    second.call("fabric-set", value="rye flour", **note)
    assert json.loads(text_of(third.call("fabric-get", **note)))["value"] == "rye flour"
    assert "note:bread" in text_of(third.call("fabric-query", pattern="note:*", scope="USER"))
    assert "note:bread" in text_of(first.call("fabric-search", query="rye", scope="USER"))


def test_a_bad_rating_on_one_drops_the_answer_on_all(api: Api, three: list[Replica]) -> None:
    question, (first, second, third) = "What is not good enough?", three
    answer = first.ask(question)
    assert [outcome_of(each.ask(question)) for each in (second, third)] == ["hit", "hit"]
    rated = {"executionId": answer["_meta"]["context7-fabric/answer"]["execution_id"], "rating": 1}

    def is_taken() -> bool:  # a record is written soon after its call
        return "dropped" in text_of(second.call("record-feedback", **rated))

    until(second.served, is_taken)
    assert outcome_of(third.ask(question)) == "miss"
    assert outcome_of(first.ask(question)) == "hit"
    assert api.calls == 2


def test_stats_on_another_machine_count_the_calls_of_all(
    three: list[Replica], variables: Variables, home: Path
) -> None:
    environment = product_environment(home, variables)
    library = "/pydantic/pydantic"  # of which no other test asks
    for number, each in enumerate(three):
        question = f"What is asked of machine {number}?"
        results = [each.call("query-docs", libraryId=library, query=question) for _time in range(2)]
        assert [outcome_of(result) for result in results] == ["miss", "hit"]

    def are_counted() -> bool:  # each soon after its call
        records = json.loads(run_product("stats", "--json", env=environment).stdout)["records"]
        seen = {each["library_id"]: each for each in records["most_asked"]}.get(library, {})
        counts = [seen.get(name) for name in ("calls", "upstream_calls", "hits")]
        return counts == [2 * REPLICAS, REPLICAS, REPLICAS]

    until(three[0].served, are_counted)


def test_a_replica_without_what_was_in_its_home_goes_on_as_before(
    api: Api, three: list[Replica]
) -> None:
    public, private, (first, *_others, last) = "What is kept?", "What is kept for me?", three
    last.ask(public)
    first.ask(private, ANN)
    first.stop()
    first.forget()
    first.start()
    assert [outcome_of(each.ask(public)) for each in three] == ["hit"] * REPLICAS
    assert [outcome_of(each.ask(private, ANN)) for each in three] == ["hit"] * REPLICAS
    assert api.calls == 2


@asynccontextmanager
async def over_sse(replica: Replica, inbox: Inbox) -> AsyncIterator[Client]:
    """A client of the legacy era."""
    transport = sse_client(replica.served.url("/sse"), httpx_client_factory=_plain)
    async with Client(transport, mode="legacy", cache=None, message_handler=inbox.take) as client:
        yield client


@asynccontextmanager
async def over_mcp(replica: Replica, inbox: Inbox) -> AsyncIterator[Client]:
    """A client of 2026-07-28."""
    async with httpx2.AsyncClient(verify=PLAIN, trust_env=False, timeout=40) as http:
        transport = streamable_http_client(replica.served.url("/mcp"), http_client=http)
        async with Client(transport, cache=None, message_handler=inbox.take) as client:
            yield client


def _plain(
    headers: dict[str, str] | None = None,
    timeout: httpx2.Timeout | None = None,
    auth: httpx2.Auth | None = None,
) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        headers=headers, timeout=timeout, auth=auth, verify=PLAIN, trust_env=False
    )


WAYS = [pytest.param(over_sse, id="sse-legacy"), pytest.param(over_mcp, id="mcp-modern")]
Connect: TypeAlias = Callable[[Replica, Inbox], AbstractAsyncContextManager[Client]]


async def stored_at(replica: Replica, key: str, value: str) -> None:
    """Store a context by a tool of a replica."""
    result = await to_thread.run_sync(partial(replica.call, "fabric-set", key=key, value=value))
    assert not result.get("isError"), result


@pytest.mark.parametrize("connect", WAYS)
async def test_a_client_of_one_is_notified_of_what_another_stored(
    three: list[Replica], connect: Connect
) -> None:
    here, there, _third = three
    key = f"note:{connect.__name__}"
    uri, inbox = f"fabric://GLOBAL/{quote(key, safe='')}", Inbox()
    async with connect(here, inbox) as client, subscribed(client, uri):
        await stored_at(there, key, "flour")
        await inbox.wait_for(UPDATED, uri)
        await noticed_within(SECOND, [inbox], partial(stored_at, there, key), UPDATED, uri)
        await stored_at(there, "prompt:use-library", f"Just do {{this}} as {key}.")
        await inbox.wait_for(PROMPTS)
        prompt = await client.get_prompt("use-library", {"this": "it"})
    content = prompt.messages[0].content
    assert isinstance(content, types.TextContent)
    assert content.text == f"Just do it as {key}."


async def test_clients_of_one_are_notified_of_tools_that_another_fetched(tmp_path: Path) -> None:
    legacy, modern = Inbox(), Inbox()
    with redis_server() as redis, mcp_upstream() as upstream:
        variables = on_redis({"CONTEXT7_FABRIC_UPSTREAM": upstream.url}, redis.patient_url)
        with replicas(tmp_path, variables, variables) as (here, there):
            async with (
                over_sse(here, legacy) as one,
                over_mcp(here, modern) as other,
                subscribed(one),
                subscribed(other),
            ):
                await to_thread.run_sync(there.ask, "What tools are there?")
                await legacy.wait_for(TOOLS)
                await modern.wait_for(TOOLS)

                async def described_anew(number: str) -> None:
                    upstream.described = f"In other words {number}."
                    await to_thread.run_sync(there.stop)  # connected it would not list them again
                    await to_thread.run_sync(there.start)
                    await to_thread.run_sync(there.ask, f"What tools are there now, {number}?")

                await noticed_within(2 * SECOND, [legacy, modern], described_anew, TOOLS)
                for client in (one, other):
                    (tool, *_others) = (await client.list_tools()).tools
                    assert tool.description == upstream.described
