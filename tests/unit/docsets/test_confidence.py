"""Confidence in messages: the two numbers differ wherever the values do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.docsets.confidence import compared

shares = st.floats(0, 1, allow_subnormal=False)


@pytest.mark.parametrize(
    ("confidence", "text"),
    [
        (0.4999, "confidence 0.50, 0.45 needed"),
        (0.4499, "confidence 0.4499, 0.4500 needed"),
        (0.45, "confidence 0.45, 0.45 needed"),
        (0.4500000001, "confidence 0.4500000001, 0.4500000000 needed"),
    ],
)
def test_compared_has_digits_enough_to_differ(confidence: float, text: str) -> None:
    assert compared(confidence, 0.45) == text


@given(shares, shares.filter(lambda threshold: threshold > 1e-3))
def test_compared_orders_the_numbers_as_the_values(confidence: float, threshold: float) -> None:
    words = compared(confidence, threshold).replace(",", "").split()
    assert (float(words[1]) < float(words[2])) is (confidence < threshold)
