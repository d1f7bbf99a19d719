"""Answers made of what is stored about a library: for an outage, and for pages upstream lacks.

Snippets are read out of the stored answers themselves, so there is no second copy to keep right,
and ranked by the words they share with the question.
"""

from __future__ import annotations

from collections.abc import Iterable

from context7_fabric.durations import format_duration
from context7_fabric.models import Answer, Clock, Outcome, Tier
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.parsing.screening.screen import screen
from context7_fabric.parsing.snippets import Snippet, parse_snippets
from context7_fabric.registry.lexical import terms_in
from context7_fabric.render import page
from context7_fabric.services.records import AnswerShelf, StoredAnswer

PAGE_LENGTH = 10
"""Snippets a page: what upstream's first generation sent."""

MOST_ASSEMBLED = 6
TITLE_WEIGHT = 3


class Bookcase:
    """The stored snippets of a library, ranked for a question."""

    def __init__(self, shelf: AnswerShelf, clock: Clock) -> None:
        """Read the snippets from the answers on `shelf`."""
        self._shelf = shelf
        self._clock = clock

    async def assemble(
        self, library: LibraryId, question: str, principal: str, why: str
    ) -> Answer | None:
        """Return an answer of stored snippets that share words with `question`, None if none do.

        It is labelled with `why` upstream says nothing.
        """
        records = await self._records(library, principal)
        wanted = terms_in(question)
        ranked = [snippet for snippet in _ranked(records, question) if _score(snippet, wanted)]
        if not ranked:
            return None
        oldest = min(record.fetched_at for record in records)
        age = max(0.0, self._clock() - oldest)
        return Answer(
            text=page(ranked[:MOST_ASSEMBLED]),
            outcome=Outcome.OFFLINE,
            tier=Tier.SNIPPETS,
            library_id=str(library),
            fetched_at=oldest,
            age_seconds=age,
            note=f"{why}; this was assembled from snippets stored for other"
            f" questions about {library}, the oldest {format_duration(age)} ago.",
        )

    async def later_page(
        self, library: LibraryId, question: str, first: str, number: int, principal: str
    ) -> str | None:
        """Return page `number` (2 or more) after the text `first`, None when nothing is left."""
        records = await self._records(library, principal)
        shown = {snippet.text for snippet in parse_snippets(first)}
        left = [snippet for snippet in _ranked(records, question) if snippet.text not in shown]
        start = (number - 2) * PAGE_LENGTH
        return page(left[start : start + PAGE_LENGTH]) or None

    async def _records(self, library: LibraryId, principal: str) -> list[StoredAnswer]:
        """Return the answers about this very version; of no other, should one be named."""
        records = await self._shelf.about(library.base, principal)
        return [record for record in records if record.subject == str(library)]


def _ranked(records: Iterable[StoredAnswer], question: str) -> list[Snippet]:
    """Return the records' snippets, each once, those that share most with `question` first."""
    wanted = terms_in(question)
    texts = (screen(record.text).clean for record in records)
    unique = {snippet.text: snippet for text in texts for snippet in parse_snippets(text)}
    return sorted(unique.values(), key=lambda snippet: -_score(snippet, wanted))


def _score(snippet: Snippet, wanted: set[str]) -> int:
    title = len(wanted & terms_in(snippet.title))
    return TITLE_WEIGHT * title + len(wanted & terms_in(snippet.text))
