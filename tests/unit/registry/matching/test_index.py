"""Exact rule for the library that a look-up means; `lookups.jsonl` has the cases by kind."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from context7_fabric.registry.matching import NameIndex, NameMatch
from context7_fabric.registry.readings import (
    LANGUAGES,
    LEADING,
    MAX_NAME_LENGTH,
    Reading,
    languages_in,
    read_name,
)
from context7_fabric.registry.rows import Row

HERE = Path(__file__).parent
LOOKUPS: list[dict[str, Any]] = [
    json.loads(line) for line in (HERE / "lookups.jsonl").read_text("utf-8").splitlines()
]
ROWS = [
    Row(entry["name"], entry["eco"], entry["id"], tuple(entry["aliases"]))
    for entry in json.loads((HERE / "libraries.json").read_text("utf-8"))
]
INDEX = NameIndex(ROWS)
PYPI, NPM, NOTHING = frozenset({"pypi"}), frozenset({"npm"}), frozenset[str]()
SECONDS = 0.25


def found(index: NameIndex[Row], text: str, question: str = "") -> Row | None:
    """Return the row that `text` means."""
    match = index.find(text, question)
    return None if match is None else match.row


@pytest.mark.parametrize(
    "case", LOOKUPS, ids=lambda case: f"{case['kind']}: {case['query']} {case.get('question', '')}"
)
def test_a_look_up_finds_the_library_it_means_or_none(case: dict[str, Any]) -> None:
    row = found(INDEX, case["query"], case.get("question", ""))
    assert (row and row.id) == case["expected_id"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Reading("")),
        ("?", Reading("")),
        ("docs for ()", Reading("")),
        (" FastAPI ", Reading("fastapi")),
        ("React Native", Reading("react-native")),
        ("python", Reading("python")),
        ("docs", Reading("docs")),
        ("openai python", Reading("openai", PYPI)),
        ("python library: openai", Reading("openai", PYPI)),
        ("openai ruby", Reading("openai", NOTHING)),
        ("openai python typescript", Reading("openai", NOTHING)),
        ("next@15", Reading("next", version="15")),
        ("npm install next@canary", Reading("next", NPM, "canary")),
        ("next@latest", Reading("next")),
        ("next@*", Reading("next")),
        ("fastapi>=0.100,<1", Reading("fastapi")),
        ("fastapi==0.100.*", Reading("fastapi", version="0.100")),
        ("fastapi=>home", Reading("fastapi=>home")),
        ("(>=1)", Reading(">=1")),
        ("boto v3", Reading("boto", version="3", glued="boto3")),
        ("vue version 3.x docs", Reading("vue", version="3", glued="vue3")),
        ("redis python 3.12", Reading("redis", PYPI)),
        ("next js 15", Reading("next.js", NPM, "15", "next.js15")),
        ("node cron", Reading("node-cron")),
        ("x" * (MAX_NAME_LENGTH + 1), Reading("")),
    ],
)
def test_a_text_is_read_down_to_its_bare_name(text: str, expected: Reading) -> None:
    assert read_name(text) == expected


@pytest.mark.parametrize(
    ("text", "tier", "version", "called"),
    [
        ("docs for FastAPI==0.115", "name", "0.115", "fastapi"),
        ("fast api", "alias", None, "fast-api"),
        ("sklearn 1.5", "alias", "1.5", "sklearn"),
        ("scikitlearn", "alias", None, "scikitlearn"),
        ("boto 3", "name", None, "boto3"),
        ("the react testing library docs", "alias", None, "react-testing-library"),
        ("Next js 15", "alias", "15", "next.js"),
    ],
)
def test_a_match_says_how_the_library_was_called(
    text: str, tier: str, version: str | None, called: str
) -> None:
    match = INDEX.find(text)
    assert match is not None
    assert (match.tier, match.version, match.called) == (tier, version, called)


def test_in_one_ecosystem_a_name_wins_over_an_alias_and_an_alias_over_another_spelling() -> None:
    web = Row("web-kit", "npm", "/a/a")
    kit = Row("kit", "npm", "/b/b", aliases=("webkit", "gear"))
    gear = Row("gear", "npm", "/c/c")
    index = NameIndex([kit, web, gear])
    assert [found(index, name) for name in ("web kit", "webkit", "gear")] == [web, kit, gear]


def test_one_alias_of_two_libraries_is_ambiguous_and_of_one_library_in_two_ecosystems_is_not() -> (
    None
):
    first, second = (Row(name, "npm", f"/a/{name}", aliases=("kit",)) for name in ("one", "two"))
    assert found(NameIndex([first, second]), "kit") is None
    same = [Row("kit", ecosystem, "/a/kit") for ecosystem in ("npm", "pypi")]
    assert found(NameIndex(same), "kit") in same
    assert found(NameIndex([replace(row, id="") for row in same]), "kit") is None


def test_a_number_may_belong_to_another_librarys_name() -> None:
    two, three = Row("psy2", "pypi", "/a/psy2"), Row("psy", "pypi", "/a/psy")
    index = NameIndex([two, three])
    assert (found(index, "psy 2"), found(index, "psy 2.9"), found(index, "psy 3")) == (
        None,
        None,
        three,
    )


def test_a_row_that_is_added_again_takes_the_place_of_the_earlier_one() -> None:
    index = NameIndex(ROWS)
    row = next(row for row in ROWS if row.name == "scikit-learn")
    index.add(replace(row, aliases=("sk",)))
    assert len(index) == len(ROWS)
    assert index.find("sklearn") is None
    assert index.find("sk") == NameMatch(replace(row, aliases=("sk",)), "alias", None, "sk")


def test_what_is_discarded_is_found_no_more_and_its_namesakes_are() -> None:
    index = NameIndex(ROWS)
    for row in ROWS:
        if row.name == "redis" and row.ecosystem != "go":
            assert found(index, "redis") is None or row.ecosystem == "other"
            if row.ecosystem != "other":
                index.discard(row.key)
    assert found(index, "redis") == Row("redis", "other", "/other/redis")
    index.discard("lib-npm-unknown")
    for row in ROWS:
        index.discard(row.key)
    assert len(index) == 0
    assert [row for row in ROWS if index.find(row.name)] == []


PLAIN = [row for row in ROWS if found(INDEX, row.name) is row]
"""Rows that their bare name alone finds."""
PINS = ["{}==7.1", "{}>=7,<8", "{}@7.1.0-rc.1", "{}@next", "{} v7", "{} 7.x", "{} version 7"]
QUOTES = ["`{}`", '"{}"', "'{}'", " {} ", "({})", "\u201c{}\u201d", "{}?", "{}'s"]
PHRASES = [
    "{} docs",
    "{} documentation",
    "{} tutorial",
    "{} library",
    "the {} package",
    "the latest {} docs",
    "docs for {}",
    "how to use {}",
    "how do I use the {} library",
    "please show me the official documentation for {}",
]
CHANGES: list[Callable[[str], str]] = [str, str.upper, str.title]


@given(
    st.sampled_from(PLAIN),
    st.sampled_from(["{}", *PINS]),
    st.sampled_from(["{}", *QUOTES]),
    st.lists(st.sampled_from(PHRASES), max_size=3),
    st.sampled_from(CHANGES),
)
def test_quotes_versions_and_phrases_around_a_name_never_change_the_library(
    row: Row, pin: str, quotes: str, phrases: list[str], change: Callable[[str], str]
) -> None:
    text = quotes.format(pin.format(change(row.name)))
    for phrase in phrases:
        text = phrase.format(text)
    assert found(INDEX, text) == row


# "js" behind a name becomes a part of it.
AGREEING = [
    (row, language)
    for row in ROWS
    for language, ecosystems in LANGUAGES.items()
    if row.ecosystem in ecosystems and language != "js"
]


@given(st.sampled_from(AGREEING), st.sampled_from(["docs for {}", "{} library", "{}"]))
def test_a_language_word_that_agrees_finds_the_library_of_its_ecosystem(
    pair: tuple[Row, str], phrase: str
) -> None:
    row, language = pair
    assert found(INDEX, phrase.format(f"{row.name} {language}")) == row
    assert found(INDEX, phrase.format(f"{row.name} for {language}")) == row
    # In front, nearly any of these words may be the beginning of a name.
    if LEADING.fullmatch(language):
        assert found(INDEX, phrase.format(f"{language} {row.name}")) == row


@given(
    st.sampled_from(ROWS),
    st.sampled_from(sorted(LANGUAGES)),
    st.sampled_from(["{0} {1}", "{1} {0}", "{0} for {1}", "docs for {0} ({1})", "{0} {1} 3 docs"]),
)
def test_a_language_word_that_disagrees_never_finds_the_library(
    row: Row, language: str, form: str
) -> None:
    assume(row.ecosystem not in LANGUAGES[language])
    text = form.format(row.name, language)
    assume(text not in row.aliases and f"{row.name} {language}" not in row.aliases)
    assert found(INDEX, text) != row


@given(st.sampled_from(ROWS), st.sampled_from(sorted(LANGUAGES)))
def test_a_question_in_another_language_never_finds_the_library(row: Row, language: str) -> None:
    wanted = languages_in(f"How is this done in {language.title()}?", besides=row.name)
    assume(wanted is not None and row.ecosystem not in wanted)
    assert found(INDEX, row.name, f"How is this done in {language.title()}?") != row


WORDING = "docs for the library package how to use pip install import from == 2 v3 3.1 - ( ) [ ] 's"
SAID = st.sampled_from(
    [
        *(name for row in ROWS for name in (row.name, *row.aliases)),
        *LANGUAGES,
        *WORDING.split(" "),
        *',"@<',
    ]
)


@given(st.lists(SAID, max_size=7).map(" ".join), st.booleans())
def test_whatever_is_found_stands_in_the_text_by_name(text: str, spaced: bool) -> None:
    text = text if spaced else text.replace(" ", "")
    row = found(INDEX, text)
    if row is not None:
        names = [_squeezed(name) for name in (row.name, *row.aliases)]
        assert any(name in _squeezed(text) for name in names)


def _squeezed(text: str) -> str:
    return re.sub(r"[\s_.-]", "", text.casefold())


@given(st.text(max_size=400), st.text(max_size=400))
def test_any_text_may_be_looked_up(text: str, question: str) -> None:
    for name in (text, f"fastapi {text}"):
        assert found(INDEX, name, question) in (None, *ROWS)
    assert languages_in(text, besides=question) in (None, NOTHING, *LANGUAGES.values())
    read_name(text)


PIECES = (
    "a| |docs |(|[|fastapi |python |1.|1a-|rc.|>=1,|@1|'s|react,|in go |a/|import |-x |node.js "
)


@pytest.mark.parametrize("piece", [*PIECES.split("|"), "\u0301", "\ufdfa", "\U0001f680"])
def test_ten_kilobytes_of_anything_take_no_time(piece: str) -> None:
    text = piece * (10_000 // len(piece))
    before = time.process_time()
    INDEX.find(text, text)
    INDEX.find(text[:MAX_NAME_LENGTH], text)
    INDEX.find("fastapi", text)
    languages_in(text)
    read_name(text)
    assert time.process_time() - before < SECONDS
