"""Answers assembled from what is stored about a library: for an outage and for missing pages.

Snippets are read from the stored answers themselves, so there is no second copy to keep in step,
and ranked by the words that they share with the question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import anyio

from context7_fabric.answers.library_choice import LibraryChoices
from context7_fabric.answers.response import entries, page
from context7_fabric.answers.stored import AnswerStore, StoredAnswer
from context7_fabric.durations import format_duration
from context7_fabric.models import Answer, Clock, Outcome, Question, Tier
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.parsing.libraries import Library, format_entry
from context7_fabric.parsing.screening import screen
from context7_fabric.parsing.snippets import Snippet, parse_snippets
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row
from context7_fabric.suggestions.bm25 import terms_in
from context7_fabric.suggestions.suggester import Suggester

PAGE_LENGTH = 10
"""Snippets a page, as in upstream's first generation."""

MOST_ASSEMBLED = 6
TITLE_WEIGHT = 3


class SnippetFallback:
    """Stored snippets of a library, ranked for a question."""

    def __init__(self, store: AnswerStore, clock: Clock) -> None:
        """Read the snippets from the answers in `store`."""
        self._store = store
        self._clock = clock

    async def assemble(
        self, library: LibraryId, question: str, principal: str, cause: str
    ) -> Answer | None:
        """Return an answer of stored snippets that share words with `question`, None if none do.

        Its note states the `cause` for which upstream gives no answer.
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
            note=f"{cause}; this was assembled from snippets stored for other"
            f" questions about {library}, the oldest {format_duration(age)} ago.",
        )

    async def later_page(
        self, library: LibraryId, question: str, first: str, number: int, principal: str
    ) -> str | None:
        """Return page `number` (2 or more) after the text `first`, None beyond the last one."""
        records = await self._records(library, principal)
        shown = {snippet.text for snippet in parse_snippets(first)}
        left = [snippet for snippet in _ranked(records, question) if snippet.text not in shown]
        start = (number - 2) * PAGE_LENGTH
        return page(left[start : start + PAGE_LENGTH]) or None

    async def _records(self, library: LibraryId, principal: str) -> list[StoredAnswer]:
        """Return the answers about this very version of the library, or about it without any."""
        records = await self._store.about(library.base, principal)
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


LOAD_SECONDS = 7.0
"""Clients wait a minute, and the look-up has waited for three seconds before."""

MOST_SUGGESTED = 5
CANDIDATES = 50
"""Rows that are ranked: those without a known id are of no use to a caller."""


class RegistryFallback:
    """Answers look-ups from the registry alone."""

    def __init__(self, registry: Registry, suggester: Suggester, choices: LibraryChoices) -> None:
        """Search `registry`, then the lessons of `choices`; pass phrases to `suggester`."""
        self._registry = registry
        self._suggester = suggester
        self._choices = choices
        self.load_seconds = LOAD_SECONDS
        """Seconds that a name without any other answer waits for the registry to be loaded."""

    async def answer(self, look_up: Question, cause: str) -> Answer | None:
        """Return the registry's answer about a name, None if it has none either.

        Its note states the `cause` for which upstream gives no answer.
        """
        with anyio.move_on_after(self.load_seconds):
            await self._registry.loaded.wait()
        exact = self._registry.find(look_up.library, look_up.text)
        if exact and (rows := _usable([exact.row])):
            return replace(_known(rows, cause), library_id=exact.row.id)
        if rows := _usable(self._registry.namesakes(look_up.library, look_up.text)):
            return _known(rows, cause)
        lesson = await self._choices.lesson(look_up)
        if lesson is not None:
            return replace(_known([lesson], cause), library_id=lesson.id)
        if not _is_phrase(look_up.library):
            return None
        suggested = await self._suggester.suggest(look_up.library, CANDIDATES)
        rows = _usable([each.row for each in suggested.candidates])[:MOST_SUGGESTED]
        return _suggested(rows, suggested.method, cause) if rows else None


def _usable(rows: Sequence[Row]) -> list[Row]:
    """Return the rows whose id upstream is believed to know."""
    return [row for row in rows if is_usable(row)]


def is_usable(row: Row) -> bool:
    """Tell whether the row has an id that upstream is believed to know."""
    return bool(row.id) and not row.broken


def _is_phrase(name: str) -> bool:
    """Tell a description from a name: one word asks for that name and nothing similar."""
    return len(name.split()) > 1


def _known(rows: Sequence[Row], cause: str) -> Answer:
    verified = all(row.last_verified for row in rows)
    source = "the registry" if verified else "the seed file and is unverified"
    return Answer(
        text=entries([library_of(row) for row in rows]),
        outcome=Outcome.OFFLINE,
        tier=Tier.LEARNED if verified else Tier.SEED,
        note=f"{cause}; this comes from {source}.",
    )


def _suggested(rows: Sequence[Row], method: str, cause: str) -> Answer:
    by = "meaning" if method == "vectors" else "the words they share"
    return Answer(
        text=entries([library_of(row) for row in rows]),
        outcome=Outcome.SUGGESTION,
        tier=Tier.LOCAL,
        note=f"{cause}; these are suggestions from the local registry, not verified, ranked by"
        f" {by}.",
    )


def library_of(row: Row) -> Library:
    """Return a row in the form of an entry of upstream's list."""
    bare = Library(
        id=row.id,
        title=row.title or row.name,
        description=row.description,
        snippets=row.snippets,
        reputation=row.reputation or "Unknown",
        trust_score=None,
        benchmark=row.score,
        versions=row.versions,
        source=None,
        text="",
    )
    return replace(bare, text=format_entry(bare))
