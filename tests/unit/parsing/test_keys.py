from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.parsing.ids import LibraryId
from context7_fabric.parsing.keys import MAX_KEY_LENGTH, name_key, question_key

HARBOUR = LibraryId("quay", "harbour", "v2.1")
Parts = tuple[LibraryId, str, str, int]


def key(parts: Parts) -> str:
    library, question, mode, page = parts
    return question_key(library, question, mode=mode, page=page)


def test_a_key_can_be_read() -> None:
    question = "How do I moor a boat?"
    shown = "/quay/harbour@v2.1?q=How+do+I+moor+a+boat%3F&mode=code&page=2"
    assert key((HARBOUR, question, "code", 2)) == shown
    bare = LibraryId("quay", "@scope")
    assert key((bare, "", "any", 1)) == "/quay/%40scope?q=&mode=any&page=1"


@pytest.mark.parametrize(
    ("question", "shown"),
    [
        ("c++ & 50%", "c%2B%2B+%26+50%25"),
        ("a+b", "a%2Bb"),
        ("钩子 straße field_validator next.js", "钩子+straße+field_validator+next.js"),
        ("a\u200bb", "a%E2%80%8Bb"),
        ("\ud800", "%ED%A0%80"),
    ],
)
def test_signs_with_a_meaning_are_percent_encoded(question: str, shown: str) -> None:
    assert key((HARBOUR, question, "code", 1)) == f"/quay/harbour@v2.1?q={shown}&mode=code&page=1"


def test_a_long_key_keeps_its_head_and_ends_in_a_digest() -> None:
    question = "moor " * 200
    long, longer = (key((HARBOUR, question + last, "code", 1)) for last in ("a", "b"))
    assert len(long) == len(longer) == MAX_KEY_LENGTH
    assert long.startswith("/quay/harbour@v2.1?q=moor+moor")
    assert long[:-40] == longer[:-40]
    assert long != longer


PART = st.text(st.sampled_from("ab/@?&+%=!#. \x00é"), min_size=1, max_size=3)
LIBRARIES = st.builds(LibraryId, PART, PART, st.none() | PART)
QUESTIONS = st.text(st.sampled_from("abA+&%=? \ud800\u200b"), max_size=9).map(
    lambda text: " ".join(text.split())
)
MODES = st.text(st.sampled_from("a&=+%"), max_size=3)
PARTS: st.SearchStrategy[Parts] = st.tuples(LIBRARIES, QUESTIONS, MODES, st.integers(1, 12))


@given(st.lists(PARTS, unique=True))
def test_different_questions_have_different_keys(questions: list[Parts]) -> None:
    assert len({key(question) for question in questions}) == len(questions)


LONG = st.tuples(
    st.just(HARBOUR),
    st.integers(95, 140).map(lambda count: " ".join(["boat"] * count)),
    st.sampled_from(["code", "info"]),
    st.integers(1, 2),
)


@given(st.lists(LONG | PARTS, unique=True, max_size=12))
def test_different_long_questions_have_different_keys(questions: list[Parts]) -> None:
    keys = {key(question) for question in questions}
    assert len(keys) == len(questions)
    assert max(map(len, keys), default=0) <= MAX_KEY_LENGTH


@given(PARTS)
def test_a_key_is_plain_text_that_begins_with_its_library(question: Parts) -> None:
    library = question[0]
    made = key(question)
    assert made.isprintable()
    assert " " not in made
    other = key((library, "x", "code", 1))
    assert made.split("?")[0] == other.split("?")[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Next.js", "next.js"),
        (" next.js\n", "next.js"),
        ("`fast_api`", "fast-api"),
        ('"Fast  API"', "fast-api"),
        ("\u201cfast-API\u201d", "fast-api"),
        ("' fast - api '", "fast-api"),
        ("@Scope/Name", "@scope/name"),
        ("github.com/gin-gonic/gin", "github.com/gin-gonic/gin"),
        ("\uff32eact", "react"),
        ("STRASSE", "strasse"),
        ("_private", "-private"),
        ("", ""),
        ("``", ""),
    ],
)
def test_a_name_is_compared_without_case_quotes_and_kind_of_separator(
    name: str, expected: str
) -> None:
    assert name_key(name) == expected


@pytest.mark.parametrize(
    "names",
    [
        ("next.js", "nextjs", "next-js", "next/js"),
        ("fastapi", "fast-api", "fast.api"),
        ("psycopg2", "psycopg3", "psycopg"),
        ("c", "c++", "c#", "@c"),
        ("@scope/name", "scope/name", "name"),
    ],
)
def test_names_that_may_be_two_packages_stay_apart(names: tuple[str, ...]) -> None:
    assert len({name_key(name) for name in names}) == len(names)


@given(st.text())
def test_the_key_of_a_key_is_the_key(name: str) -> None:
    assert name_key(name_key(name)) == name_key(name)
