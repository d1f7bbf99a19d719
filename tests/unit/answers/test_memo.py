"""A text is looked into once, and the memory for that has bounds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from context7_fabric.answers.memo import LONGEST_TEXT, id_of, remembered, screened
from context7_fabric.parsing.screening import screen


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def shout(asked: list[str]) -> Callable[[str], str]:
    @remembered(most=2, longest=5)
    def shout(text: str) -> str:
        asked.append(text)
        return text.upper()

    return shout


def test_a_text_is_looked_into_once(asked: list[str], shout: Callable[[str], str]) -> None:
    assert [shout("one"), shout("one")] == ["ONE", "ONE"]
    assert asked == ["one"]


def test_of_many_texts_the_last_are_remembered(
    asked: list[str], shout: Callable[[str], str]
) -> None:
    for text in ("one", "two", "three", "two", "one"):
        shout(text)
    assert asked == ["one", "two", "three", "one"]


def test_a_long_text_is_not_remembered(asked: list[str], shout: Callable[[str], str]) -> None:
    assert [shout("longer"), shout("longer")] == ["LONGER", "LONGER"]
    assert asked == ["longer", "longer"]


@pytest.mark.parametrize("length", [10, LONGEST_TEXT + 10])
def test_screening_finds_the_same_each_time(length: int) -> None:
    text = "word\u200b " + "x" * length
    assert screened(text) == screened(text) == screen(text)
    assert screened(text).flags == ("hidden",)


def test_an_id_is_read_as_it_ever_was() -> None:
    assert str(id_of("/acme/widgets@v2")) == str(id_of("/acme/widgets/v2")) == "/acme/widgets/v2"
    assert id_of("widgets") is None
