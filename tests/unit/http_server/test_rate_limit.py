"""Rate of each token: the burst, the rate after it, and the bound on names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.errors import RateLimited
from context7_fabric.http_server.auth import MOST_NAMES, RateLimits, burst_of
from support.scripted import FakeClock

RATES = st.integers(1, 100_000)


def taken(limits: RateLimits, name: str, tries: int) -> int:
    """Return how many of `tries` requests pass."""
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


def test_rate_limit_after_the_burst_allows_the_rate() -> None:
    clock = FakeClock(0)
    limits = RateLimits(600, clock)
    taken(limits, "ci", 60)
    assert wait_of(limits, "ci") == pytest.approx(0.1)
    clock.forward(1.01)
    assert taken(limits, "ci", 100) == 10


def test_rate_limit_after_a_long_pause_allows_one_burst() -> None:
    clock = FakeClock(0)
    limits = RateLimits(600, clock)
    taken(limits, "ci", 60)
    clock.forward(86_400)
    assert taken(limits, "ci", 100) == 60


def test_rate_limit_of_one_name_leaves_others_alone() -> None:
    limits = RateLimits(600, FakeClock())
    taken(limits, "loud", 1000)
    assert taken(limits, "quiet", 60) == 60


@given(RATES)
def test_rate_limit_after_the_announced_wait_allows_one(rate: int) -> None:
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


def test_rate_limit_of_many_names_keeps_the_latest() -> None:
    limits = RateLimits(1, FakeClock())
    limits.take("n0")
    for number in range(1, MOST_NAMES + 100):
        limits.take(f"n{number}")
        assert wait_of(limits, "n0") > 0
    assert len(limits._buckets) == MOST_NAMES
    assert wait_of(limits, f"n{MOST_NAMES + 99}") > 0
    assert wait_of(limits, "n1") == 0
