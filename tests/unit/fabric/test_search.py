"""Searching by words finds what shares most with the query, and says that it went by words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.fabric.context import Json
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.search import WordMatch
from unit.fabric.fakes import NOON, Broken, FakeClock

PROMPTS: dict[str, Json] = {
    "prompt:1": "You are a helpful assistant focused on Python",
    "prompt:2": "You are a helpful assistant for cooks",
    "prompt:3": {"role": "translator", "languages": ["French", "Danish"]},
}


@pytest.fixture
async def prompts(fabric: Fabric) -> Fabric:
    for key, value in PROMPTS.items():
        await fabric.set_context(key, value)
    return fabric


async def test_the_most_similar_comes_first(prompts: Fabric) -> None:
    found = await prompts.search(query="Python programming help", scope="GLOBAL", limit=5)
    assert [match.key for match in found] == ["prompt:1", "prompt:2"]
    assert found[0].value == PROMPTS["prompt:1"]
    assert 1 > found[0].similarity > found[1].similarity > 0
    assert {match.ranked_by for match in found} == {"words"}


async def test_what_stands_inside_a_value_or_a_key_is_found(prompts: Fabric) -> None:
    (match,) = await prompts.search("danish")
    assert (match.key, match.similarity) == ("prompt:3", 1.0)
    assert len(await prompts.search("prompt")) == 3


async def test_no_more_is_found_than_was_asked_for(prompts: Fabric) -> None:
    assert [match.key for match in await prompts.search("helpful", limit=1)] == ["prompt:1"]
    assert await prompts.search("helpful", limit=0) == []


async def test_a_search_stays_in_its_scope(prompts: Fabric) -> None:
    await prompts.set_context("mine", "Python", "USER")
    assert [match.key for match in await prompts.search("Python", "USER")] == ["mine"]


async def test_what_is_over_is_not_found(prompts: Fabric, clock: FakeClock) -> None:
    await prompts.set_context("short", "haiku", ttl=60)
    assert len(await prompts.search("haiku")) == 1
    clock.now = NOON + 60
    assert await prompts.search("haiku") == []


@pytest.mark.parametrize("query", ["", "  ", "?!", "zzz"])
async def test_a_query_that_says_nothing_finds_nothing(prompts: Fabric, query: str) -> None:
    assert await prompts.search(query) == []


async def test_a_store_that_fails_finds_nothing(clock: FakeClock) -> None:
    fabric = Fabric(Broken(), clock)
    assert await fabric.search("anything") == []
    assert fabric.faults.count == 1


@given(st.lists(st.text(), max_size=5), st.text())
def test_a_similarity_lies_between_nothing_and_all(texts: list[str], phrase: str) -> None:
    match = WordMatch(phrase)
    shared = [match.shared(text) for text in texts]
    similarities = [match.similarity(each) for each in shared]
    assert all(0 <= similarity <= 1 + 1e-9 for similarity in similarities)


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    match = WordMatch("common rare")
    common = [match.shared("common") for _ in range(9)]
    rare = match.shared("rare")
    assert match.similarity(rare) > match.similarity(common[0])


def test_a_beginning_of_four_letters_is_enough_and_less_is_not() -> None:
    match = WordMatch("help go")
    assert match.shared("helpful") == {"help"}
    assert match.shared("hel gopher") == frozenset()
