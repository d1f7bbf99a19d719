"""A rating is kept, and acts: a bad answer goes, a good one stays fresh; own calls only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import pytest

from context7_fabric.answers.stored import (
    ANONYMOUS,
    AnswerStore,
    AnswerWriter,
    StoredAnswer,
    docs_key,
    list_key,
)
from context7_fabric.call_log.feedback import LONGEST_TEXT, Feedback, FeedbackEffect
from context7_fabric.call_log.records import CallLog
from context7_fabric.errors import StoreError, TooManyAuthored, UnknownExecution, UnusableFeedback
from context7_fabric.fabric.backend import WriteRequest
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC, Answer, Caller, CallTrace, Outcome, Tier
from context7_fabric.privacy.redaction import redact
from context7_fabric.registry.choices import LearnedChoices
from context7_fabric.settings.values import ExecutionSettings
from unit.fabric.fakes import NOON, Broken, FakeClock

MINE, THEIRS = "key-mine", "key-theirs"
DOCS = docs_key("/acme/widgets?how")
RECORD = StoredAnswer("docs", "text", "/acme/widgets", "how", PUBLIC, "origin", NOON)


class NoFeedback(MemoryBackend):
    """A medium that is full when feedback comes."""

    async def write(self, puts: Sequence[WriteRequest], deletes: Sequence[str] = ()) -> None:
        if any(put.key.startswith(Scope.FEEDBACK) for put in puts):
            raise Broken.error
        await super().write(puts, deletes)


@dataclass
class Store:
    """A fabric with a call in it, and what is to be looked at afterwards."""

    fabric: Fabric
    clock: FakeClock
    executions: CallLog

    def feedback(self, principal: str = MINE) -> Feedback:
        return Feedback(self.fabric, self.executions, self.clock, redact, principal)

    async def called(self, *keys: str, principal: str = MINE, execution_id: str = "abc1") -> str:
        trace = CallTrace()
        trace.stored_at = keys
        answer = Answer("text", Outcome.HIT, Tier.QUESTION, execution_id=execution_id)
        self.executions.record("query-docs", {}, Caller(principal, trace=trace), answer)
        await self.executions.flush()
        return execution_id

    async def shelved(self, key: str, owner: str) -> None:
        await AnswerStore(self.fabric).write(key, replace(RECORD, principal=owner))

    async def owners(self, key: str) -> set[str]:
        shelf = AnswerStore(self.fabric)
        held = [(owner, await shelf.own(key, owner)) for owner in (PUBLIC, ANONYMOUS, MINE, THEIRS)]
        return {owner for owner, record in held if record is not None}

    async def praised(self, key: str, owner: str = MINE) -> bool:
        record = await AnswerStore(self.fabric).own(key, owner)
        assert record is not None
        return record.praised

    async def refreshed(self, text: str) -> None:
        self.clock.now += 60
        fresh = replace(RECORD, principal=MINE, text=text, fetched_at=self.clock.now)
        await AnswerWriter(AnswerStore(self.fabric), self.clock).keep(DOCS, fresh)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    clock = FakeClock()
    async with Fabric(MemoryBackend(), clock) as fabric:
        yield Store(fabric, clock, CallLog(fabric, clock, redact, ExecutionSettings()))


class TestRecord:
    async def test_rating_comment_and_corrections_are_kept_with_their_time(
        self, store: Store
    ) -> None:
        await store.called()
        await store.feedback().give("abc1", 3, "thin", "use v2")
        kept = await store.fabric.get_context("feedback:abc1", Scope.FEEDBACK)
        assert kept is not None
        assert kept.value == {
            "timestamp": "2023-11-14T22:13:20+00:00",
            "rating": 3,
            "comment": "thin",
            "corrections": "use v2",
        }
        assert kept.metadata == {"execution_id": "abc1", "principal": MINE}
        assert kept.expires_at is None

    async def test_secrets_in_texts_are_not_kept(self, store: Store) -> None:
        await store.called()
        secret = "ghp_0123456789abcdefghijABCDEFGHIJ"
        await store.feedback().give("abc1", 3, f"with {secret}", f"without {secret}")
        kept = await store.fabric.get_context("feedback:abc1", Scope.FEEDBACK)
        assert secret not in str(kept)
        assert "with [api-key]" in str(kept)

    async def test_a_second_rating_takes_the_place_of_the_first(self, store: Store) -> None:
        await store.called()
        await store.feedback().give("abc1", 3, "thin")
        await store.feedback().give("abc1", 5)
        (kept,) = await store.fabric.query("feedback:*", Scope.FEEDBACK)
        assert isinstance(kept.value, dict)
        assert (kept.value["rating"], kept.value["comment"]) == (5, None)

    async def test_feedback_of_a_rated_call_is_what_was_stored(self, store: Store) -> None:
        await store.called()
        execution = await store.executions.find("abc1", lambda _context: True)
        assert await store.feedback().of(execution) is None
        await store.feedback().give("abc1", 4)
        stored = await store.feedback().of(execution)
        assert stored is not None
        assert stored["rating"] == 4


class TestRefusal:
    @pytest.mark.parametrize("rating", [0, 6, -1, 10**30])
    async def test_a_rating_off_the_scale_is_refused(self, store: Store, rating: int) -> None:
        await store.called()
        with pytest.raises(UnusableFeedback, match=f"from 1 to 5, not {rating}$"):
            await store.feedback().give("abc1", rating)
        assert await store.fabric.count_contexts(Scope.FEEDBACK) == 0

    @pytest.mark.parametrize("name", ["comment", "corrections"])
    async def test_a_text_that_is_too_long_is_refused(self, store: Store, name: str) -> None:
        await store.called()
        await store.feedback().give("abc1", 3, **{name: "x" * LONGEST_TEXT})
        with pytest.raises(UnusableFeedback, match="at most 4,000 characters"):
            await store.feedback().give("abc1", 3, **{name: "x" * (LONGEST_TEXT + 1)})

    async def test_a_call_must_be_named(self, store: Store) -> None:
        await store.called()
        with pytest.raises(UnusableFeedback, match="needs the id"):
            await store.feedback().give("", 3)

    @pytest.mark.parametrize("owner", [THEIRS, PUBLIC])
    async def test_feedback_on_a_call_of_another_principal_is_refused_as_unknown(
        self, store: Store, owner: str
    ) -> None:
        await store.called(DOCS, principal=owner)
        await store.shelved(DOCS, owner)
        with pytest.raises(UnknownExecution, match="no record"):
            await store.feedback().give("abc1", 1)
        assert await store.owners(DOCS) == {owner}

    async def test_a_beginning_that_two_calls_have_is_ambiguous(self, store: Store) -> None:
        await store.called(execution_id="abc1")
        await store.called(execution_id="abc2")
        with pytest.raises(UnknownExecution, match="several calls") as raised:
            await store.feedback().give("abc", 3)
        assert set(raised.value.candidates) == {"abc1", "abc2"}
        assert (await store.feedback().give("abc2", 3)).execution_id == "abc2"

    async def test_feedback_with_an_id_that_another_principals_call_shares_is_not_ambiguous(
        self, store: Store
    ) -> None:
        await store.called(execution_id="abc1")
        await store.called(execution_id="abc2", principal=THEIRS)
        assert (await store.feedback().give("abc", 3)).execution_id == "abc1"

    async def test_signs_of_a_glob_stand_for_themselves(self, store: Store) -> None:
        await store.called()
        for pattern in ("*", "ab?1", "[a]bc1"):
            with pytest.raises(UnknownExecution):
                await store.feedback().give(pattern, 3)

    async def test_feedback_in_a_full_store_raises(self) -> None:
        clock = FakeClock()
        async with Fabric(MemoryBackend(authored_limit=0), clock) as fabric:
            store = Store(fabric, clock, CallLog(fabric, clock, redact, ExecutionSettings()))
            await store.called()
            with pytest.raises(TooManyAuthored):
                await store.feedback().give("abc1", 3)

    async def test_feedback_without_a_searchable_store_raises(self) -> None:
        clock = FakeClock()
        async with Fabric(Broken(), clock) as fabric:
            executions = CallLog(fabric, clock, redact, ExecutionSettings())
            with pytest.raises(StoreError, match="doctor"):
                await Feedback(fabric, executions, clock, redact, MINE).give("abc1", 3)

    async def test_feedback_that_the_store_refuses_raises(self) -> None:
        clock = FakeClock()
        async with Fabric(NoFeedback(), clock) as fabric:
            store = Store(fabric, clock, CallLog(fabric, clock, redact, ExecutionSettings()))
            await store.called(DOCS)
            await store.shelved(DOCS, MINE)
            with pytest.raises(StoreError, match=r"could not be stored: .*disk full"):
                await store.feedback().give("abc1", 1)
            assert await store.owners(DOCS) == {MINE}


class TestBadAnswer:
    @pytest.mark.parametrize("rating", [1, 2])
    async def test_what_the_caller_may_read_is_dropped_and_nothing_else(
        self, store: Store, rating: int
    ) -> None:
        await store.called(DOCS)
        for owner in (PUBLIC, MINE, THEIRS, ANONYMOUS):
            await store.shelved(DOCS, owner)
            await store.shelved(docs_key("/acme/widgets?other"), owner)
        effect = await store.feedback().give("abc1", rating)
        assert effect == FeedbackEffect("abc1", rating, dropped=2)
        assert await store.owners(DOCS) == {THEIRS, ANONYMOUS}
        assert len(await store.owners(docs_key("/acme/widgets?other"))) == 4
        assert "the stored answer is dropped" in effect.summary

    async def test_without_a_key_what_lies_under_a_filter_is_dropped_too(
        self, store: Store
    ) -> None:
        await store.called(DOCS, principal=PUBLIC)
        for owner in (PUBLIC, ANONYMOUS, MINE):
            await store.shelved(DOCS, owner)
        await store.feedback(PUBLIC).give("abc1", 1)
        assert await store.owners(DOCS) == {MINE}

    async def test_the_library_chosen_for_the_name_is_forgotten(self, store: Store) -> None:
        names, learned = ("pypi:acme widgets", "widgets|python"), LearnedChoices(store.fabric)
        for name in (*names, "other"):
            for principal in (MINE, THEIRS):
                await learned.choose(name, "/acme/widgets", Caller(principal).holder)
        await store.called(*map(list_key, names))
        effect = await store.feedback().give("abc1", 2)
        assert effect == FeedbackEffect("abc1", 2, forgotten=True)
        assert effect.summary.endswith(": the library chosen for the name is forgotten")
        mine, theirs = Caller(MINE).holder, Caller(THEIRS).holder
        assert [await learned.choice([name], mine) for name in names] == [None, None]
        assert await learned.choice(["other"], mine) == "/acme/widgets"
        assert await learned.choice([names[0]], theirs) == "/acme/widgets"

    async def test_what_was_never_stored_is_only_recorded(self, store: Store) -> None:
        await store.called(DOCS, list_key("x" * 1000))
        effect = await store.feedback().give("abc1", 1)
        assert effect.summary == "recorded 1 of 5 for abc1: nothing of it was stored"


class TestGoodAnswer:
    @pytest.mark.parametrize("rating", [4, 5])
    async def test_what_the_caller_may_read_is_marked(self, store: Store, rating: int) -> None:
        for owner in (MINE, THEIRS):
            await store.shelved(DOCS, owner)
        await store.called(DOCS)
        effect = await store.feedback().give("abc1", rating)
        assert effect == FeedbackEffect("abc1", rating, praised=1)
        assert "stays fresh twice as long" in effect.summary
        assert await store.praised(DOCS)
        assert not await store.praised(DOCS, THEIRS)

    async def test_the_mark_outlives_a_refresh_that_brings_the_same_text(
        self, store: Store
    ) -> None:
        await store.shelved(DOCS, MINE)
        await store.called(DOCS)
        await store.feedback().give("abc1", 5)
        await store.refreshed("text")
        assert await store.praised(DOCS)
        await store.refreshed("another text")
        assert not await store.praised(DOCS)

    async def test_a_text_that_came_after_the_call_is_not_marked(self, store: Store) -> None:
        await store.shelved(DOCS, MINE)
        await store.called(DOCS)
        await store.refreshed("another text")
        effect = await store.feedback().give("abc1", 5)
        assert effect.summary == "recorded 5 of 5 for abc1: its text is not stored any more"
        assert not await store.praised(DOCS)

    async def test_a_middling_rating_changes_nothing(self, store: Store) -> None:
        await store.shelved(DOCS, MINE)
        await store.called(DOCS)
        effect = await store.feedback().give("abc1", 3)
        assert effect.summary == "recorded 3 of 5 for abc1: nothing else changes"
        assert not await store.praised(DOCS)


async def test_calls_that_wait_to_be_written_can_be_rated(store: Store) -> None:
    answer = Answer("text", Outcome.HIT, Tier.QUESTION, execution_id="abc1")
    store.executions.record("query-docs", {}, Caller(MINE), answer)
    assert (await store.feedback().give("abc1", 3)).execution_id == "abc1"
