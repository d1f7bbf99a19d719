"""Documentation questions: from a library's id and a question to its documentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from context7_fabric.answers.cache import AnswerCache, CacheLookup, Found
from context7_fabric.answers.docset_names import is_local, no_such_local
from context7_fabric.answers.docset_pages import DocsetAnswer, DocsetPages
from context7_fabric.answers.fallback import SnippetFallback
from context7_fabric.answers.freshness import Lifetime
from context7_fabric.answers.response import (
    cause,
    failed,
    no_further_page,
    page,
    refused,
    stands,
)
from context7_fabric.answers.stored import RecordFactory, StoredAnswer, docs_key
from context7_fabric.errors import StoreError, UpstreamError
from context7_fabric.models import Answer, Caller, Mode, Outcome, Progress, Question, Tier
from context7_fabric.parsing.admission import DEFINITE, Reason, Refusal
from context7_fabric.parsing.ids import LibraryId, parse_id
from context7_fabric.parsing.keys import question_key
from context7_fabric.parsing.snippets import parse_snippets
from context7_fabric.registry.choices import MOST_MOVES, LearnedChoices
from context7_fabric.registry.registry import Registry
from context7_fabric.upstream.context7 import Context7
from context7_fabric.upstream.tool_versions import ToolGeneration

CHARACTERS_A_TOKEN = 4

NOWHERE = DEFINITE | {Reason.MOVED}
"""Refusals of a redirect's target for which the redirect is forgotten."""


@dataclass(frozen=True, slots=True)
class HeldDocumentation:
    """Documentation held here besides stored answers: docsets, and snippets of all answers."""

    docsets: DocsetPages
    snippets: SnippetFallback


class DocsService:
    """Answers documentation questions."""

    def __init__(
        self,
        answers: AnswerCache,
        context7: Context7,
        learned: LearnedChoices,
        registry: Registry,
        held: HeldDocumentation,
        records: RecordFactory,
        lifetime: Callable[[LibraryId], Lifetime],
    ) -> None:
        """Serve answers for the `lifetime` of their library's id."""
        self._answers = answers
        self._context7 = context7
        self._learned = learned
        self._registry = registry
        self._docsets = held.docsets
        self._fallback = held.snippets
        self._records = records
        self._lifetime = lifetime

    @property
    def flights(self) -> int:
        """Number of flights to upstream under way, those of look-ups included."""
        return self._answers.flights

    async def query(self, question: Question, caller: Caller) -> Answer:
        """Return the documentation that answers `question`."""
        library = parse_id(question.library)
        if library is None:
            return await self._passed_on(question, caller)
        moved = parse_id(await self._learned.moved(str(library), caller.principal)) or library
        held = await self._docsets.of(question, library, moved, caller)
        if held.is_private:
            return await held.private()
        answer = await self._asked(question, moved, caller, held)
        if answer.tier is Tier.DOCSET:
            return answer
        return _trimmed(answer, question.max_tokens)

    async def held(self, question: Question, caller: Caller) -> Answer | None:
        """Return the docset's page that `query` would serve without upstream, None without one."""
        return await self._docsets.alone(question, caller)

    def delivered(self, question: Question, caller: Caller, answer: Answer) -> None:
        """Note that the caller gets `answer`: a page asked for again makes Context7 be asked."""
        self._docsets.note_delivered(question, caller, answer)

    async def _passed_on(self, question: Question, caller: Caller) -> Answer:
        """Let upstream itself state what is wrong with a malformed id."""
        if is_local(question.library):
            return no_such_local(question.library)
        try:
            found = await self._context7.docs(question, question.library, caller.progress)
        except UpstreamError as error:
            return failed(error, f"{question.library!r} is no library id (/org/project)")
        if isinstance(found, Refusal):
            return refused(found)
        return Answer(found[0], Outcome.ERROR, Tier.UPSTREAM)

    async def _asked(
        self, question: Question, library: LibraryId, caller: Caller, held: DocsetAnswer
    ) -> Answer:
        """Ask for mode and page as upstream knows them: the newer generation has neither."""
        if not question.is_plain and await self._context7.generation() is ToolGeneration.TOPIC:
            mode = question.mode or "code"
            return await self._page(question, library, mode, caller, held)
        # Upstream may turn out to know mode and page after all: this is not the place for either.
        plain = replace(question, mode=None, page=1)
        answer = await self._page(plain, library, "any", caller, held)
        if answer.tier is Tier.DOCSET:
            return answer
        if question.page > 1:
            return await self._later_page(question, library, answer, caller)
        return _of_kind(answer, question.mode)

    async def _page(
        self,
        question: Question,
        library: LibraryId,
        mode: str,
        caller: Caller,
        held: DocsetAnswer,
    ) -> Answer:
        asked = parse_id(question.library) or library
        lookup = self._cache_lookup(question, library, mode, caller, held)
        found = await self._answers.ask(lookup, caller)
        if library != asked and _leads_nowhere(found):
            await self._move_back(library, asked, caller.principal)
            library = asked
            lookup = self._cache_lookup(question, asked, mode, caller, held)
            found = await self._answers.ask(lookup, caller)
        if isinstance(found, Answer):
            return found
        return await self._without_record(question, library, found, caller, held)

    def _cache_lookup(
        self,
        question: Question,
        library: LibraryId,
        mode: str,
        caller: Caller,
        held: DocsetAnswer,
    ) -> CacheLookup:
        key = partial(_key, question, mode)
        asked = parse_id(question.library) or library
        keys = tuple(dict.fromkeys((key(library), key(asked))))
        return CacheLookup(
            keys,
            Tier.QUESTION,
            self._lifetime(library),
            partial(self._fetch, question, library, caller),
            key_for=lambda subject: key(parse_id(subject) or library),
            local=partial(held.first, keys),
            lesser=partial(self._has_lesser, question, library, caller, held),
        )

    async def _has_lesser(
        self, question: Question, library: LibraryId, caller: Caller, held: DocsetAnswer
    ) -> bool:
        """Tell whether there is an answer for want of upstream's, though none to the question."""
        if await held.has_page():
            return True
        found = await self._fallback.assemble(library, question.text, caller.principal, "")
        return found is not None

    async def _fetch(
        self, question: Question, library: LibraryId, caller: Caller, progress: Progress
    ) -> StoredAnswer | Refusal:
        """Ask upstream, following redirects, and admit what it says.

        A redirect is learned once its target has answered. Where it leads to nothing that upstream
        knows, or in a circle, what upstream says of the id it was asked for is the answer.
        """
        text = question.text if question.text.strip() else ""
        title = "" if text else self._title(library)
        way, answers = [str(library)], list[StoredAnswer | Refusal]()
        while len(answers) < len(way) <= MOST_MOVES + 1:
            request = replace(question, library=way[-1], text=text)
            answers.append(await self._fetched(request, title, caller, progress))
            target = answers[-1].moved_to if isinstance(answers[-1], Refusal) else None
            if target is not None and target not in way:
                way.append(target)
        if _leads_nowhere(answers[-1]):
            await self._forget_way_to(library, question, caller.principal)
            return answers[0]
        if isinstance(answers[-1], StoredAnswer):
            await self._learn_way(way, caller.principal)
        return answers[-1]

    async def _fetched(
        self, question: Question, title: str, caller: Caller, progress: Progress
    ) -> StoredAnswer | Refusal:
        found = await self._context7.docs(question, title, progress)
        if isinstance(found, Refusal):
            return found
        return self._records.answer(found[0], question.library, question.text, caller.principal)

    async def _learn_way(self, way: Sequence[str], principal: str) -> None:
        if len(way) > 1:
            await self._forget_moves(way[-1], principal)  # it answers: it has moved nowhere
        for old, new in pairwise(way):
            await self._learned.move(old, new, principal)
            await self._registry.moved(old, new)

    async def _forget_way_to(self, library: LibraryId, question: Question, principal: str) -> None:
        """Forget the redirect by which `library` is asked in place of the question's."""
        asked = parse_id(question.library) or library
        if asked != library:
            await self._move_back(library, asked, principal)

    async def _move_back(self, library: LibraryId, asked: LibraryId, principal: str) -> None:
        """Forget that `asked` leads to `library`, which upstream does not know."""
        await self._forget_moves(str(asked), principal)
        if asked.version is None and self._registry.row(asked.base) is None:
            await self._registry.moved(library.base, asked.base)

    async def _forget_moves(self, library_id: str, principal: str) -> None:
        with suppress(StoreError):
            await self._learned.forget_moves(library_id, principal)

    def _title(self, library: LibraryId) -> str:
        row = self._registry.row(library.base)
        return row.title if row is not None and row.title else library.project

    async def _without_record(
        self,
        question: Question,
        library: LibraryId,
        found: Refusal | UpstreamError,
        caller: Caller,
        held: DocsetAnswer,
    ) -> Answer:
        """Answer from docset or stored snippets, else with upstream's refusal or error."""
        if isinstance(found, Refusal) and (stands(found) or _past_the_last_page(question, found)):
            await self._doubt(library, found)
            is_ours = found.is_definite and held.is_held
            page = await held.fallback(cause(found)) if is_ours else None
            return page or replace(refused(found), library_id=str(library))
        page = await held.fallback(cause(found))
        if page is not None:
            return page
        assembled = await self._fallback.assemble(
            library, question.text, caller.principal, cause(found)
        )
        if assembled is not None:
            return assembled
        if isinstance(found, Refusal):
            return replace(refused(found), library_id=str(library))
        return failed(found, f"nothing is stored about {library} for this question")

    async def _doubt(self, library: LibraryId, refusal: Refusal) -> None:
        """Let the next look-up of a library that upstream does not know go upstream."""
        if refusal.reason is Reason.UNKNOWN_LIBRARY:
            await self._registry.broken(library.base)

    async def _later_page(
        self, question: Question, library: LibraryId, first: Answer, caller: Caller
    ) -> Answer:
        """Serve what is stored of the library and was not on an earlier page."""
        if first.outcome in (Outcome.ERROR, Outcome.NEGATIVE):
            return first
        text = await self._fallback.later_page(
            library, question.text, first.text, question.page, caller.principal
        )
        return replace(
            first,
            text=text or no_further_page(str(library), question.page),
            tier=Tier.SNIPPETS if text else first.tier,
        )


def _leads_nowhere(found: Found | StoredAnswer) -> bool:
    """Tell whether upstream knows nothing by the id, or only redirects from it."""
    return isinstance(found, Refusal) and found.reason in NOWHERE


def _key(question: Question, mode: str, library: LibraryId) -> str:
    return docs_key(question_key(library, question.text, mode=mode, page=question.page))


def _past_the_last_page(question: Question, refusal: Refusal) -> bool:
    """Tell whether upstream has no such page: stored snippets would only repeat earlier ones."""
    return question.page > 1 and refusal.reason is Reason.EMPTY


def _of_kind(answer: Answer, mode: Mode | None) -> Answer:
    """Keep the snippets of the kind that was asked for; all of them when there is none."""
    if mode is None or answer.is_error:
        return answer
    kept = [snippet for snippet in parse_snippets(answer.text) if snippet.kind == mode]
    return replace(answer, text=page(kept)) if kept else answer


def _trimmed(answer: Answer, max_tokens: int | None) -> Answer:
    """Leave out the last snippets until the text keeps to `max_tokens`; the first always stays."""
    if max_tokens is None or len(answer.text) <= max_tokens * CHARACTERS_A_TOKEN:
        return answer
    snippets = list(parse_snippets(answer.text))
    while len(snippets) > 1 and len(page(snippets)) > max_tokens * CHARACTERS_A_TOKEN:
        snippets.pop()
    return replace(answer, text=page(snippets)) if snippets else answer
