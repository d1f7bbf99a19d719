"""Durations: read as users write them, written as people say them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("6h", 21_600),
        ("1d", 86_400),
        ("0s", 0),
        ("0d", 0),
        ("1.5h", 5400),
        ("0.25s", 0.25),
        (" 10M ", 600),
        ("007s", 7),
        ("999999999d", 999_999_999 * 86_400),
    ],
)
def test_a_number_and_a_unit_are_a_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "s", "10", "-1s", "+1s", "1 s", "1w", "1h30m", ".5h", "1.h", "1e3s", "infd", "nans"),
        *("1\n2s", "\u0661s", "1,5h", "9" * 400 + "d"),
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 seconds"),
        (0.9, "0 seconds"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "1 minute"),
        (90, "1 minute"),
        (3599, "59 minutes"),
        (3600, "1 hour"),
        (7200, "2 hours"),
        (47 * 3600, "1 day"),
        (365 * 86_400, "365 days"),
    ],
)
def test_a_duration_is_said_in_its_largest_unit_rounded_down(seconds: float, said: str) -> None:
    assert format_duration(seconds) == said


@given(st.floats(0, 1e12))
def test_what_is_said_is_never_more_than_it_was(seconds: float) -> None:
    number, unit = format_duration(seconds).split()
    assert (parse_duration(f"{number}{unit[0]}") or 0) <= seconds
