"""The rate of each token: what may come at once, what comes after, and who is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.errors import RateLimited
from context7_fabric.http_server.rate_limit import MOST_NAMES, RateLimits, burst_of
from support.scripted import FakeClock

RATES = st.integers(1, 100_000)


def taken(limits: RateLimits, name: str, tries: int) -> int:
    """How many of so many requests pass."""
    return sum(wait_of(limits, name) == 0 for _try in range(tries))


def wait_of(limits: RateLimits, name: str) -> float:
    try:
        limits.take(name)
    except RateLimited as error:
        return error.seconds
    return 0


@pytest.mark.parametrize(
    ("rate", "burst"), [(600, 60), (6000, 600), (100, 10), (60, 10), (10, 10), (5, 5), (1, 1)]
)
def test_a_burst_is_a_tenth_of_a_minutes_but_enough_to_start_with(rate: int, burst: int) -> None:
    assert burst_of(rate) == burst
    assert taken(RateLimits(rate, FakeClock()), "ci", burst + 1) == burst


def test_who_has_used_up_the_burst_goes_on_at_the_rate() -> None:
    clock = FakeClock(0)
    limits = RateLimits(600, clock)
    taken(limits, "ci", 60)
    assert wait_of(limits, "ci") == pytest.approx(0.1)
    clock.forward(1.01)
    assert taken(limits, "ci", 100) == 10


def test_a_long_rest_fills_up_the_burst_and_no_more() -> None:
    clock = FakeClock(0)
    limits = RateLimits(600, clock)
    taken(limits, "ci", 60)
    clock.forward(86_400)
    assert taken(limits, "ci", 100) == 60


def test_one_that_asks_too_much_takes_nothing_from_another() -> None:
    limits = RateLimits(600, FakeClock())
    taken(limits, "loud", 1000)
    assert taken(limits, "quiet", 60) == 60


@given(RATES)
def test_who_waits_as_long_as_told_gets_one_in(rate: int) -> None:
    clock = FakeClock(0)
    limits = RateLimits(rate, clock)
    taken(limits, "ci", burst_of(rate))
    clock.forward(wait_of(limits, "ci") + 1e-6)
    assert (wait_of(limits, "ci"), wait_of(limits, "ci") > 0) == (0, True)


@given(st.integers(1, 1000), st.lists(st.floats(0, 5), max_size=100))
def test_a_minute_never_sees_more_than_its_requests_and_a_burst(
    rate: int, pauses: list[float]
) -> None:
    clock = FakeClock(0)
    limits = RateLimits(rate, clock)
    passed = 0
    for pause in pauses:
        clock.forward(pause)
        passed += wait_of(limits, "ci") == 0
    assert passed <= burst_of(rate) + clock.now * rate / 60 + 1e-6


def test_memory_is_bounded_and_who_came_last_is_remembered() -> None:
    limits = RateLimits(1, FakeClock())
    limits.take("n0")
    for number in range(1, MOST_NAMES + 100):
        limits.take(f"n{number}")
        assert wait_of(limits, "n0") > 0
    assert len(limits) == MOST_NAMES
    assert wait_of(limits, f"n{MOST_NAMES + 99}") > 0
    assert wait_of(limits, "n1") == 0
