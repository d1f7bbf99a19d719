"""The product with Redis as its store: homes share entries, and serve without Redis if it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import anyio
import mcp_types as types
import pytest
from mcp import Client

from support.app_server import provenance
from support.client import asked, call, over_stdio, text_of
from support.context7_api import Api
from support.processes import one_within
from support.product import PROGRAM, Variables, product_at_port, product_environment, run_product
from support.redis_servers import RedisServer, redis_server

pytestmark = pytest.mark.either_mode

LOOK_UP = {"libraryName": "fastapi", "query": "How do I test a WebSocket?"}
ASKED = {"libraryId": "/fastapi/fastapi", "query": "How do I test a WebSocket?"}
PASSWORD = "open-sesame"
PATIENCE_SECONDS = 20.0
"""Longest duration of a call while Redis is held: several of its time-outs of a second."""

TO_END = 3.0
"""Longest time in seconds from the signal until a server has ended, calls in flight or not."""


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A server that asks for a password."""
    with redis_server(password=PASSWORD) as server:
        yield server


@pytest.fixture
def on_redis(by_http: Variables, redis: RedisServer) -> Variables:
    """Variables that make the product keep everything in Redis."""
    return {**by_http, "CONTEXT7_FABRIC_BACKEND": redis.patient_url}


@pytest.fixture
def impatient(on_redis: Variables, redis: RedisServer) -> Variables:
    """The same with the product's own time-out of a second."""
    return {**on_redis, "CONTEXT7_FABRIC_BACKEND": redis.url}


async def both(client: Client) -> list[types.CallToolResult]:
    """A look-up and a question."""
    found = await client.call_tool("resolve-library-id", LOOK_UP)
    return [found, await client.call_tool("query-docs", ASKED)]


async def outcome(client: Client) -> object:
    """Ask the question and return its outcome."""
    return provenance(await client.call_tool("query-docs", ASKED))["outcome"]


async def test_two_homes_on_one_redis_share_what_either_fetched(
    api: Api, tmp_path: Path, on_redis: Variables
) -> None:
    async with over_stdio([PROGRAM], product_environment(tmp_path / "one", on_redis)) as client:
        first = await both(client)
    async with over_stdio([PROGRAM], product_environment(tmp_path / "two", on_redis)) as client:
        second = await both(client)
    assert api.calls == 2
    assert [provenance(each)["outcome"] for each in second] == ["hit", "hit"]
    assert second[1].content == first[1].content
    assert not (tmp_path / "one" / "fabric").exists()


async def test_without_redis_every_call_is_answered_by_upstream(
    api: Api, home: Path, redis: RedisServer, on_redis: Variables
) -> None:
    redis.kill()
    async with over_stdio([PROGRAM], product_environment(home, on_redis)) as client:
        results = await both(client)
    assert not any(each.is_error for each in results)
    assert [provenance(each)["outcome"] for each in results] == ["miss", "miss"]
    assert "WebSocket" in text_of(results[1])


async def test_a_redis_that_hangs_delays_an_answer_and_prevents_none(
    api: Api, home: Path, redis: RedisServer, impatient: Variables
) -> None:
    async with over_stdio([PROGRAM], product_environment(home, impatient)) as client:
        await both(client)
        with redis.held():
            begun = monotonic()
            result = await client.call_tool("query-docs", ASKED)
            assert monotonic() - begun < PATIENCE_SECONDS
        assert not result.is_error
        with anyio.fail_after(PATIENCE_SECONDS):
            while await outcome(client) != "hit":  # noqa: ASYNC110  # it is left alone for a while
                await anyio.sleep(0.1)


def test_a_redis_that_hangs_keeps_no_server_from_ending(
    api: Api, home: Path, redis: RedisServer, impatient: Variables
) -> None:
    environment = product_environment(home, impatient)

    def took() -> float:
        with (
            product_at_port("http", environment) as served,
            ThreadPoolExecutor(1) as threads,
            api.gate() as gate,
        ):
            threads.submit(asked, served, message=call("query-docs", **ASKED))
            gate.wait_for(1)
            with redis.held():
                begun = monotonic()
                served.process.popen.terminate()
                assert served.process.wait() == 0
                return monotonic() - begun

    one_within(TO_END, took)


async def test_after_a_restart_of_redis_it_is_used_again(
    api: Api, home: Path, redis: RedisServer, on_redis: Variables
) -> None:
    async with over_stdio([PROGRAM], product_environment(home, on_redis)) as client:
        await both(client)
        redis.kill()
        redis.start()
        outcomes = [provenance((await both(client))[1])["outcome"] for _ in range(2)]
    assert outcomes == ["miss", "hit"]


def test_doctor_and_stats_tell_of_redis_and_of_no_password(
    home: Path, redis: RedisServer, on_redis: Variables
) -> None:
    environment = product_environment(home, on_redis)
    healthy = run_product("doctor", "--json", env=environment)
    assert json.loads(healthy.stdout)["store"]["ok"]
    assert "redis" in healthy.stdout
    redis.kill()
    gone = run_product("doctor", env=environment)
    assert gone.returncode == 1
    assert "store" in gone.stdout
    stats = run_product("stats", "--json", env=environment)
    assert stats.returncode == 0
    for ended in (healthy, gone, stats):
        assert PASSWORD not in ended.stdout + ended.stderr


def test_a_url_of_redis_that_cannot_be_used_is_an_error_of_one_line(home: Path) -> None:
    variables = {"CONTEXT7_FABRIC_BACKEND": f"redis://:{PASSWORD}@host:port"}
    ended = run_product("stats", env=product_environment(home, variables))
    assert ended.returncode == 2
    assert ended.stderr.startswith("context7-fabric: CONTEXT7_FABRIC_BACKEND: ")
    assert len(ended.stderr.splitlines()) == 1
    assert PASSWORD not in ended.stderr


async def test_two_processes_on_one_redis_fetch_the_same_thing_once(
    api: Api, tmp_path: Path, on_redis: Variables
) -> None:
    one, two = (product_environment(tmp_path / name, on_redis) for name in ("one", "two"))
    outcomes: list[object] = []

    async def ask(client: Client) -> None:
        outcomes.append(await outcome(client))

    async with (
        over_stdio([PROGRAM], one) as first,
        over_stdio([PROGRAM], two) as second,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(ask, first)
        tasks.start_soon(ask, second)
    assert api.calls == 1
    assert sorted(map(str, outcomes)) in (["coalesced", "miss"], ["hit", "miss"])
