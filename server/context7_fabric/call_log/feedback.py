"""Feedback on answers: a rating from 1 to 5, which is kept and acts on what is stored.

A bad one drops the stored answer and what was learned from it, a good one lets it stay fresh
longer, as long as its text stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from context7_fabric.answers.stored import AnswerStore, name_in
from context7_fabric.call_log.records import CallLog, CallRecord
from context7_fabric.errors import StoreError, UnusableFeedback
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import LOCAL_OWNER, Clock, holder_of
from context7_fabric.registry.choices import LearnedChoices

PREFIX = "feedback:"
WORST, BAD, GOOD, BEST = 1, 2, 4, 5
"""The ends of the scale; up to `BAD` an answer is dropped, from `GOOD` on it is kept longer."""

LONGEST_TEXT = 4_000
"""Characters that a comment may have, and a correction."""


@dataclass(frozen=True, slots=True)
class FeedbackEffect:
    """What feedback did: how many stored entries it dropped or lets stay fresh longer.

    `forgotten` says whether the library that was learned for a name is forgotten.
    """

    execution_id: str
    rating: int
    dropped: int = 0
    praised: int = 0
    forgotten: bool = False

    @property
    def told(self) -> str:
        """The effect in one line."""
        return f"recorded {self.rating} of {BEST} for {self.execution_id}: {self._done}"

    @property
    def _done(self) -> str:
        if BAD < self.rating < GOOD:
            return "nothing else changes"
        if self.rating >= GOOD:
            kept = "the stored answer stays fresh twice as long, while its text stays the same"
            return kept if self.praised else "its text is not stored any more"
        parts = (
            "the stored answer is dropped, the next to ask goes upstream" if self.dropped else "",
            "the library chosen for the name is forgotten" if self.forgotten else "",
        )
        return "; ".join(filter(None, parts)) or "nothing of it was stored"


class Feedback:
    """Takes what `principal` thinks of the answers to its own calls."""

    def __init__(
        self,
        fabric: Fabric,
        executions: CallLog,
        clock: Clock,
        redacted: Callable[[str], str],
        principal: str,
        owner: str = LOCAL_OWNER,
    ) -> None:
        """Keep it in `fabric`; texts go through `redacted` first; choices are `owner`'s."""
        self._fabric = fabric
        self._executions = executions
        self._clock = clock
        self._redacted = redacted
        self._principal = principal
        self._holder = holder_of(principal, owner)
        self._shelf = AnswerStore(fabric)
        self._learned = LearnedChoices(fabric)

    async def give(
        self,
        execution_id: str,
        rating: int,
        comment: str | None = None,
        corrections: str | None = None,
    ) -> FeedbackEffect:
        """Rate the answer to the call whose id begins with `execution_id`; return what that did.

        `corrections` is what would have been right. A second rating takes the place of the first.

        Raises:
            UnusableFeedback: The rating is not from 1 to 5, or a text is too long.
            UnknownExecution: No call of the principal has such an id, or several do.
            TooManyAuthored: The store takes no more feedback.
            StoreError: It could not be stored, or what it should change could not be changed.
        """
        _check(execution_id, rating, comment, corrections)
        execution = await self._executions.find(execution_id, self._is_own)
        await self._store(execution, rating, comment, corrections)
        if rating <= BAD:
            return await self._drop(execution, rating)
        if rating >= GOOD:
            return await self._praise(execution, rating)
        return FeedbackEffect(execution.id, rating)

    async def of(self, execution: CallRecord) -> dict[str, Json] | None:
        """Return the feedback on a call as it is stored, None when there is none."""
        context = await self._fabric.get_context(PREFIX + execution.id, Scope.FEEDBACK)
        return context.value if context and isinstance(context.value, dict) else None

    def _is_own(self, context: Context) -> bool:
        return context.metadata.get("principal") == self._principal

    async def _store(
        self, execution: CallRecord, rating: int, comment: str | None, corrections: str | None
    ) -> None:
        value: Json = {
            "timestamp": datetime.fromtimestamp(self._clock(), UTC).isoformat(),
            "rating": rating,
            "comment": None if comment is None else self._redacted(comment),
            "corrections": None if corrections is None else self._redacted(corrections),
        }
        metadata: dict[str, Json] = {"execution_id": execution.id, "principal": self._principal}
        key = PREFIX + execution.id
        if not await self._fabric.set_context(key, value, Scope.FEEDBACK, metadata):
            raise StoreError(f"the feedback could not be stored: {self._fabric.faults.last}")

    async def _drop(self, execution: CallRecord, rating: int) -> FeedbackEffect:
        names = [name for name in map(name_in, execution.stored_at) if name is not None]
        dropped = await self._shelf.drop(execution.stored_at, self._principal)
        forgotten = [await self._learned.forget(name, self._holder) for name in names]
        return FeedbackEffect(execution.id, rating, dropped=dropped, forgotten=any(forgotten))

    async def _praise(self, execution: CallRecord, rating: int) -> FeedbackEffect:
        keys, heard_at = execution.stored_at, execution.at
        praised = await self._shelf.praise(keys, self._principal, heard_at)
        return FeedbackEffect(execution.id, rating, praised=praised)


def _check(execution_id: str, rating: int, comment: str | None, corrections: str | None) -> None:
    if not execution_id:
        raise UnusableFeedback("feedback needs the id of an execution, or the beginning of it")
    if rating not in range(WORST, BEST + 1):
        raise UnusableFeedback(f"a rating is a whole number from 1 to 5, not {rating}")
    for name, text in (("comment", comment), ("correction", corrections)):
        if text is not None and len(text) > LONGEST_TEXT:
            raise UnusableFeedback(f"a {name} has at most {LONGEST_TEXT:,} characters")
