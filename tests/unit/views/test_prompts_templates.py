"""Placeholders are found and filled, and nothing else in a text means anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.views.prompts import fill, placeholders

MOST = 1000


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("plain", ()),
        ("{a} and {b_2} and {a}", ("a", "b_2")),
        ("{{a}} is no placeholder", ()),
        ("{{{a}}} is one in braces", ("a",)),
        ("{} {0} {1a} {a.b} {a[0]} {a!r} {a:>9} { a }", ()),
        ('{"json": {"a": [1]}}', ()),
        ("{a\n}", ()),
    ],
)
def test_identifiers_in_braces_are_placeholders(text: str, names: tuple[str, ...]) -> None:
    assert placeholders(text) == names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{a}-{a}", "<{b}>-<{b}>"),
        ("{{a}}", "{a}"),
        ("{{{a}}}", "{<{b}>}"),
        ("{{ {{ }} }} }}", "{ { } } }}"),
        ('{"json": {"a": {}}}', '{"json": {"a": {}}}'),
        ("{a.__class__} {a!r} %(a)s $a", "{a.__class__} {a!r} %(a)s $a"),
    ],
)
def test_values_are_put_in_and_not_looked_into(text: str, expected: str) -> None:
    assert fill(text, {"a": "<{b}>"}, MOST) == expected


def test_a_text_may_be_as_long_as_said_and_no_longer() -> None:
    assert fill("{a}{a}", {"a": "xx"}, 4) == "xxxx"
    assert fill("{a}{a}", {"a": "xx"}, 3) is None


def test_a_placeholder_without_a_value_is_named() -> None:
    with pytest.raises(KeyError, match="b"):
        fill("{a} {b}", {"a": ""}, MOST)


@given(st.text(alphabet="{}ab_1 "))
def test_a_text_is_filled_with_exactly_what_it_names(text: str) -> None:
    assert fill(text, dict.fromkeys(placeholders(text), ""), MOST) is not None
