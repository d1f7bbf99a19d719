"""Replay buffer: each request is answered once, whichever daemon ends meanwhile."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.relay.replay import ReplayBuffer

INITIALIZED = {"method": "notifications/initialized"}


def line(**parts: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **parts}).encode() + b"\n"


def request(number: object, method: str = "tools/call", **params: object) -> bytes:
    return line(id=number, method=method, params=params)


def answer(number: object) -> bytes:
    """An answer as the daemon writes it, by pydantic and without blanks."""
    return f'{{"jsonrpc":"2.0","id":{json.dumps(number)},"result":{{}}}}\n'.encode()


def introduced() -> ReplayBuffer:
    """A conversation past its hand-shake."""
    calls = ReplayBuffer()
    calls.sent(request(0, "initialize"))
    assert calls.received(answer(0))
    calls.sent(line(**INITIALIZED))
    return calls


HAND_SHAKE = [request(0, "initialize"), line(**INITIALIZED)]


class TestSayingAgain:
    def test_nothing_said_is_nothing_to_say_again(self) -> None:
        calls = ReplayBuffer()
        assert not calls.is_awaited
        assert calls.replay() == ([], [])

    def test_the_hand_shake_comes_first_and_then_the_calls_without_an_answer(self) -> None:
        calls = introduced()
        calls.sent(request(1))
        calls.sent(request("1"))
        calls.sent(request(2))
        assert calls.received(answer(1))
        assert calls.is_awaited
        assert calls.replay() == ([*HAND_SHAKE, request("1"), request(2)], [])

    def test_the_answer_to_a_repeated_hand_shake_is_no_news(self) -> None:
        calls = introduced()
        calls.replay()
        assert not calls.received(answer(0))
        assert calls.received(answer(0))

    def test_a_hand_shake_in_flight_is_said_once_and_its_answer_is_news(self) -> None:
        calls = ReplayBuffer()
        calls.sent(request(0, "initialize"))
        assert calls.replay() == ([request(0, "initialize")], [])
        assert calls.received(answer(0))
        assert not calls.is_awaited

    def test_a_new_hand_shake_takes_the_place_of_the_one_before(self) -> None:
        calls = introduced()
        calls.sent(request(9, "initialize"))
        calls.received(answer(9))
        assert calls.replay() == ([request(9, "initialize")], [])

    def test_a_call_that_outlives_two_daemons_fails_by_its_own_id(self) -> None:
        calls = introduced()
        calls.sent(request("a"))
        assert calls.replay() == ([*HAND_SHAKE, request("a")], [])
        calls.sent(request("b"))
        again, (failed,) = calls.replay()
        assert again == [*HAND_SHAKE, request("b")]
        result = json.loads(failed)
        assert (result["id"], result["error"]["message"]) == ("a", "Connection closed")
        assert failed.endswith(b"\n")

    def test_a_cancelled_call_is_not_said_again(self) -> None:
        calls = introduced()
        calls.sent(request(1))
        calls.sent(line(method="notifications/cancelled", params={"requestId": 1}))
        assert not calls.is_awaited
        assert calls.replay() == (HAND_SHAKE, [])

    def test_there_is_a_bound_to_what_is_kept(self) -> None:
        calls = introduced()
        for number in range(1, 2002):
            calls.sent(request(number))
        again, failed = calls.replay()
        assert len(again) == len(HAND_SHAKE) + 1000
        assert failed == []


class TestSubscriptions:
    def test_one_is_renewed_and_that_is_no_news(self) -> None:
        calls = introduced()
        calls.sent(request(1, "resources/subscribe", uri="fabric://stats"))
        assert calls.received(answer(1))
        assert calls.is_awaited
        assert calls.replay()[0] == [
            *HAND_SHAKE,
            request(1, "resources/subscribe", uri="fabric://stats"),
        ]
        assert not calls.received(answer(1))

    def test_one_in_flight_is_said_once_and_its_answer_is_news(self) -> None:
        calls = introduced()
        calls.sent(request(1, "resources/subscribe", uri="fabric://stats"))
        assert len(calls.replay()[0]) == len(HAND_SHAKE) + 1
        assert calls.received(answer(1))

    def test_one_that_was_ended_is_not_renewed(self) -> None:
        calls = introduced()
        calls.sent(request(1, "resources/subscribe", uri="fabric://stats"))
        calls.sent(request(2, "resources/unsubscribe", uri="fabric://stats"))
        calls.received(answer(1))
        calls.received(answer(2))
        assert not calls.is_awaited
        assert calls.replay() == (HAND_SHAKE, [])


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\n",
        b"garbage\n",
        b"[" * 100_000 + b"\n",
        b"[1]\n",
        b"\xff\xfe\n",
        line(method=["tools/call"], id=1),
        line(method="notifications/cancelled", params=[]),
        line(method="notifications/cancelled", params={"requestId": {}}),
        line(id=1, result={}),
    ],
    ids=lambda nonsense: repr(nonsense[-50:]),
)
def test_what_is_no_call_is_not_remembered(nonsense: bytes) -> None:
    calls = introduced()
    calls.sent(nonsense)
    assert not calls.is_awaited
    assert calls.replay() == (HAND_SHAKE, [])


@pytest.mark.parametrize(
    "result",
    [line(method="notifications/progress"), answer(None), b'{"jsonrpc":"2.0","id":\xff\n', b"x\n"],
    ids=repr,
)
def test_any_other_line_of_the_daemon_is_forwarded(result: bytes) -> None:
    calls = introduced()
    calls.sent(request(1))
    assert calls.received(result)
    assert calls.is_awaited


@dataclass
class Conversation:
    """A client and its daemons; `answered` counts what the client gets for each id."""

    calls: ReplayBuffer = field(default_factory=introduced)
    with_daemon: list[Any] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    answered: dict[str, int] = field(default_factory=dict)

    def ask(self, number: object) -> None:
        self.asked.append(number)
        self.with_daemon.append(number)
        self.calls.sent(request(number))

    def answer_one(self, which: int) -> None:
        if self.with_daemon:
            number = self.with_daemon.pop(which % len(self.with_daemon))
            if self.calls.received(answer(number)):
                self.count(number)

    def die(self) -> None:
        again, failed = self.calls.replay()
        said = [json.loads(each) for each in again]
        self.with_daemon = [each["id"] for each in said if "id" in each]
        for each in failed:
            self.count(json.loads(each)["id"])

    def count(self, number: object) -> None:
        name = json.dumps(number)
        self.answered[name] = self.answered.get(name, 0) + 1


STEPS = st.lists(
    st.one_of(st.just("ask"), st.just("die"), st.integers(min_value=0, max_value=9)), max_size=60
)


@given(steps=STEPS, texts=st.booleans())
def test_whatever_the_order_each_call_is_answered_exactly_once(
    steps: list[str | int], *, texts: bool
) -> None:
    conversation = Conversation()
    for step in steps:
        if step == "ask":
            number = len(conversation.asked) + 1
            conversation.ask(str(number) if texts else number)
        elif step == "die":
            conversation.die()
        else:
            conversation.answer_one(int(step))
    while conversation.with_daemon:
        conversation.answer_one(0)
    assert not conversation.calls.is_awaited
    assert conversation.answered == {json.dumps(number): 1 for number in conversation.asked}
