"""Single flight of four processes on one home: one call, even if one of them is killed."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.client import Dialogue, outcome_of, talking, texts_of
from support.context7_api import Api
from support.processes import wait_gone
from support.product import BY_ITSELF, PROGRAM, Variables, product_environment

ASKED = {"libraryId": "/fastapi/fastapi", "query": "How do I test a WebSocket?"}
PROCESSES = 4


@pytest.fixture
def dialogues(by_http: Variables, home: Path) -> Iterator[list[Dialogue]]:
    """Four of our servers on one home."""
    env = product_environment(home, {**by_http, **BY_ITSELF})
    with ExitStack() as stack:
        yield [stack.enter_context(talking([PROGRAM], env)) for _number in range(PROCESSES)]


def test_four_processes_with_the_same_question_cost_one_call(
    api: Api, dialogues: list[Dialogue]
) -> None:
    with api.gate() as gate:
        numbers = [
            dialogue.start("tools/call", name="query-docs", arguments=ASKED)
            for dialogue in dialogues
        ]
        gate.wait_for(1)
        gate.release()
    results = [each.reply(number) for each, number in zip(dialogues, numbers, strict=True)]
    assert api.calls == 1
    assert len({texts_of(result)[0] for result in results}) == 1
    outcomes = [outcome_of(result) for result in results]
    assert outcomes.count("miss") == 1
    assert set(outcomes) <= {"miss", "coalesced", "hit"}


def test_a_killed_leader_blocks_the_others_only_briefly(
    api: Api, dialogues: list[Dialogue]
) -> None:
    leader, follower, *_others = dialogues
    with api.gate() as gate:
        leader.start("tools/call", name="query-docs", arguments=ASKED)
        gate.wait_for(1)
        os.kill(leader.process.pid, signal.SIGKILL)
        wait_gone([leader.process.pid])
        number = follower.start("tools/call", name="query-docs", arguments=ASKED)
        gate.wait_for(2, 10)
        gate.release()
    assert outcome_of(follower.reply(number)) == "miss"
