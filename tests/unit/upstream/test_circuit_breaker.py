"""The circuit breaker and rests, with a clock moved by hand, forth and back."""

from __future__ import annotations

import pytest

from context7_fabric.errors import UpstreamPaused
from context7_fabric.upstream.circuit_breaker import (
    FAILURES_TO_OPEN,
    LIMIT_SECONDS,
    LONGEST_REST,
    BackOff,
    CircuitBreaker,
    rest_from,
)
from support.scripted import FakeClock

DAY = 86400.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def guard(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(clock)


def fail(guard: CircuitBreaker, *, connecting: bool = False) -> None:
    guard.failed(guard.enter(), "it broke", connecting=connecting)


def opened_for(guard: CircuitBreaker) -> float:
    with pytest.raises(UpstreamPaused) as raised:
        guard.enter()
    return raised.value.seconds


@pytest.mark.parametrize("together", [2, 5, 32, 3000])
def test_calls_that_fail_together_count_as_one_failure(
    guard: CircuitBreaker, together: int
) -> None:
    for _incident in range(FAILURES_TO_OPEN - 1):
        for begun in [guard.enter() for _call in range(together)]:
            guard.failed(begun, "the connection broke")
    assert not guard.is_open
    fail(guard)
    assert guard.is_open


def test_an_open_breaker_opens_again_twice_as_long_up_to_half_a_minute(
    guard: CircuitBreaker, clock: FakeClock
) -> None:
    for _failure in range(FAILURES_TO_OPEN):
        fail(guard)
    lengths = [opened_for(guard)]
    for _probe in range(6):
        clock.forward(lengths[-1])
        fail(guard)
        lengths.append(opened_for(guard))
    assert lengths == [1, 2, 4, 8, 16, 30, 30]
    clock.forward(30)
    guard.enter()
    guard.succeeded()
    for _failure in range(FAILURES_TO_OPEN):
        fail(guard)
    assert opened_for(guard) == 1


def test_a_connection_that_cannot_be_made_opens_at_once_and_one_that_is_made_closes(
    guard: CircuitBreaker, clock: FakeClock
) -> None:
    for seconds in (1, 2, 4):
        fail(guard, connecting=True)
        assert opened_for(guard) == seconds
        clock.forward(seconds)
    fail(guard, connecting=True)
    guard.connected()
    assert not guard.is_open
    fail(guard, connecting=True)
    assert opened_for(guard) == 1


def test_a_new_connection_lets_one_call_probe_where_answers_had_failed(
    guard: CircuitBreaker,
) -> None:
    for _failure in range(FAILURES_TO_OPEN):
        fail(guard)
    guard.connected()
    begun = guard.enter()
    assert opened_for(guard) == 0
    guard.failed(begun, "it broke again")
    assert opened_for(guard) == 2


@pytest.mark.parametrize("shift", [-0.5, -3600, -30 * DAY, 31, 30 * DAY])
def test_a_breaker_does_not_stay_open_when_the_clock_is_set(
    guard: CircuitBreaker, clock: FakeClock, shift: float
) -> None:
    for _failure in range(FAILURES_TO_OPEN):
        fail(guard)
    clock.forward(shift)
    guard.enter()


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [(None, LIMIT_SECONDS), (0, 1), (17, 17), (1e6, LONGEST_REST), (float("inf"), LONGEST_REST)],
)
def test_a_rest_lasts_as_long_as_upstream_wants_and_a_day_at_most(
    clock: FakeClock, retry_after: float | None, seconds: float
) -> None:
    rest = rest_from(clock.now, "slow down", retry_after)
    assert rest.holds(clock.now)
    assert rest.holds(clock.now + seconds - 0.5)
    assert not rest.holds(clock.now + seconds)
    first = seconds if retry_after is not None else 60
    assert rest.next_call(clock.now) == clock.now + first


@pytest.mark.parametrize(
    "rest",
    [
        BackOff(30 * DAY, 30 * DAY + 3600, "clock ahead", strict=False, probed=30 * DAY),
        BackOff(6, 66, "a little ahead", strict=True, probed=6),
        BackOff(-10, LONGEST_REST + 1, "too long", strict=True, probed=-10),
        BackOff(-10, 30 * DAY, "far too long", strict=False, probed=-10),
        BackOff(-10, -5, "over", strict=True, probed=-10),
        BackOff(-10, -20, "backwards", strict=True, probed=-10),
        BackOff(float("nan"), float("nan"), "nonsense", strict=True, probed=0),
    ],
    ids=lambda rest: rest.why,
)
def test_a_rest_from_a_wrong_clock_is_ignored(rest: BackOff) -> None:
    assert not rest.holds(0)


@pytest.mark.parametrize("probed", [-1e9, 1e9, 0])
def test_a_probe_from_a_wrong_clock_delays_no_call_beyond_a_minute(probed: float) -> None:
    rest = BackOff(0, 3600, "slow down", strict=False, probed=probed)
    assert rest.next_call(10) <= 70
