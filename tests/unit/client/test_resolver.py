"""Calls of a resolver, and what is stored of its answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from context7_fabric.client import Context7CacheClient
from context7_fabric.models import Caller, Question
from context7_fabric.registry.rows import Row
from contracts.disk_store import execute
from support.scripted import FakeClock
from unit.client.programs import DAY, LANGGRAPH, PYDANTIC, WIDGET, Asked, known, learned, server


@pytest.mark.parametrize("resolver", [Asked(), Asked().later], ids=["plain", "async"])
async def test_an_unknown_name_is_given_to_the_resolver(
    home: Path, resolver: Callable[[str], str | None]
) -> None:
    async with Context7CacheClient(None, resolver) as cache:
        assert await cache.get_library_id("widget") == WIDGET


async def test_answer_of_the_resolver_is_stored(home: Path, clock: FakeClock) -> None:
    asked = Asked()
    async with Context7CacheClient(fallback_resolver=asked, clock=clock) as cache:
        assert [await cache.get_library_id("widget") for _ in range(3)] == [WIDGET] * 3
    async with Context7CacheClient(fallback_resolver=asked, clock=clock) as cache:
        assert await cache.get_library_id("Widget") == WIDGET
    assert asked.names == ["widget"]


async def test_resolver_is_not_called_for_a_known_name(home: Path) -> None:
    asked = Asked()
    async with Context7CacheClient(None, asked) as cache:
        assert await cache.get_library_id("pydantic") == PYDANTIC
    assert asked.names == []


async def test_resolver_is_not_called_without_use_fallback(home: Path) -> None:
    asked = Asked()
    async with Context7CacheClient(None, asked) as cache:
        assert await cache.get_library_id("widget", False) is None  # noqa: FBT003  # by position
    assert asked.names == []


@pytest.mark.parametrize("answer", [None, "", "widget", "/widget", "/a/b//d", "/a b/c"])
async def test_answer_that_is_no_id_counts_as_none(
    home: Path, clock: FakeClock, answer: str | None
) -> None:
    assert await learned(clock, "widget", answer) is None
    assert await known(clock, "widget") is None


async def test_error_of_the_resolver_is_raised_and_stores_nothing(home: Path) -> None:
    def fail(name: str) -> str:
        raise LookupError(name)

    async with Context7CacheClient(None, fail) as cache:
        with pytest.raises(LookupError, match="widget"):
            await cache.get_library_id("widget")
        assert await cache.get_library_id("widget", use_fallback=False) is None


async def test_id_is_returned_in_its_canonical_form(home: Path, clock: FakeClock) -> None:
    assert await learned(clock, "widget", " /widgets/widget1@2.0 ") == "/widgets/widget1/2.0"


async def test_an_id_with_a_version_is_kept_by_the_client_alone(
    home: Path, clock: FakeClock
) -> None:
    asked = Asked(f"{WIDGET}/2.0")
    async with Context7CacheClient(None, asked, clock=clock) as cache:
        assert [await cache.get_library_id("widget") for _ in range(2)] == [f"{WIDGET}/2.0"] * 2
    assert asked.names == ["widget"]
    assert await known(clock, "widget") is None


async def test_learned_id_is_a_choice_and_no_row_of_the_registry(
    home: Path, clock: FakeClock
) -> None:
    await learned(clock, "Some Widget")
    async with server(home, clock) as app:
        assert app.services.registry.row(WIDGET) is None
        assert await app.services.choices.meant("some widget") == Row(
            name="some-widget",
            ecosystem="other",
            id=WIDGET,
            title="Some Widget",
            last_verified=clock.now,
            usage_count=1,
            source="context7-live-resolve",
        )


async def test_another_name_of_a_known_library_becomes_its_alias(
    home: Path, clock: FakeClock
) -> None:
    await learned(clock, "agent graphs", LANGGRAPH)
    async with server(home, clock) as app:
        row = await app.services.choices.meant("agent graphs")
        assert row is not None
        assert (row.name, row.id, row.aliases[-1]) == ("langgraph", LANGGRAPH, "agent graphs")
        assert row.last_verified == clock.now
        assert app.services.registry.find("agent graphs") is None


async def test_row_without_an_id_gets_one_for_this_user_only(home: Path, clock: FakeClock) -> None:
    await learned(clock, "huggingface", "/huggingface/transformers")
    async with server(home, clock) as app:
        row = await app.services.choices.meant("huggingface")
        assert row is not None
        assert (row.id, row.source) == ("/huggingface/transformers", "seed")
        match = app.services.registry.find("huggingface")
        assert match is not None
        assert match.row.id == ""


async def test_answer_for_a_shared_name_changes_no_row(home: Path, clock: FakeClock) -> None:
    await learned(clock, "kubernetes", "/kubernetes/website")
    assert await known(clock, "kubernetes") == "/kubernetes/website"
    assert await known(clock, "kubernetes python") is None
    async with server(home, clock) as app:
        assert app.services.registry.row("/kubernetes/website") is None


async def test_an_answer_does_not_change_the_id_that_upstream_listed(
    home: Path, clock: FakeClock
) -> None:
    async with server(home, clock) as app:
        await app.services.resolve(Question("widget1"), Caller(app.principal))
    await learned(clock, "Widget 1")
    clock.forward(31 * DAY)
    assert await learned(clock, "Widget 1", "/else/where") == "/else/where"
    assert await known(clock, "Widget 1") == "/else/where"
    async with server(home, clock) as app:
        row = app.services.registry.row(WIDGET)
        assert row is not None
        assert row.title == "Widget 1"


@pytest.mark.parametrize(
    "name",
    ["w" * 600, "\U0001f5dd" * 100, " ", "\ud800"],
    ids=["long", "wide", "blank", "surrogate"],
)
async def test_resolver_is_called_with_any_text(home: Path, clock: FakeClock, name: str) -> None:
    assert await learned(clock, name) == WIDGET


async def test_answer_for_a_blank_name_is_not_stored(home: Path, clock: FakeClock) -> None:
    assert await learned(clock, " ") == WIDGET
    assert await known(clock, " ") is None


async def test_a_name_is_stored_without_the_secrets_in_it(home: Path, clock: FakeClock) -> None:
    secret = "ghp_" + "a1B2" * 9
    await learned(clock, f"widget {secret}")
    rows = execute(home / "fabric", "SELECT key, value FROM Cache")
    assert "widget-[api-key]" in str(rows)
    assert secret not in str(rows)
    assert secret.lower() not in str(rows)
