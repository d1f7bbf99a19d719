"""Answers assembled from what is stored about a library: for an outage and for missing pages.

Snippets are read from the stored answers themselves and indexed in memory until the store changes:
there is no second copy that a purge, a bad rating or a quarantine could miss.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from sys import maxsize
from typing import TypeVar

import anyio
from anyio import to_thread

from context7_fabric.answers.library_choice import LibraryChoices
from context7_fabric.answers.response import entries, page
from context7_fabric.answers.stored import AnswerStore, StoredAnswer
from context7_fabric.docsets.index import memory_index
from context7_fabric.docsets.models import DocSnippet
from context7_fabric.docsets.retrieval import MOST_PAGES
from context7_fabric.durations import format_duration
from context7_fabric.fabric.read_cache import RevisionCache
from context7_fabric.models import Answer, Clock, Outcome, Question, Tier
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.parsing.libraries import Library, format_entry
from context7_fabric.parsing.screening import screen
from context7_fabric.parsing.snippets import Snippet, parse_snippets
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row
from context7_fabric.suggestions.suggester import Suggester

T = TypeVar("T")

WORKERS = 2
"""Threads that search stored snippets at once."""

PAGE_LENGTH = 10
"""Snippets a page, as in upstream's first generation."""

MOST_INDEXES = 16
"""Indexes in memory, one for each library and principal."""


class SnippetFallback:
    """Stored snippets of a library, ranked for a question as the snippets of a docset are."""

    def __init__(self, store: AnswerStore, clock: Clock) -> None:
        """Read the snippets from the answers in `store`."""
        self._store = store
        self._clock = clock
        self._indexes = RevisionCache[_StoredSnippets](store.revision, MOST_INDEXES)
        self._limiter = anyio.CapacityLimiter(WORKERS)

    async def assemble(
        self, library: LibraryId, question: str, principal: str, cause: str
    ) -> Answer | None:
        """Return an answer of stored snippets that share words with `question`, None if none do.

        Its note states the `cause` for which upstream gives no answer.
        """
        stored = await self._stored(library, principal)
        text = "" if stored is None else await self._run(stored.page, question)
        if stored is None or not text:
            return None
        age = max(0.0, self._clock() - stored.oldest)
        return Answer(
            text=text,
            outcome=Outcome.OFFLINE,
            tier=Tier.SNIPPETS,
            library_id=str(library),
            fetched_at=stored.oldest,
            age_seconds=age,
            note=f"{cause}; this was assembled from snippets stored for other"
            f" questions about {library}, the oldest {format_duration(age)} ago.",
        )

    async def later_page(
        self, library: LibraryId, question: str, first: str, number: int, principal: str
    ) -> str | None:
        """Return page `number` (2 or more) after the text `first`, None beyond the last one."""
        records = await self._records(library, principal)
        return await self._run(_later_page, records, question, first, number) or None

    async def _stored(self, library: LibraryId, principal: str) -> _StoredSnippets | None:
        """Return the index of a library's stored snippets; it is kept until the store changes."""
        as_of, key = self._indexes.revision(), (library, principal)
        stored = self._indexes.get(key)
        if stored is None:
            records = await self._records(library, principal)
            if not records:
                return None
            stored = await self._run(_indexed, records)
            self._indexes.keep(key, stored, as_of)
        return stored

    async def _records(self, library: LibraryId, principal: str) -> list[StoredAnswer]:
        """Return the answers about this very version of the library, or about it without any."""
        records = await self._store.about(library.base, principal)
        return [record for record in records if record.subject == str(library)]

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        return await to_thread.run_sync(work, *arguments, limiter=self._limiter)


class _StoredSnippets:
    """Snippets of stored answers, each once, in an index in memory; its methods block.

    `oldest` is the time of the oldest of the answers, in epoch seconds.
    """

    def __init__(self, snippets: Sequence[Snippet], oldest: float) -> None:
        self.oldest = oldest
        self._snippets = snippets
        self._index = memory_index(_as_document(*each) for each in enumerate(snippets))
        weakref.finalize(self, self._index.database.close)

    def page(self, question: str) -> str:
        """Return the page of the snippets that share words with a question, as they came."""
        ranked = self._index.retrieve(question)
        return page(self._as_sent(ranked.page().snippets)) if ranked.words else ""

    def ranked(self, question: str) -> list[Snippet]:
        """Return all snippets, those that share words with a question first."""
        retrieval, found = self._index.retrieve(question), list[Snippet]()
        for number in range(1, MOST_PAGES + 1):
            chosen = self._as_sent(retrieval.page(maxsize, number).snippets)
            if not chosen:
                break
            found += chosen
        return [*found, *(each for each in self._snippets if each not in found)]

    def _as_sent(self, found: Sequence[DocSnippet]) -> list[Snippet]:
        return [self._snippets[int(each.anchor)] for each in found]


def _indexed(records: Sequence[StoredAnswer]) -> _StoredSnippets:
    return _StoredSnippets(_unique(records), min(record.fetched_at for record in records))


def _later_page(records: Sequence[StoredAnswer], question: str, first: str, number: int) -> str:
    shown = {snippet.text for snippet in parse_snippets(first)}
    left = [snippet for snippet in _unique(records) if snippet.text not in shown]
    start = (number - 2) * PAGE_LENGTH
    ranked = _StoredSnippets(left, 0.0).ranked(question) if len(left) > start else []
    return page(ranked[start : start + PAGE_LENGTH])


def _unique(records: Iterable[StoredAnswer]) -> list[Snippet]:
    """Return the snippets of the records as they are served now, each once."""
    texts = (screen(record.text).clean for record in records)
    return list({each.text: each for text in texts for each in parse_snippets(text)}.values())


def _as_document(number: int, snippet: Snippet) -> DocSnippet:
    """Return a stored snippet in the form that is indexed; `number` finds it again."""
    return DocSnippet(
        snippet.title, snippet.text, snippet.source, anchor=str(number), kind=snippet.kind
    )


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
