"""Words of questions: identifiers whole and in parts, signs spelled out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.docsets.words import (
    FILLER,
    MOST_WORDS,
    indexed,
    question_words,
    spell_signs,
    split_identifiers,
)


@pytest.mark.parametrize(
    ("question", "whole", "parts"),
    [
        ("getCookie", "getcookie", ("get", "cookie")),
        ("min_speech_duration", "min_speech_duration", ("min", "speech", "duration")),
        ("np.gradient", "np.gradient", ("np", "gradient")),
        ("std::sync", "std::sync", ("std", "sync")),
        ("cookies", "cookies", ()),
    ],
)
def test_question_words_of_an_identifier_has_it_whole_and_in_parts(
    question: str, whole: str, parts: tuple[str, ...]
) -> None:
    (word,) = question_words(question)
    assert (word.whole, word.parts) == (whole, parts)


def test_question_words_of_a_slash_are_two() -> None:
    assert [word.text for word in question_words("getCookie/setCookie")] == [
        "getCookie",
        "setCookie",
    ]


def test_question_words_with_a_hyphen_are_looked_for_by_their_parts() -> None:
    (word,) = question_words("cross-platform")
    assert word.searched == ("cross", "platform")


def test_question_words_leave_filler_and_repetitions_out() -> None:
    words = question_words("How do I use the Router and the router?")
    assert [word.text for word in words] == ["Router"]


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("C++ and c#", "Cplusplus and csharp"),
        (".NET 8", "dotnet 8"),
        ("F# | a#b", "Fsharp | a#b"),
        ("i++ in C", "iplusplus in C"),
        ("see main.net", "see main.net"),
        ("## C## heading", "## C## heading"),
    ],
)
def test_spell_signs_spells_names_of_languages(text: str, spelled: str) -> None:
    assert spell_signs(text) == spelled


def test_indexed_text_without_spaces_is_in_pairs_of_characters() -> None:
    assert indexed("Vue组件库 C++") == "Vue 组件 件库  Cplusplus"


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("如何使用中间件", ["中间件"]),
        ("ルーターの設定について", ["ルーター", "設定"]),
        ("useState的用法", ["useState", "用法"]),
        ("미들웨어 설정", ["미들웨어", "설정"]),
    ],
)
def test_question_words_of_a_script_without_spaces_leave_grammar_out(
    question: str, words: list[str]
) -> None:
    assert [word.text for word in question_words(question)] == words


def test_question_words_of_a_script_without_spaces_are_looked_for_by_pairs() -> None:
    (word,) = question_words("中间件")
    assert (word.whole, word.searched) == ("中间 间件", ("中间", "间件"))


def test_split_identifiers_gives_parts_that_only_capitals_divide() -> None:
    assert split_identifiers("useState HTTPServer plain snake_case") == "http server state use"


@given(st.text(max_size=400))
def test_question_words_of_any_text_are_few_and_no_filler(question: str) -> None:
    words = question_words(question)
    assert len(words) <= MOST_WORDS
    assert not {word.whole for word in words} & FILLER
    assert len({word.whole for word in words}) == len(words)
