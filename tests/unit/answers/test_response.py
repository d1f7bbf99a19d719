"""A text is screened once, and the memory for that is bounded."""

from __future__ import annotations

import pytest

from context7_fabric.answers.response import LONGEST_TEXT, screened
from context7_fabric.parsing.screening import screen


@pytest.mark.parametrize(("length", "is_remembered"), [(10, True), (LONGEST_TEXT + 10, False)])
def test_screened_of_one_text_twice_is_the_same_and_remembered_if_short(
    length: int, *, is_remembered: bool
) -> None:
    text = "word\u200b " + "x" * length
    assert screened(text) == screened(text) == screen(text)
    assert screened(text).flags == ("hidden",)
    assert (screened(text) is screened(text)) is is_remembered
