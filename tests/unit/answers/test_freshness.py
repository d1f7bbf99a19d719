"""Freshness: a table of ages, and what holds for all of them."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from context7_fabric.answers.freshness import JITTER, Freshness, Lifetime, judge, spread
from context7_fabric.fabric.backend import CLOCK_SLACK

FRESH, STALE, ON_ERROR, GONE = (
    Freshness.FRESH,
    Freshness.STALE,
    Freshness.USABLE_ON_ERROR,
    Freshness.GONE,
)
ORDER = [FRESH, STALE, ON_ERROR, GONE]
USUAL = Lifetime(fresh=100, stale=1000, on_error=10_000)
ENDLESS = Lifetime(fresh=100, stale=1000, on_error=None)
NOON = 1_700_000_000.0

SECONDS = st.floats(0, 1e9)
LIFETIMES = st.builds(Lifetime, SECONDS, SECONDS, st.none() | SECONDS)


@pytest.mark.parametrize(
    ("lifetime", "age", "expected"),
    [
        (USUAL, 0, FRESH),
        (USUAL, 89, FRESH),
        (USUAL, 111, STALE),
        (USUAL, 989, STALE),
        (USUAL, 1211, ON_ERROR),
        (USUAL, 10_989, ON_ERROR),
        (USUAL, 11_211, GONE),
        (ENDLESS, 1211, ON_ERROR),
        (ENDLESS, 1e12, ON_ERROR),
        (Lifetime(0, 0, 0), 0, GONE),
        (Lifetime(0, 0, None), 0, ON_ERROR),
        (Lifetime(0, 100, 0), 0, STALE),
        (Lifetime(0, 100, 0), 111, GONE),
        (Lifetime(100, 0, 0), 89, FRESH),
        (Lifetime(100, 0, 0), 111, GONE),
        (Lifetime(100, 0, 100), 111, ON_ERROR),
        (USUAL, -1e9, STALE),
        (USUAL, -301, STALE),
        (USUAL, -299, FRESH),
        (Lifetime(1e12, 1000, 0), -86_400, STALE),
        (Lifetime(100, 0, 50), -4000, ON_ERROR),
        (Lifetime(0, 0, 0), -1e9, GONE),
    ],
)
@pytest.mark.parametrize("seed", ["", "docs:/a/b?x", "\ud800", "another"])
def test_what_may_be_done_at_which_age(
    lifetime: Lifetime, age: float, expected: Freshness, seed: str
) -> None:
    assert judge(NOON + age, NOON, lifetime, seed) is expected


@given(LIFETIMES, st.text(), st.floats(-CLOCK_SLACK, 1e10), st.floats(0, 1e10))
def test_growing_older_makes_nothing_fresher(
    lifetime: Lifetime, seed: str, age: float, more: float
) -> None:
    younger = judge(NOON + age, NOON, lifetime, seed)
    older = judge(NOON + age + more, NOON, lifetime, seed)
    assert ORDER.index(younger) <= ORDER.index(older)


@given(LIFETIMES, st.text(), st.floats(0, CLOCK_SLACK))
def test_an_answer_from_a_clock_that_differs_a_little_is_as_one_stored_now(
    lifetime: Lifetime, seed: str, ahead: float
) -> None:
    assert judge(NOON, NOON + ahead, lifetime, seed) is judge(NOON, NOON, lifetime, seed)


@given(LIFETIMES, st.text(), st.floats(CLOCK_SLACK + 1, 1e10))
def test_an_answer_from_the_future_is_never_fresh(
    lifetime: Lifetime, seed: str, ahead: float
) -> None:
    assert judge(NOON, NOON + ahead, lifetime, seed) is not Freshness.FRESH


@given(SECONDS, st.text(), st.floats(0, 1e10))
def test_freshness_ends_within_a_tenth_of_its_time(fresh: float, seed: str, age: float) -> None:
    lifetime = Lifetime(fresh, 0, 0)
    assume(abs(age - fresh * (1 - JITTER)) > 1e-3)
    assume(abs(age - fresh * (1 + JITTER)) > 1e-3)
    judged = judge(age, 0.0, lifetime, seed)
    if age < fresh * (1 - JITTER):
        assert judged is FRESH
    if age > fresh * (1 + JITTER):
        assert judged is GONE


@given(st.text(st.characters(exclude_categories=())))
def test_the_spread_is_within_a_tenth_and_always_the_same(seed: str) -> None:
    assert 1 - JITTER <= spread(seed) <= 1 + JITTER
    assert spread(seed) == spread(seed)


def test_different_seeds_spread_over_the_whole_tenth() -> None:
    factors = [spread(str(number)) for number in range(1000)]
    assert min(factors) < 0.905
    assert max(factors) > 1.095
    assert sum(factors) / len(factors) == pytest.approx(1, abs=0.01)
