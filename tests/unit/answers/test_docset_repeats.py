"""Questions asked again: the likeness of two questions, and the bounds of what is remembered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.answers import docset_repeats
from context7_fabric.answers.docset_repeats import DeliveredPages, are_alike
from context7_fabric.models import Caller, DocsetDecision, DocsetReason, Mode, Question
from support.scripted import FakeClock

words = st.frozensets(st.sampled_from("abcdefghij"), max_size=10)


def decision(*asked: str, name: str = "/acme/gears") -> DocsetDecision:
    weighed = tuple((word, 1.0) for word in asked)
    return DocsetDecision(name, 1.0, 0.4, DocsetReason.CONFIDENT, weighed)


@given(words, words)
def test_are_alike_is_symmetric_and_true_of_the_same_words_alone_if_there_are_any(
    some: frozenset[str], others: frozenset[str]
) -> None:
    assert are_alike(some, others) == are_alike(others, some)
    assert are_alike(some, some) == bool(some)
    if not some & others:
        assert not are_alike(some, others)


@pytest.mark.parametrize(("shared", "extra", "alike"), [(3, 2, True), (3, 3, False), (4, 2, True)])
def test_are_alike_from_three_fifths_of_all_words(shared: int, extra: int, alike: bool) -> None:
    same = {f"w{number}" for number in range(shared)}
    assert (
        are_alike(frozenset(same), frozenset(same | {str(each) for each in range(extra)})) is alike
    )


@pytest.mark.parametrize(
    ("mode", "page", "alike"), [(None, 1, True), ("code", 1, False), (None, 2, False)]
)
def test_delivered_page_is_asked_again_only_for_the_same_part(
    mode: Mode | None, page: int, alike: bool
) -> None:
    pages, caller = DeliveredPages(FakeClock()), Caller()
    pages.add(Question("/acme/gears", "x"), decision("x", "y"), caller)
    asked = Question("/acme/gears", "X y", mode, page)
    assert pages.has_alike(asked, decision("X", "y"), caller) is alike


def test_delivered_page_belongs_to_one_library_and_one_client() -> None:
    pages, asked = DeliveredPages(FakeClock()), Question("/acme/gears", "x")
    pages.add(asked, decision("x"), Caller(connection=None, address="10.0.0.1", owner="a"))
    for other in (
        Caller(connection=None, address="10.0.0.2", owner="a"),
        Caller(connection=None, address="10.0.0.1", owner="b"),
        Caller(connection=None),
    ):
        assert not pages.has_alike(asked, decision("x"), other)
    same = Caller(connection=None, address="10.0.0.1", owner="a")
    assert pages.has_alike(asked, decision("x"), same)
    assert not pages.has_alike(asked, decision("x", name="/acme/wheels"), same)


def test_delivered_page_of_a_client_that_cannot_be_recognised_is_not_remembered() -> None:
    pages, asked = DeliveredPages(FakeClock()), Question("/acme/gears", "x")
    caller = Caller(connection="cli-1", address=None)
    pages.add(asked, decision("x"), caller)
    assert not pages.has_alike(asked, decision("x"), caller)


def test_delivered_pages_are_forgotten_when_the_clock_is_set_back() -> None:
    clock = FakeClock()
    pages, asked = DeliveredPages(clock), Question("/acme/gears", "x")
    pages.add(asked, decision("x"), Caller())
    clock.forward(-1)
    assert not pages.has_alike(asked, decision("x"), Caller())


def test_delivered_pages_are_bounded_in_clients_and_in_pages_of_one() -> None:
    pages, asked = DeliveredPages(FakeClock()), Question("/acme/gears", "x")
    for number in range(docset_repeats.MOST_CLIENTS + 10):
        pages.add(asked, decision("x"), Caller(connection=str(number)))
    assert not pages.has_alike(asked, decision("x"), Caller(connection="9"))
    assert pages.has_alike(asked, decision("x"), Caller(connection="10"))
    for number in range(docset_repeats.MOST_PAGES):
        pages.add(asked, decision(f"w{number}"), Caller(connection="10"))
    assert not pages.has_alike(asked, decision("x"), Caller(connection="10"))
