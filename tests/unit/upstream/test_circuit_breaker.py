"""Circuit breaker and back-off, with a clock that is moved by hand, forth and back."""

from __future__ import annotations

import pytest

from context7_fabric.errors import UpstreamPaused
from context7_fabric.upstream.circuit_breaker import (
    FAILURES_TO_OPEN,
    LIMIT_SECONDS,
    LONGEST_BACK_OFF,
    BackOff,
    CircuitBreaker,
    back_off_after,
)
from support.scripted import FakeClock

DAY = 86400.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def breaker(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(clock)


def fail(breaker: CircuitBreaker, *, connecting: bool = False) -> None:
    breaker.failed(breaker.admit(), "it broke", connecting=connecting)


def opened_for(breaker: CircuitBreaker) -> float:
    with pytest.raises(UpstreamPaused) as raised:
        breaker.admit()
    return raised.value.seconds


@pytest.mark.parametrize("together", [2, 5, 32, 3000])
def test_calls_that_fail_together_count_as_one_failure(
    breaker: CircuitBreaker, together: int
) -> None:
    for _incident in range(FAILURES_TO_OPEN - 1):
        for admitted in [breaker.admit() for _call in range(together)]:
            breaker.failed(admitted, "the connection broke")
    assert not breaker.is_open
    fail(breaker)
    assert breaker.is_open


def test_an_open_breaker_opens_again_twice_as_long_up_to_half_a_minute(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    for _failure in range(FAILURES_TO_OPEN):
        fail(breaker)
    lengths = [opened_for(breaker)]
    for _probe in range(6):
        clock.forward(lengths[-1])
        fail(breaker)
        lengths.append(opened_for(breaker))
    assert lengths == [1, 2, 4, 8, 16, 30, 30]
    clock.forward(30)
    breaker.admit()
    breaker.succeeded()
    for _failure in range(FAILURES_TO_OPEN):
        fail(breaker)
    assert opened_for(breaker) == 1


def test_a_connection_that_cannot_be_made_opens_at_once_and_one_that_is_made_closes(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    for seconds in (1, 2, 4):
        fail(breaker, connecting=True)
        assert opened_for(breaker) == seconds
        clock.forward(seconds)
    fail(breaker, connecting=True)
    breaker.connected()
    assert not breaker.is_open
    fail(breaker, connecting=True)
    assert opened_for(breaker) == 1


def test_a_new_connection_lets_one_call_probe_where_answers_had_failed(
    breaker: CircuitBreaker,
) -> None:
    for _failure in range(FAILURES_TO_OPEN):
        fail(breaker)
    breaker.connected()
    admitted = breaker.admit()
    assert opened_for(breaker) == 0
    breaker.failed(admitted, "it broke again")
    assert opened_for(breaker) == 2


@pytest.mark.parametrize("shift", [-0.5, -3600, -30 * DAY, 31, 30 * DAY])
def test_a_breaker_does_not_stay_open_when_the_clock_is_set(
    breaker: CircuitBreaker, clock: FakeClock, shift: float
) -> None:
    for _failure in range(FAILURES_TO_OPEN):
        fail(breaker)
    clock.forward(shift)
    breaker.admit()


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        (None, LIMIT_SECONDS),
        (0, 1),
        (17, 17),
        (1e6, LONGEST_BACK_OFF),
        (float("inf"), LONGEST_BACK_OFF),
    ],
)
def test_back_off_lasts_as_long_as_upstream_wants_and_a_day_at_most(
    clock: FakeClock, retry_after: float | None, seconds: float
) -> None:
    back_off = back_off_after(clock.now, "slow down", retry_after)
    assert back_off.holds(clock.now)
    assert back_off.holds(clock.now + seconds - 0.5)
    assert not back_off.holds(clock.now + seconds)
    first = seconds if retry_after is not None else 60
    assert back_off.next_call(clock.now) == clock.now + first


@pytest.mark.parametrize(
    "back_off",
    [
        BackOff(30 * DAY, 30 * DAY + 3600, "clock ahead", strict=False, probed=30 * DAY),
        BackOff(6, 66, "a little ahead", strict=True, probed=6),
        BackOff(-10, LONGEST_BACK_OFF + 1, "too long", strict=True, probed=-10),
        BackOff(-10, 30 * DAY, "far too long", strict=False, probed=-10),
        BackOff(-10, -5, "over", strict=True, probed=-10),
        BackOff(-10, -20, "backwards", strict=True, probed=-10),
        BackOff(float("nan"), float("nan"), "nonsense", strict=True, probed=0),
    ],
    ids=lambda back_off: back_off.why,
)
def test_back_off_from_a_wrong_clock_is_ignored(back_off: BackOff) -> None:
    assert not back_off.holds(0)


@pytest.mark.parametrize("probed", [-1e9, 1e9, 0])
def test_a_probe_from_a_wrong_clock_delays_no_call_beyond_a_minute(probed: float) -> None:
    back_off = BackOff(0, 3600, "slow down", strict=False, probed=probed)
    assert back_off.next_call(10) <= 70
