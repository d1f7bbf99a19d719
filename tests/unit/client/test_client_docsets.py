"""Docsets in the Python client: names, pages before the functions, private libraries."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path

import pytest
from anyio import to_thread

from context7_fabric.client import Context7CacheClient, get_context7_cache, get_library_docs_cached
from support.held_docsets import GEARS, KNOWN, UNKNOWN, place_docset
from unit.client.programs import PYDANTIC, Asked

PRIVATE = "/local/notes"


@pytest.fixture
async def shared(home: Path) -> AsyncGenerator[Context7CacheClient]:
    """Return the program's one client, made anew, on a home with a public and a private docset."""
    await to_thread.run_sync(place_docset, home)
    await to_thread.run_sync(partial(place_docset, home, PRIVATE))
    get_context7_cache.cache_clear()
    yield get_context7_cache()
    await get_context7_cache().aclose()
    get_context7_cache.cache_clear()


async def test_name_that_only_a_docset_knows_means_its_library(
    shared: Context7CacheClient,
) -> None:
    asked = Asked("/other/gears")
    assert await shared.get_library_id("gears", fallback_resolver=asked) == GEARS
    assert await shared.get_library_id("pydantic") == PYDANTIC
    assert asked.names == []


async def test_question_is_answered_by_a_confident_docset_without_the_function(
    shared: Context7CacheClient,
) -> None:
    docs = Asked("text")
    page = await get_library_docs_cached("gears", context7_docs_fn=docs, question=KNOWN)
    assert page is not None
    assert "compensate_backlash" in page
    assert docs.names == []


@pytest.mark.parametrize("question", ["", UNKNOWN])
async def test_question_that_no_docset_answers_is_passed_to_the_function(
    shared: Context7CacheClient, question: str
) -> None:
    docs = Asked("text")
    asked = partial(get_library_docs_cached, "gears", question=question)
    assert await asked(context7_docs_fn=docs) == "text"
    assert docs.names == [GEARS]
    assert await asked() == GEARS


@pytest.mark.parametrize("question", ["", UNKNOWN, KNOWN])
async def test_private_library_is_never_passed_to_the_functions(
    shared: Context7CacheClient, question: str
) -> None:
    resolve, docs = Asked("/other/notes"), Asked("text")
    page = await get_library_docs_cached("notes", resolve, docs, question=question)
    assert page != "text"
    assert (question == KNOWN) <= ("compensate_backlash" in (page or ""))
    assert resolve.names == docs.names == []
