"""Counts of a client: hits, misses, tokens, and uses of rows."""

from __future__ import annotations

from pathlib import Path

import anyio

from context7_fabric.client import Context7CacheClient
from context7_fabric.models import Caller, Question, tokens
from support.scripted import FakeClock, ScriptedUpstream, list_text, scripted_app
from unit.client.programs import PYDANTIC, REDIS, server


async def test_statistics_are_those_of_the_clients_look_ups(cache: Context7CacheClient) -> None:
    nothing = {"cache_hits": 0, "cache_misses": 0, "hit_rate_percent": 0.0}
    none_yet = {"local_cache_size": 0, "estimated_tokens_saved": 0}
    assert cache.get_stats() == nothing | none_yet
    for name in ("pydantic", "pydantic", "widget"):
        await cache.get_library_id(name)
    assert cache.get_stats() == {
        "cache_hits": 2,
        "cache_misses": 1,
        "hit_rate_percent": 66.67,
        "local_cache_size": 1,
        "estimated_tokens_saved": 0,
    }


async def test_tokens_saved_are_the_stored_list_without_the_id(
    eager: Context7CacheClient, home: Path, clock: FakeClock
) -> None:
    await eager.get_library_id("langgraph")
    assert eager.get_stats()["estimated_tokens_saved"] == 0
    upstream = ScriptedUpstream()
    async with scripted_app(upstream, clock, home, MODEL="off") as app:
        for name, count in (("pydantic", 5), ("widget", 9)):
            upstream.say = lambda _tool, _arguments, count=count: list_text(count)
            await app.services.resolve(Question(name), Caller(app.principal))
    five, nine = tokens(list_text(5)), tokens(list_text(9))
    await eager.get_library_id("pydantic")
    saved = five - tokens(PYDANTIC)
    assert eager.get_stats()["estimated_tokens_saved"] == saved
    await eager.get_library_id("pydantic")
    assert eager.get_stats()["estimated_tokens_saved"] == 2 * saved
    await eager.get_library_id("redis")
    mean = round((five + nine) / 2)
    assert eager.get_stats()["estimated_tokens_saved"] == 2 * saved + mean - tokens(REDIS)


async def test_another_principals_lists_are_not_measured(
    cache: Context7CacheClient, home: Path, clock: FakeClock
) -> None:
    upstream = ScriptedUpstream()
    async with scripted_app(upstream, clock, home, MODEL="off", PRINCIPAL="other") as app:
        await app.services.resolve(Question("widget"), Caller(app.principal))
    await cache.get_library_id("pydantic")
    assert cache.get_stats()["estimated_tokens_saved"] == 0


async def test_every_hit_counts_as_a_use_of_the_row(home: Path, clock: FakeClock) -> None:
    async with Context7CacheClient(clock=clock) as cache:
        for name in ("pydantic", "pydantic", "pydantic v2", "redis", "nothing"):
            await cache.get_library_id(name)
    async with server(home, clock) as app:
        rows = [app.services.registry.row(each) for each in (PYDANTIC, REDIS)]
        assert [row and row.usage_count for row in rows] == [3, 1]


async def test_the_first_use_is_written_without_closing(
    cache: Context7CacheClient, home: Path, clock: FakeClock
) -> None:
    await cache.get_library_id("pydantic")
    async with server(home, clock) as app:
        row = app.services.registry.row(PYDANTIC)
        assert row is not None
        assert row.usage_count == 1


async def test_uses_that_memory_answered_are_written_now_and_then(
    eager: Context7CacheClient, home: Path, clock: FakeClock
) -> None:
    for _ in range(3):
        await eager.get_library_id("pydantic")
    async with server(home, clock) as app:
        row = app.services.registry.row(PYDANTIC)
        assert row is not None
        assert row.usage_count == 3


async def test_callers_at_once_get_the_same_and_all_count(home: Path, clock: FakeClock) -> None:
    given: list[str | None] = []
    async with Context7CacheClient(clock=clock) as cache:

        async def ask() -> None:
            given.append(await cache.get_library_id("pydantic"))

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(ask)
        assert given == [PYDANTIC] * 50
        assert cache.get_stats()["cache_hits"] == 50
    async with server(home, clock) as app:
        row = app.services.registry.row(PYDANTIC)
        assert row is not None
        assert row.usage_count == 50
