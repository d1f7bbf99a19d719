"""Rows are found by the words they share with a phrase, however often rows come and go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.registry.rows import Row
from context7_fabric.suggestions import bm25
from context7_fabric.suggestions.bm25 import WordIndex

FASTAPI = Row("fastapi", "pypi", aliases=("fast-api",), description="web framework for APIs")
HTTPX = Row("httpx", "pypi", description="asynchronous HTTP client")
AIOHTTP = Row("aiohttp", "pypi", description="asynchronous HTTP client and server")
AXIOS = Row("axios", "npm", description="promise based HTTP client for the browser")
LANGGRAPH = Row("langgraph", "pypi", description="stateful agents as graphs")
ROWS = (FASTAPI, HTTPX, AIOHTTP, AXIOS, LANGGRAPH)


def found(index: WordIndex, phrase: str, limit: int = 5) -> list[str]:
    """The names of the rows that share words with `phrase`, the best first."""
    return [row.name for row, _ in index.match(phrase).best(limit)]


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("fastapi", "fastapi"),
        ("FastAPI!", "fastapi"),
        ("fast-api", "fastapi"),
        ("promises in a browser", "axios"),
        ("an agent that has state", "langgraph"),
        ("graph of agents", "langgraph"),
        ("asynchronously", "httpx"),
        ("fastpai", "fastapi"),
        ("langgarph tutorial", "langgraph"),
        ("axois", "axios"),
    ],
)
def test_a_row_is_found_by_words_in_other_forms_and_by_a_misspelt_name(
    phrase: str, name: str
) -> None:
    assert found(WordIndex(ROWS), phrase)[0] == name


def test_a_row_that_shares_more_of_the_phrase_comes_first() -> None:
    assert found(WordIndex(ROWS), "asynchronous http client and server")[:2] == ["aiohttp", "httpx"]


def test_a_rare_word_says_more_than_a_common_one() -> None:
    assert found(WordIndex(ROWS), "http graphs", 1) == ["langgraph"]


def test_a_name_says_more_than_a_description() -> None:
    rows = (Row("tool", "pypi", description="not like redis at all"), Row("redis", "pypi"))
    assert found(WordIndex(rows), "redis") == ["redis", "tool"]


def test_rows_that_share_as_much_come_in_the_order_of_their_keys() -> None:
    rows = [Row("redis", ecosystem) for ecosystem in ("pypi", "crates", "npm")]
    best = WordIndex(rows).match("redis").best(3)
    assert [row.ecosystem for row, _ in best] == ["crates", "npm", "pypi"]


@pytest.mark.parametrize("phrase", ["", "  ", "how to use it with the", "?!", "\ud800", "ж" * 9])
def test_a_phrase_that_says_nothing_of_any_row_finds_none(phrase: str) -> None:
    assert found(WordIndex(ROWS), phrase) == []


def test_nothing_is_found_among_no_rows() -> None:
    assert found(WordIndex(), "fastapi") == []


@pytest.mark.parametrize("phrase", ["fastapi", "fastapi web framework", "http client", "fastpai"])
def test_a_share_is_between_none_and_all_of_the_phrase(phrase: str) -> None:
    index = WordIndex(ROWS)
    shares = index.match(phrase)
    assert all(0 < share <= 1 for _, share in shares.best(5))
    assert shares.of(LANGGRAPH.key) == 0
    assert shares.of("lib-pypi-unknown") == 0
    assert [(row, shares.of(row.key)) for row, _ in shares.best(5)] == shares.best(5)


def test_a_changed_row_is_found_by_its_new_words_only() -> None:
    index = WordIndex(ROWS)
    index.put(Row("httpx", "pypi", description="talks to web servers"))
    assert "httpx" not in found(index, "asynchronous client")
    assert "httpx" in found(index, "web server")
    assert len(index) == len(ROWS)


def test_a_row_whose_words_stay_is_given_as_it_is_now() -> None:
    index = WordIndex(ROWS)
    used = Row("httpx", "pypi", description=HTTPX.description, usage_count=9)
    index.put(used)
    assert index.get(used.key) is used
    assert index.match("httpx").best(1)[0][0] is used


def test_a_removed_row_is_not_found_and_can_come_back() -> None:
    index = WordIndex(ROWS)
    index.remove(HTTPX.key)
    index.remove(HTTPX.key)
    assert "httpx" not in found(index, "httpx client")
    assert index.get(HTTPX.key) is None
    assert HTTPX.key not in index
    index.put(HTTPX)
    assert found(index, "httpx", 1) == ["httpx"]


WORDS = st.lists(st.sampled_from(["web", "http", "client", "graphs", "redis"]), max_size=5)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c-d", "redis"]), WORDS | st.none()), max_size=30
)


@given(CHANGES)
def test_after_any_changes_an_index_is_as_if_made_of_the_rows_that_are_left(
    changes: list[tuple[str, list[str] | None]],
) -> None:
    index, left = WordIndex(), dict[str, Row]()
    for name, words in changes:
        row = Row(name, "pypi", description=" ".join(words or ()))
        left.pop(row.key, None)
        if words is None:
            index.remove(row.key)
        else:
            index.put(row)
            left[row.key] = row
    fresh = WordIndex(left.values())
    for phrase in ("http client", "redis graphs", "webb c d"):
        assert index.match(phrase).best(9) == fresh.match(phrase).best(9)
    assert sorted(index.keys()) == sorted(left)
    if not left:
        assert index._postings == {}


def test_very_common_words_only_order_what_rarer_words_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [Row(f"p{n}", "pypi", description="common tool") for n in range(50)]
    rows += [Row(f"r{n}", "pypi", description="rare thing") for n in range(5)]
    rows += [Row("both", "pypi", description="rare common")]
    monkeypatch.setattr(bm25, "_SCANNED", 10)
    assert found(WordIndex(rows), "rare common", 1) == ["both"]
    assert len(found(WordIndex(rows), "rare common", 99)) == 6
    assert len(found(WordIndex(rows), "common", 99)) == 10
