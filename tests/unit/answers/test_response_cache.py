"""Whole answers are cached while the store's revision and their freshness hold."""

from __future__ import annotations

import pytest

from context7_fabric.answers.response_cache import (
    LONGEST_RESPONSE,
    MOST_RESPONSES,
    ResponseCache,
)
from context7_fabric.fabric.backend import CLOCK_SLACK
from context7_fabric.models import Answer, CallTrace, Outcome, Tier
from support.scripted import FakeClock

FRESH = 100.0


class Store:
    """A store's revision, which a write changes; None while it is unknown."""

    def __init__(self) -> None:
        self.revision: int | None = 1


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cache(store: Store, clock: FakeClock) -> ResponseCache:
    return ResponseCache(lambda: store.revision, clock)


def hit(clock: FakeClock, text: str = "text") -> Answer:
    return Answer(text, Outcome.HIT, Tier.QUESTION, "/a/b", clock(), 0.0)


def traced(clock: FakeClock, *steps: str) -> CallTrace:
    """The trace of a call that found a fresh copy."""
    trace = CallTrace()
    for step in steps or ("stored copy",):
        trace.step(step)
    trace.stored_at, trace.fresh_until = ("docs:/a/b",), clock() + FRESH
    return trace


def keep(cache: ResponseCache, clock: FakeClock, answer: Answer, key: str = "key") -> None:
    cache.keep(key, answer, traced(clock), cache.revision())


def test_get_after_keep_returns_the_answer_at_its_age_and_traces_a_hit(
    cache: ResponseCache, clock: FakeClock
) -> None:
    keep(cache, clock, hit(clock))
    clock.forward(60)
    trace = CallTrace()
    answer = cache.get("key", trace)
    assert answer is not None
    assert (answer.text, answer.outcome, answer.age_seconds) == ("text", Outcome.HIT, 60)
    assert trace.stored_at == ("docs:/a/b",)
    assert [what for what, _at in trace.steps] == ["stored copy, 1 minute old: serve it"]


@pytest.mark.parametrize(
    ("passed", "is_cached"),
    [(FRESH - 0.1, True), (FRESH, False), (-CLOCK_SLACK, True), (-CLOCK_SLACK - 1, False)],
)
def test_get_at_some_time_returns_only_what_is_fresh(
    cache: ResponseCache, clock: FakeClock, passed: float, *, is_cached: bool
) -> None:
    keep(cache, clock, hit(clock))
    clock.forward(passed)
    trace = CallTrace()
    assert (cache.get("key", trace) is not None) is is_cached
    assert bool(trace.steps) is is_cached


@pytest.mark.parametrize("revision", [2, None])
def test_get_after_a_write_or_without_a_revision_returns_nothing(
    cache: ResponseCache, store: Store, clock: FakeClock, revision: int | None
) -> None:
    keep(cache, clock, hit(clock))
    store.revision = revision
    assert cache.get("key", CallTrace()) is None


def test_keep_of_an_answer_read_before_a_write_keeps_nothing(
    cache: ResponseCache, store: Store, clock: FakeClock
) -> None:
    as_of = cache.revision()
    store.revision = 2
    cache.keep("key", hit(clock), traced(clock), as_of)
    assert cache.get("key", CallTrace()) is None


def test_keep_of_what_was_not_a_plain_hit_keeps_nothing(
    cache: ResponseCache, clock: FakeClock
) -> None:
    without = traced(clock)
    without.fresh_until = None
    for trace in (without, traced(clock, "nothing stored", "asked Context7"), CallTrace()):
        cache.keep("key", hit(clock), trace, cache.revision())
        assert cache.get("key", CallTrace()) is None


@pytest.mark.parametrize("text", ["x" * (LONGEST_RESPONSE + 1), "half a \ud83d"])
def test_keep_of_a_long_text_or_one_that_cannot_be_sent_keeps_nothing(
    cache: ResponseCache, clock: FakeClock, text: str
) -> None:
    keep(cache, clock, hit(clock, text))
    assert cache.get("key", CallTrace()) is None


def test_keep_of_many_answers_stays_bounded(cache: ResponseCache, clock: FakeClock) -> None:
    for number in range(3 * MOST_RESPONSES):
        keep(cache, clock, hit(clock), str(number))
    cached = [cache.get(str(each), CallTrace()) for each in range(3 * MOST_RESPONSES)]
    assert 0 < sum(each is not None for each in cached) <= MOST_RESPONSES
