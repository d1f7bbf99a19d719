"""The record of a call: what it says, how long it is, how long and how many are kept."""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator, Sequence

import anyio
import anyio.lowlevel
import pytest

from context7_fabric import models
from context7_fabric.call_log.records import (
    LONGEST_NAME,
    LONGEST_TEXT,
    MOST_ARGUMENTS,
    MOST_WAITING,
    TRIM_EVERY,
    WRITE_EVERY,
    AutomatedScore,
    CallLog,
    CallStep,
)
from context7_fabric.errors import UnknownExecution
from context7_fabric.fabric.backend import WriteRequest
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Context, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Answer, Caller, CallTrace, Outcome, Tier
from context7_fabric.privacy.redaction import redact
from context7_fabric.settings.values import ExecutionSettings
from unit.fabric.fakes import NOON, Broken, FakeClock

SECRET = "ghp_0123456789abcdefghijABCDEFGHIJ"
ID = "0123456789abcdef"


class Moody(MemoryBackend):
    """A backend that accepts writes or refuses them, and reports the first it accepted."""

    refuses = False

    def __init__(self) -> None:
        super().__init__()
        self.written = anyio.Event()

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        if self.refuses:
            raise Broken.error
        await super().write(puts, deletes)
        self.written.set()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def fabric(clock: FakeClock) -> AsyncIterator[Fabric]:
    async with Fabric(Moody(), clock) as fabric:
        yield fabric


def executions(
    fabric: Fabric, clock: FakeClock, settings: ExecutionSettings | None = None
) -> CallLog:
    return CallLog(fabric, clock, redact, settings or ExecutionSettings())


def answer(
    outcome: Outcome = Outcome.HIT, *, execution_id: str = ID, is_error: bool = False
) -> Answer:
    return Answer("the text", outcome, Tier.QUESTION, is_error=is_error, execution_id=execution_id)


def everyone(_context: Context) -> bool:
    return True


async def recorded_ids(fabric: Fabric) -> set[str]:
    return {key.partition(":")[2] for key in await fabric.keys(Scope.EXECUTION)}


async def recorded_arguments(
    fabric: Fabric, clock: FakeClock, given: dict[str, object]
) -> dict[str, object]:
    records = executions(fabric, clock)
    records.record("query-docs", given, Caller(), answer())
    return dict((await records.find(ID, everyone)).arguments)


class TestRecord:
    async def test_record_of_a_call_has_its_outcome_and_principal(
        self, fabric: Fabric, clock: FakeClock
    ) -> None:
        trace = CallTrace()
        trace.step("nothing stored")
        trace.stored_at, trace.went_upstream = ("docs:x",), True
        caller = Caller("key-mine", client="tests 1", trace=trace)
        given = Answer(
            "the text", Outcome.MISS, Tier.UPSTREAM, "/a/b", tokens_saved=7, execution_id=ID
        )
        records = executions(fabric, clock)
        records.record("query-docs", {"query": "how"}, caller, given)
        record = await records.find(ID, everyone)
        assert (record.id, record.at, record.tool) == (ID, NOON, "query-docs")
        assert (record.outcome, record.tier, record.library_id) == ("miss", "upstream", "/a/b")
        assert (record.size, record.tokens, record.tokens_saved) == (8, 2, 7)
        assert (record.client, record.principal) == ("tests 1", "key-mine")
        assert (record.stored_at, record.upstream) == (("docs:x",), True)
        assert [step.what for step in record.steps] == ["nothing stored", "answered"]
        assert all(isinstance(step, CallStep) for step in record.steps)
        assert 0 <= record.steps[0].at_ms <= record.steps[1].at_ms <= record.latency_ms
        assert record.error is None
        (context,) = await fabric.query("execution:*", Scope.EXECUTION)
        assert context.metadata == {"execution_id": ID, "principal": "key-mine"}

    async def test_the_text_of_an_error_is_kept_without_its_secrets(
        self, fabric: Fabric, clock: FakeClock
    ) -> None:
        records = executions(fabric, clock)
        text = f"no such {SECRET} " + "x" * LONGEST_TEXT
        failed = Answer(text, Outcome.ERROR, Tier.LOCAL, is_error=True, execution_id=ID)
        records.record("query-docs", {}, Caller(), failed)
        record = await records.find(ID, everyone)
        assert record.error is not None
        assert record.error.startswith("no such [api-key] xxx")
        assert len(record.error) == LONGEST_TEXT

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (answer(Outcome.HIT), AutomatedScore(hit=True, quick=True, parsed=True)),
            (answer(Outcome.STALE), AutomatedScore(hit=True, quick=True, parsed=True)),
            (answer(Outcome.MISS), AutomatedScore(hit=False, quick=True, parsed=True)),
            (answer(Outcome.NEGATIVE), AutomatedScore(hit=False, quick=True, parsed=False)),
            (
                answer(Outcome.ERROR, is_error=True),
                AutomatedScore(hit=False, quick=True, parsed=False),
            ),
        ],
        ids=lambda value: value.outcome if isinstance(value, Answer) else "",
    )
    async def test_record_of_an_answer_scores_a_point_each(
        self, fabric: Fabric, clock: FakeClock, given: Answer, expected: AutomatedScore
    ) -> None:
        records = executions(fabric, clock)
        records.record("query-docs", {}, Caller(), given)
        score = (await records.find(ID, everyone)).automated
        assert score == expected
        assert score.score == expected.hit + expected.quick + expected.parsed


class TestArguments:
    async def test_secrets_are_kept_neither_in_values_nor_in_names(
        self, fabric: Fabric, clock: FakeClock
    ) -> None:
        given = {"query": f"use {SECRET}", "list": ["a", SECRET], SECRET: 1}
        kept = await recorded_arguments(fabric, clock, given)
        assert SECRET not in str(kept)
        assert kept["query"] == "use [api-key]"
        assert kept["[api-key]"] == 1

    async def test_arguments_are_bounded(self, fabric: Fabric, clock: FakeClock) -> None:
        given: dict[str, object] = {f"{n:03}" + "n" * 500: "v" * 9_000 for n in range(500)}
        kept = await recorded_arguments(fabric, clock, given)
        assert len(kept) == MOST_ARGUMENTS
        assert {len(name) for name in kept} == {LONGEST_NAME}
        assert {len(str(value)) for value in kept.values()} == {LONGEST_TEXT}

    @pytest.mark.parametrize("value", [None, True, 7, 1.5, "text"])
    async def test_plain_values_stay_what_they_are(
        self, fabric: Fabric, clock: FakeClock, value: object
    ) -> None:
        assert await recorded_arguments(fabric, clock, {"x": value}) == {"x": value}

    @pytest.mark.parametrize(
        ("value", "kept"), [(math.nan, "nan"), (math.inf, "inf"), ({"a": [1]}, "{'a': [1]}")]
    )
    async def test_arguments_of_other_types_become_text(
        self, fabric: Fabric, clock: FakeClock, value: object, kept: str
    ) -> None:
        assert await recorded_arguments(fabric, clock, {"x": value}) == {"x": kept}


class TestKeeping:
    async def test_records_are_kept_for_the_time_set(
        self, fabric: Fabric, clock: FakeClock
    ) -> None:
        records = executions(fabric, clock, ExecutionSettings(keep=60))
        records.record("query-docs", {}, Caller(), answer())
        await records.flush()
        clock.now += 59
        assert await fabric.query("execution:*", Scope.EXECUTION)
        clock.now += 2
        assert not await fabric.query("execution:*", Scope.EXECUTION)

    async def test_records_kept_for_no_time_are_not_made(
        self, fabric: Fabric, clock: FakeClock
    ) -> None:
        records = executions(fabric, clock, ExecutionSettings(keep=0))
        records.record("query-docs", {}, Caller(), answer())
        await records.flush()
        assert await recorded_ids(fabric) == set()

    async def test_only_the_newest_are_kept(self, fabric: Fabric, clock: FakeClock) -> None:
        records = executions(fabric, clock, ExecutionSettings(most=3))
        for number in range(2 * TRIM_EVERY):
            clock.now += 1
            records.record("query-docs", {}, Caller(), answer(execution_id=f"{number:04}"))
            if number % 50 == 49:
                await records.flush()
        # Looked for every so many records: in between there may be that many more.
        kept = sorted(await recorded_ids(fabric))
        assert len(kept) <= 3 + TRIM_EVERY
        assert kept[-1] == f"{2 * TRIM_EVERY - 1:04}"
        clock.now += 1
        after = executions(fabric, clock, ExecutionSettings(most=20))
        after.record("query-docs", {}, Caller(), answer(execution_id="last"))
        await after.flush()
        assert len(await recorded_ids(fabric)) == 18  # a tenth goes with those that are too many
        assert "last" in await recorded_ids(fabric)


class TestFaults:
    async def test_records_wait_for_a_store_that_fails(
        self, fabric: Fabric, clock: FakeClock
    ) -> None:
        assert isinstance(fabric.backend, Moody)
        fabric.backend.refuses = True
        records = executions(fabric, clock)
        records.record("query-docs", {}, Caller(), answer(execution_id="first"))
        await records.flush()
        assert await recorded_ids(fabric) == set()
        fabric.backend.refuses = False
        records.record("query-docs", {}, Caller(), answer(execution_id="second"))
        await records.flush()
        assert await recorded_ids(fabric) == {"first", "second"}

    async def test_of_too_many_that_wait_the_oldest_go(
        self, fabric: Fabric, clock: FakeClock
    ) -> None:
        records = executions(fabric, clock)
        for number in range(MOST_WAITING + 5):
            records.record("query-docs", {}, Caller(), answer(execution_id=f"{number:04}"))
        await records.flush()
        assert min(await recorded_ids(fabric)) == "0005"
        assert len(await recorded_ids(fabric)) == MOST_WAITING

    async def test_what_is_recorded_while_others_are_written_is_written_next(
        self, fabric: Fabric, clock: FakeClock
    ) -> None:
        records = executions(fabric, clock)
        records.record("query-docs", {}, Caller(), answer(execution_id="first"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(records.flush)
            records.record("query-docs", {}, Caller(), answer(execution_id="second"))
        await records.flush()
        assert await recorded_ids(fabric) == {"first", "second"}


async def test_records_are_written_within_a_second_of_the_answer(
    fabric: Fabric, clock: FakeClock
) -> None:
    assert WRITE_EVERY <= 0.5
    assert isinstance(fabric.backend, Moody)
    records = executions(fabric, clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(records.write_behind)
        records.record("query-docs", {}, Caller(), answer())
        with anyio.fail_after(30):
            await fabric.backend.written.wait()
        tasks.cancel_scope.cancel()
    assert await recorded_ids(fabric) == {ID}


class TestFinding:
    async def test_other_contexts_of_the_scope_are_no_calls(
        self, fabric: Fabric, clock: FakeClock
    ) -> None:
        await fabric.set_context("execution:abc1:state", {"n": 1}, Scope.EXECUTION)
        with pytest.raises(UnknownExecution, match=r"'abc1'$"):
            await executions(fabric, clock).find("abc1", everyone)
        with pytest.raises(UnknownExecution, match=r"no record of a call$"):
            await executions(fabric, clock).find("", everyone)

    async def test_the_newest_is_found_behind_many_that_are_not_shown(
        self, fabric: Fabric, clock: FakeClock
    ) -> None:
        def mine(context: Context) -> bool:
            return context.metadata["principal"] == "mine"

        records = executions(fabric, clock)
        for number in range(120):
            clock.now += 1
            owner = "mine" if number < 2 else "theirs"
            records.record("query-docs", {}, Caller(owner), answer(execution_id=f"{number}"))
            await records.flush()
        assert (await records.find("", mine)).id == "1"


@pytest.mark.parametrize("kept", [1, 3, 150])
async def test_new_id_never_is_one_that_a_kept_record_has(
    fabric: Fabric, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """Chance draws the ids of kept records first, and then others."""
    taken = [f"{number:08d}" for number in range(kept)]
    drawn = itertools.chain(taken, (f"{number:08d}" for number in itertools.count(90_000)))
    for each in taken:
        await fabric.set_context(f"execution:{each}", {}, Scope.EXECUTION)
    monkeypatch.setattr(models, "token_hex", lambda _size: next(drawn))
    executions = CallLog(fabric, clock, str, ExecutionSettings())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(executions.write_behind)
        while len(executions._free_ids) < 20:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    given = [executions.new_id() for _ in range(20)]
    assert len(set(given)) == 20
    assert not set(given) & set(taken)


@pytest.mark.parametrize("longer", ["0a1b2c3d", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"])
async def test_find_with_an_id_in_full_returns_its_record_beside_longer_ids(
    fabric: Fabric, clock: FakeClock, longer: str
) -> None:
    executions = CallLog(fabric, clock, str, ExecutionSettings())
    for each in dict.fromkeys(("0a1b2c3d", longer)):
        answer = Answer("text", Outcome.HIT, Tier.QUESTION, execution_id=each)
        executions.record("query-docs", {}, Caller(), answer)
    assert (await executions.find("0a1b2c3d", lambda _each: True)).id == "0a1b2c3d"
    assert (await executions.find(longer, lambda _each: True)).id == longer
    assert (await executions.find(longer[:20], lambda _each: True)).id == longer
