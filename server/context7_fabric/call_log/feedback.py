"""Feedback on answers: ratings from 1 to 5, which are stored and act on stored answers.

A bad one drops the stored answer and what was learned from it; after one for a docset's page the
question goes upstream for its rater. A good one keeps a stored answer fresh longer, as long as its
text stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from context7_fabric.answers.docset_repeats import DeclinedQuestions
from context7_fabric.answers.stored import AnswerStore, name_in
from context7_fabric.call_log.records import CallLog, CallRecord
from context7_fabric.errors import StoreError, UnusableFeedback
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import LOCAL_OWNER, Clock, holder_of
from context7_fabric.registry.choices import LearnedChoices

PREFIX = "feedback:"
WORST, BAD, GOOD, BEST = 1, 2, 4, 5
"""The ends of the scale; up to `BAD` an answer is dropped, from `GOOD` on it stays fresh longer."""

LONGEST_TEXT = 4_000
"""Characters of a comment, and of a correction."""


@dataclass(frozen=True, slots=True)
class FeedbackEffect:
    """Effect of feedback: the number of stored answers that it dropped, or keeps fresh longer.

    `forgotten` says whether the library that was learned for a name is forgotten, `declined`
    whether the question goes upstream from now on, past the docset.
    """

    execution_id: str
    rating: int
    dropped: int = 0
    praised: int = 0
    forgotten: bool = False
    declined: bool = False

    @property
    def summary(self) -> str:
        """The effect in one line."""
        return f"recorded {self.rating} of {BEST} for {self.execution_id}: {self._changes}"

    @property
    def _changes(self) -> str:
        if BAD < self.rating < GOOD:
            return "nothing else changes"
        if self.rating >= GOOD:
            kept = "the stored answer stays fresh twice as long, while its text stays the same"
            return kept if self.praised else "its text is not stored any more"
        parts = (
            "the stored answer is dropped, the next question goes upstream" if self.dropped else "",
            "the library chosen for the name is forgotten" if self.forgotten else "",
            "for 30 days your question goes to Context7, not to the docset"
            if self.declined
            else "",
        )
        return "; ".join(filter(None, parts)) or "nothing of it was stored"


class Feedback:
    """Stores ratings of one principal's own calls, and applies them."""

    def __init__(
        self,
        fabric: Fabric,
        call_log: CallLog,
        clock: Clock,
        redacted: Callable[[str], str],
        principal: str,
        owner: str = LOCAL_OWNER,
    ) -> None:
        """Store in `fabric`, after `redacted`; choices are those of `principal` and `owner`."""
        self._fabric = fabric
        self._call_log = call_log
        self._clock = clock
        self._redacted = redacted
        self._principal = principal
        self._holder = holder_of(principal, owner)
        self._answers = AnswerStore(fabric)
        self._declined = DeclinedQuestions(fabric)
        self._choices = LearnedChoices(fabric)

    async def give(
        self,
        execution_id: str,
        rating: int,
        comment: str | None = None,
        corrections: str | None = None,
    ) -> FeedbackEffect:
        """Rate the answer to the call whose id begins with `execution_id`; return the effect.

        `corrections` is the right answer. A second rating replaces the first.

        Raises:
            UnusableFeedback: The rating is not from 1 to 5, or a text is too long.
            UnknownExecution: No call of the principal has such an id, or several do.
            TooManyAuthored: The store takes no more feedback.
            StoreError: It could not be stored, or not be applied.
        """
        _check(execution_id, rating, comment, corrections)
        record = await self._call_log.find(execution_id, self._is_own)
        await self._store(record, rating, comment, corrections)
        if rating <= BAD:
            return await self._drop(record, rating)
        if record.is_from_docset:
            await self._declined.remove(record.stored_at, self._holder)
        if rating >= GOOD:
            praised = await self._answers.praise(record.stored_at, self._principal, record.at)
            return FeedbackEffect(record.id, rating, praised=praised)
        return FeedbackEffect(record.id, rating)

    async def of(self, record: CallRecord) -> dict[str, Json] | None:
        """Return the stored feedback on a call, None when there is none."""
        context = await self._fabric.get_context(PREFIX + record.id, Scope.FEEDBACK)
        return context.value if context and isinstance(context.value, dict) else None

    def _is_own(self, context: Context) -> bool:
        return context.metadata.get("principal") == self._principal

    async def _store(
        self, record: CallRecord, rating: int, comment: str | None, corrections: str | None
    ) -> None:
        value: Json = {
            "timestamp": datetime.fromtimestamp(self._clock(), UTC).isoformat(),
            "rating": rating,
            "comment": None if comment is None else self._redacted(comment),
            "corrections": None if corrections is None else self._redacted(corrections),
        }
        metadata: dict[str, Json] = {"execution_id": record.id, "principal": self._principal}
        key = PREFIX + record.id
        if not await self._fabric.set_context(key, value, Scope.FEEDBACK, metadata):
            raise StoreError(f"the feedback could not be stored: {self._fabric.faults.last}")

    async def _drop(self, record: CallRecord, rating: int) -> FeedbackEffect:
        names = [name for name in map(name_in, record.stored_at) if name is not None]
        dropped = await self._answers.drop(record.stored_at, self._principal)
        forgotten = [await self._choices.forget(name, self._holder) for name in names]
        declined = record.is_from_docset and await self._declined.add(
            record.stored_at, self._holder
        )
        return FeedbackEffect(record.id, rating, dropped, 0, any(forgotten), bool(declined))


def _check(execution_id: str, rating: int, comment: str | None, corrections: str | None) -> None:
    if not execution_id:
        raise UnusableFeedback("feedback needs the id of an execution, or the beginning of it")
    if rating not in range(WORST, BEST + 1):
        raise UnusableFeedback(f"a rating is a whole number from 1 to 5, not {rating}")
    for name, text in (("comment", comment), ("correction", corrections)):
        if text is not None and len(text) > LONGEST_TEXT:
            raise UnusableFeedback(f"a {name} has at most {LONGEST_TEXT:,} characters")
