"""Postings of terms and the choice of candidates by them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context7_fabric.docsets.index import memory_index, open_docset, write_docset
from context7_fabric.docsets.models import Docset, DocSnippet
from context7_fabric.docsets.postings import (
    HEAD,
    SCHEMA,
    Postings,
    Tokenizer,
    read_postings,
    together,
    write_numbers,
)
from context7_fabric.docsets.search import Found, search
from context7_fabric.docsets.words import question_words
from context7_fabric.errors import DamagedDocset

FACTS = Docset("/harbour/quay", None, "./docs", "abc", 10.0, 20.0)


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as opened:
        opened.execute(SCHEMA)
        yield opened


def found(question: str, snippets: Sequence[DocSnippet]) -> Found:
    index = memory_index(snippets)
    return search(index.database, len(snippets), question_words(question))


def snippet(text: str, title: str = "Guide") -> DocSnippet:
    return DocSnippet(title, text, "guide.md")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("np.gradient running", ("np", "gradient", "run")),
        ("snake_case", ("snake", "case")),
        ("!?", ()),
    ],
)
def test_tokenizer_cuts_and_stems_as_the_index_does(text: str, tokens: tuple[str, ...]) -> None:
    assert Tokenizer().tokens(text) == tokens


@settings(max_examples=50)
@given(numbers=st.sets(st.integers(1, 1 << 20)))
def test_postings_of_any_numbers_are_read_as_written(numbers: set[int]) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(SCHEMA)
        write_numbers(database, "rope", sorted(numbers))
        assert [*read_postings(database, ["rope", "none"])["rope"].numbers] == sorted(numbers)


def test_read_postings_of_unequal_lengths_is_refused(database: sqlite3.Connection) -> None:
    write_numbers(database, "rope", [1, 2, 3])
    database.execute("UPDATE postings SET parts = x'00'")
    with pytest.raises(ValueError, match="damaged"):
        read_postings(database, ["rope"])


def test_together_has_the_least_part_and_is_a_heading_only_with_all_tokens() -> None:
    one, other = (
        Postings([1, 4], bytes([9 | HEAD, 5])),
        Postings([1, 4], bytes([3 | HEAD, 7 | HEAD])),
    )
    assert together([one, other], [1, 4]) == Postings([1, 4], bytes([3 | HEAD, 5]))


def test_search_rates_a_term_higher_the_more_often_a_snippet_has_it() -> None:
    texts = ["rope and chain and cable", "rope rope rope and chain", "chain and cable and chain"]
    hits = found("rope", [snippet(each) for each in texts]).hits
    assert hits.keys() == {1, 2}
    assert hits[2].score > hits[1].score > 0


def test_search_of_a_term_that_all_snippets_hold_still_rates_it() -> None:
    hits = found("rope", [snippet("a rope"), snippet("rope on rope")]).hits
    assert hits[2].score > hits[1].score > 0


def test_search_names_the_terms_that_headings_hold() -> None:
    hits = found("rope chain", [snippet("a chain", title="Rope"), snippet("rope, chain")]).hits
    assert hits[1].held == {"rope", "chain"}
    assert hits[1].headed == {"rope"}
    assert not hits[2].headed


def test_search_holds_a_dotted_name_whole_only_where_its_parts_stand_in_a_row() -> None:
    searched = found("np.gradient", [snippet("np.gradient(f)"), snippet("a gradient by np")])
    assert searched.counts == {"np.gradient": 1, "np": 2, "gradient": 2}
    assert "np.gradient" in searched.hits[1].held
    assert searched.hits[2].held == {"np", "gradient"}


def test_search_without_a_known_word_finds_nothing() -> None:
    assert found("kubernetes", [snippet("rope")]).hits == {}


@pytest.mark.parametrize(
    "damage",
    ["UPDATE postings SET parts = x'01'", "UPDATE postings SET numbers = x'ffff', parts = x'01'"],
)
def test_retrieve_with_damaged_postings_names_the_file(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "quay.docset"
    write_docset(file, FACTS, [snippet("rope"), snippet("rope and chain")])
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(damage)
    with pytest.raises(DamagedDocset, match="quay"):
        open_docset(file).retrieve("rope")
