"""Where every face asks: look-ups and questions, the one teaching the other what was meant."""

from __future__ import annotations

from dataclasses import dataclass

from context7_fabric.models import Answer, Caller, Outcome
from context7_fabric.services.docs import Docs, Question
from context7_fabric.services.records import AnswerShelf
from context7_fabric.services.resolver import LookUp, Resolver
from context7_fabric.services.tool_book import ToolBook

_HELPED = frozenset({Outcome.HIT, Outcome.STALE, Outcome.MISS, Outcome.COALESCED})


@dataclass(frozen=True, slots=True)
class Desk:
    """The services that one upstream and one fabric stand behind."""

    resolver: Resolver
    docs: Docs
    tools: ToolBook
    shelf: AnswerShelf

    async def resolve(self, look_up: LookUp, caller: Caller) -> Answer:
        """Return the libraries that a name may mean."""
        return await self.resolver.resolve(look_up, caller)

    async def query(self, question: Question, caller: Caller) -> Answer:
        """Return documentation, and learn which library the last look-up meant."""
        answer = await self.docs.query(question, caller)
        if answer.outcome in _HELPED and answer.library_id is not None:
            await self.resolver.used(question.library_id, caller)
        return answer
