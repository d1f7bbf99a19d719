"""Servers on one Redis when one of them, or Redis, is killed, hangs or is started again."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from time import monotonic

import pytest

from context7_fabric.answers.cross_process import LEASE_SECONDS
from support.client import outcome_of, until
from support.context7_api import Api
from support.faults import slow
from support.processes import one_within, seconds_of
from support.product import Variables
from support.redis_servers import RedisServer, redis_server
from support.replicas import (
    REPLICAS,
    Callers,
    Replica,
    answers,
    elsewhere,
    killed,
    on_redis,
    replicas,
    restart_each,
)

SLACK = 2.0
"""Seconds that a call may take by itself on a busy machine."""

CARL, DORA = "ctx7sk-carl", "ctx7sk-dora"
CAUSES = ("a connection is lost", "none can be had")
"""Causes of failure after Redis was killed: at most one warning for each."""

HANGING = 20.0
"""Seconds that a call may take while Redis hangs: its time-outs of a second, several times."""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A server that keeps what it has when it is started again."""
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.fixture(scope="module")
def variables(by_http: Variables, redis: RedisServer) -> Variables:
    return on_redis(by_http, redis.patient_url)


@pytest.fixture(scope="module")
def three(
    variables: Variables, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Replica]]:
    folder = tmp_path_factory.mktemp("replicas")
    with replicas(folder, *[variables] * REPLICAS) as these:
        yield these


@pytest.mark.parametrize("place", ["this machine", "another machine"])
def test_a_replica_killed_in_mid_flight_delays_the_others_no_longer_than_its_lease(
    api: Api, variables: Variables, three: list[Replica], tmp_path: Path, place: str
) -> None:
    question, others = f"Who is killed on {place}?", three
    apart = [] if place == "this machine" else elsewhere()
    with (
        replicas(tmp_path, variables, before=apart) as (leader,),
        ThreadPoolExecutor(REPLICAS + 1) as threads,
        api.gate() as gate,
    ):
        lost = threads.submit(leader.ask, question)
        gate.wait_for(1)
        waiting = [threads.submit(each.ask, question) for each in others]
        leader.kill()
        gate.wait_for(2, 2 * LEASE_SECONDS + SLACK)
        gate.release()
        results = [each.result() for each in waiting]
        assert lost.exception() is not None
    assert all(answers(each, question) for each in results)
    assert {outcome_of(each) for each in results} <= {"miss", "coalesced", "hit"}
    assert api.calls == 2


def test_while_redis_is_gone_all_answer_from_upstream_and_then_they_share_again(
    api: Api, three: list[Replica], redis: RedisServer
) -> None:
    stored = "What is stored?"
    assert_shared(three, stored)
    before = [len(warnings(each)) for each in three]
    with killed(redis):
        for each in three:
            assert_upstream_answers(each, stored)
            for number in range(10):
                assert_upstream_answers(each, f"What is {each.home} asked, {number}?")
        for each, known in zip(three, before, strict=True):
            until(each.served, lambda each=each, known=known: len(warnings(each)) > known)  # type: ignore[misc]
            assert len(warnings(each)) - known <= len(CAUSES), each.log
    assert {outcome_of(each.ask(stored)) for each in three} == {"hit"}
    assert_shared(three, "What is new?")
    redis.cli("FLUSHALL")
    assert_shared(three, stored)


def test_a_key_that_comes_while_redis_is_gone_shares_once_it_is_back(
    api: Api, three: list[Replica], redis: RedisServer
) -> None:
    with killed(redis):
        assert_upstream_answers(three[0], "What is asked first?", CARL)
    assert_shared(three, "What is asked then?", CARL)


def test_a_key_is_the_same_on_all_after_redis_has_lost_everything(
    api: Api, three: list[Replica], redis: RedisServer
) -> None:
    assert_shared(three, "Whose is this?", DORA)
    redis.cli("FLUSHALL")
    three[0].stop()
    three[0].start()
    numbers = count()

    def is_shared() -> bool:  # once the others have heard of the new secret
        question = f"And whose is this, {next(numbers)}?"
        outcomes = [outcome_of(each.ask(question, DORA)) for each in reversed(three)]
        return outcomes == ["miss", "hit", "hit"]

    until(three[0].served, is_shared)


def test_a_redis_that_hangs_delays_calls_and_fails_none(
    by_http: Variables, redis: RedisServer, tmp_path: Path
) -> None:
    stored, impatient = "What is held?", on_redis(by_http, redis.url)
    with replicas(tmp_path, *[impatient] * REPLICAS) as these:
        for each in these:
            until(each.served, partial(hits, each, stored))
        with redis.held(), ThreadPoolExecutor(REPLICAS) as threads:
            begun = monotonic()
            results = list(threads.map(lambda each: each.ask(stored), these))
            assert monotonic() - begun < HANGING
        assert all(answers(each, stored) for each in results)
        for each in these:
            until(each.served, partial(hits, each, stored))


@pytest.mark.timeout(180)  # it starts three servers, one after the other, beside their callers
async def test_a_rolling_restart_under_load_loses_no_call(api: Api, three: list[Replica]) -> None:
    callers = Callers(three, callers=10)
    async with callers.calling():
        await callers.made(40)
        await restart_each(three, callers)
        await callers.made(40)
    assert callers.lost == []
    assert callers.passed_on > 0
    assert set(callers.outcomes) <= {"miss", "coalesced", "hit"}
    assert callers.outcomes.count("hit") > len(callers.outcomes) / 2


def test_calls_that_wait_for_a_slow_upstream_are_answered_before_a_replica_ends(
    api: Api, three: list[Replica]
) -> None:
    questions = [f"What is slow, {number}?" for number in range(5)]
    api.fail(slow(1.0))
    with ThreadPoolExecutor(len(questions)) as threads:
        waiting = [threads.submit(three[0].ask, each) for each in questions]
        api.wait_for(len(questions))
        three[0].stop()
        results = [each.result() for each in waiting]
    assert all(map(answers, results, questions))
    # It has stored them as well.
    assert [outcome_of(three[1].ask(each)) for each in questions] == ["hit"] * len(questions)


def hits(replica: Replica, question: str) -> bool:
    return outcome_of(replica.ask(question)) == "hit"


def assert_upstream_answers(replica: Replica, question: str, key: str | None = None) -> None:
    """Check that a replica answers a question in time, with an outcome that names upstream."""

    def ask() -> None:
        result = replica.ask(question, key)
        assert answers(result, question)
        assert outcome_of(result) == "miss"

    one_within(SLACK, partial(seconds_of, ask))


def assert_shared(these: Sequence[Replica], question: str, key: str | None = None) -> None:
    """Check that the last replica stores a new answer and all others find it."""
    *others, last = these
    assert outcome_of(last.ask(question, key)) == "miss"
    assert {outcome_of(each.ask(question, key)) for each in others} == {"hit"}


def warnings(replica: Replica) -> list[str]:
    """Return the warnings in a replica's log."""
    return re.findall(r"^context7-fabric: WARNING: .*$", replica.log, re.MULTILINE)
