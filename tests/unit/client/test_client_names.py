"""Names and their ids: seeds, choices that the server learned, and their age."""

from __future__ import annotations

from pathlib import Path

import pytest

from context7_fabric.client import Context7CacheClient
from context7_fabric.models import Caller, Question
from context7_fabric.registry.choices import LearnedChoices
from support.scripted import FakeClock
from unit.client.programs import DAY, PYDANTIC, REDIS, WIDGET, Asked, known, server


@pytest.mark.parametrize(
    ("name", "library_id"),
    [
        ("langchain", "/websites/langchain_oss_python_langchain"),
        ("pydantic", PYDANTIC),
        ("PyDantic", PYDANTIC),
        ("pydantic v2", PYDANTIC),
        ("pydantic python", PYDANTIC),
        ("chroma", "/chroma-core/chroma"),
    ],
)
async def test_a_seeded_library_is_known_by_its_names(
    cache: Context7CacheClient, name: str, library_id: str
) -> None:
    assert await cache.get_library_id(name) == library_id


async def test_a_name_of_several_languages_means_the_library_of_python(
    cache: Context7CacheClient,
) -> None:
    assert await cache.get_library_id("redis") == REDIS
    assert await cache.get_library_id("redis js") is None


@pytest.mark.parametrize("name", ["pydantik", "pydantic-nope", "data validation", "", "x" * 5000])
async def test_name_that_means_no_library_gives_none(cache: Context7CacheClient, name: str) -> None:
    assert await cache.get_library_id(name) is None


async def test_a_row_without_an_id_is_a_miss(cache: Context7CacheClient) -> None:
    assert await cache.get_library_id("huggingface") is None
    assert cache.get_stats()["cache_misses"] == 1


async def test_choice_that_the_server_learned_has_precedence(
    cache: Context7CacheClient, home: Path, clock: FakeClock
) -> None:
    async with server(home, clock) as app:
        caller = Caller(app.principal)
        await app.services.resolve(Question("widget1"), caller)
        await app.services.resolver.used(WIDGET, caller)
    assert await cache.get_library_id("widget1") == WIDGET


async def test_a_choice_is_followed_to_where_its_library_moved(
    cache: Context7CacheClient, home: Path, clock: FakeClock
) -> None:
    async with server(home, clock) as app:
        caller = Caller(app.principal)
        await app.services.resolve(Question("widget 1"), caller)
        await app.services.resolver.used(WIDGET, caller)
        await LearnedChoices(app.fabric).move(WIDGET, "/widgets/new", app.principal)
        await app.services.registry.moved(WIDGET, "/widgets/new")
    assert await cache.get_library_id("widget 1") == "/widgets/new"


async def test_an_id_that_upstream_does_not_know_any_more_is_a_miss(
    cache: Context7CacheClient, home: Path, clock: FakeClock
) -> None:
    async with server(home, clock) as app:
        await app.services.registry.broken(PYDANTIC)
        await app.services.registry.broken(REDIS)
        await LearnedChoices(app.fabric).choose("redis", REDIS, Caller(app.principal).holder)
    assert await cache.get_library_id("pydantic") is None
    assert await cache.get_library_id("redis") is None


async def test_row_that_the_server_changes_is_seen_by_an_open_client(
    eager: Context7CacheClient, home: Path, clock: FakeClock
) -> None:
    assert await eager.get_library_id("pydantic") == PYDANTIC
    async with server(home, clock) as app:
        await app.services.registry.moved(PYDANTIC, "/pydantic/docs")
    assert await eager.get_library_id("pydantic v2") == "/pydantic/docs"


@pytest.mark.parametrize(
    ("variables", "days"),
    [
        ({}, 30),
        ({"LIBRARY_CACHE_TTL_DAYS": "7"}, 7),
        ({"CONTEXT7_FABRIC_LIBRARY_TTL": "2d", "LIBRARY_CACHE_TTL_DAYS": "7"}, 2),
        ({"LIBRARY_CACHE_TTL_DAYS": " "}, 30),
    ],
)
async def test_id_older_than_the_ttl_is_resolved_again(
    home: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    days: int,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    asked = Asked()
    async with Context7CacheClient(None, asked, clock=clock) as cache:
        await cache.get_library_id("widget")
        clock.forward(days * DAY)
        assert await cache.get_library_id("widget") == WIDGET
        assert await known(clock, "widget") == WIDGET
        assert len(asked.names) == 1
        clock.forward(1)
        assert await known(clock, "widget") is None
        assert await cache.get_library_id("widget") == WIDGET
        assert len(asked.names) == 2
        cache.clear_local_cache()
        assert await cache.get_library_id("widget") == WIDGET
        assert len(asked.names) == 2
    assert await known(clock, "widget") == WIDGET


async def test_seed_that_was_never_verified_does_not_expire(
    cache: Context7CacheClient, clock: FakeClock
) -> None:
    await cache.get_library_id("pydantic")
    clock.forward(1000 * DAY)
    assert await cache.get_library_id("pydantic") == PYDANTIC
