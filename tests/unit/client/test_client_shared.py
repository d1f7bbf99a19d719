"""The program's shared client, and documentation through it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from context7_fabric.client import Context7CacheClient, get_context7_cache, get_library_docs_cached
from unit.client.programs import PYDANTIC, WIDGET, Asked


@pytest.fixture
async def shared(home: Path) -> AsyncGenerator[Context7CacheClient]:
    """Return the program's one client, made anew."""
    get_context7_cache.cache_clear()
    yield get_context7_cache()
    await get_context7_cache().aclose()
    get_context7_cache.cache_clear()


async def test_there_is_one_client_for_the_program(shared: Context7CacheClient) -> None:
    assert get_context7_cache() is shared


@pytest.mark.parametrize("docs", [Asked("text"), Asked("text").later], ids=["plain", "async"])
async def test_documentation_is_asked_by_the_id(
    shared: Context7CacheClient, docs: Callable[[str], str | None]
) -> None:
    assert await get_library_docs_cached("pydantic", context7_docs_fn=docs) == "text"
    asked = docs if isinstance(docs, Asked) else getattr(docs, "__self__", None)
    assert isinstance(asked, Asked)
    assert asked.names == [PYDANTIC]
    assert shared.get_stats()["cache_hits"] == 1


async def test_without_a_documentation_function_the_id_is_given(
    shared: Context7CacheClient,
) -> None:
    assert await get_library_docs_cached("pydantic") == PYDANTIC


async def test_an_unknown_library_has_no_documentation(shared: Context7CacheClient) -> None:
    docs = Asked("text")
    assert await get_library_docs_cached("widget", Asked(None), docs) is None
    assert docs.names == []


async def test_a_resolver_is_asked_for_the_one_call_it_came_with(
    shared: Context7CacheClient,
) -> None:
    asked = Asked()
    assert await get_library_docs_cached("widget", asked) == WIDGET
    assert await get_library_docs_cached("gadget") is None
    assert asked.names == ["widget"]
