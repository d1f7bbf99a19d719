"""Documentation questions: from a library's id and a question to its documentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from context7_fabric.answers.cache import (
    DEFINITE,
    AnswerCache,
    CacheLookup,
    CacheResult,
    UpstreamResult,
)
from context7_fabric.answers.fallback import SnippetFallback
from context7_fabric.answers.freshness import Lifetime
from context7_fabric.answers.memo import (
    LONGEST_QUESTION,
    MOST_QUESTIONS,
    id_of,
    remembered,
)
from context7_fabric.answers.response import (
    failed,
    no_further_page,
    page,
    refused,
    served,
    silence,
    stands,
)
from context7_fabric.answers.stored import RecordFactory, docs_key
from context7_fabric.errors import StoreError, UpstreamError
from context7_fabric.models import Answer, Caller, Mode, Outcome, Progress, Tier
from context7_fabric.parsing.admission import Reason
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.parsing.keys import question_key
from context7_fabric.parsing.snippets import Snippet, parse_snippets
from context7_fabric.registry.choices import MOST_MOVES, LearnedChoices
from context7_fabric.registry.registry import Registry
from context7_fabric.upstream.context7 import Context7, ParsedReply
from context7_fabric.upstream.tool_versions import DocsRequest, ToolGeneration

CHARACTERS_A_TOKEN = 4

NOWHERE = DEFINITE | {Reason.MOVED}
"""Refusals of a redirect's target for which the redirect is forgotten."""


@dataclass(frozen=True, slots=True)
class DocsQuestion:
    """What is asked of a library; `max_tokens` trims the answer, None leaves it whole."""

    library_id: str
    text: str
    mode: Mode | None = None
    page: int = 1
    max_tokens: int | None = None


class DocsService:
    """Answers documentation questions."""

    def __init__(
        self,
        answers: AnswerCache,
        context7: Context7,
        learned: LearnedChoices,
        registry: Registry,
        bookcase: SnippetFallback,
        stamp: RecordFactory,
        lifetime: Callable[[LibraryId], Lifetime],
    ) -> None:
        """Serve answers for the `lifetime` of their library's id."""
        self._answers = answers
        self._context7 = context7
        self._learned = learned
        self._registry = registry
        self._bookcase = bookcase
        self._stamp = stamp
        self._lifetime = lifetime

    @property
    def flights(self) -> int:
        """How many flights to upstream are under way, those of look-ups included."""
        return self._answers.flights

    async def query(self, question: DocsQuestion, caller: Caller) -> Answer:
        """Return the documentation that answers `question`."""
        library = id_of(question.library_id)
        if library is None:
            return await self._passed_on(question, caller)
        moved = id_of(await self._learned.moved(str(library), caller.principal)) or library
        return _trimmed(await self._asked(question, moved, caller), question.max_tokens)

    def at_hand(self, question: DocsQuestion, caller: Caller) -> Answer | None:
        """Return what `query` would if that is a hit in memory, None if not."""
        library = id_of(question.library_id)
        if library is None or not _is_plain(question):
            return None
        moved = self._learned.moved_at_hand(str(library), caller.principal)
        if moved is None:
            return None
        enquiry = self._enquiry(question, id_of(moved) or library, "any", 1, caller)
        found = self._answers.at_hand(enquiry, caller)
        return None if found is None else _trimmed(self._served(found), question.max_tokens)

    async def _passed_on(self, question: DocsQuestion, caller: Caller) -> Answer:
        """Let upstream itself say what is wrong with an id that is none."""
        request = DocsRequest(
            question.library_id, question.text, question.mode, question.page, question.library_id
        )
        try:
            heard = await self._context7.docs(request, caller.progress)
        except UpstreamError as error:
            return failed(error, f"{question.library_id!r} is no library id (/org/project)")
        return refused(UpstreamResult(heard.text, refusal=heard.refusal, is_error=heard.is_error))

    async def _asked(self, question: DocsQuestion, library: LibraryId, caller: Caller) -> Answer:
        """Ask for mode and page as upstream knows them: the newer generation has neither."""
        if not _is_plain(question) and await self._context7.generation() is ToolGeneration.TOPIC:
            mode = question.mode or "code"
            return await self._page(question, library, mode, question.page, caller)
        # Upstream may turn out to know mode and page after all: this is not the place for either.
        plain = replace(question, mode=None, page=1)
        answer = await self._page(plain, library, "any", 1, caller)
        if question.page > 1:
            return await self._later_page(question, library, answer, caller)
        return _of_kind(answer, question.mode)

    async def _page(
        self, question: DocsQuestion, library: LibraryId, mode: str, number: int, caller: Caller
    ) -> Answer:
        asked = id_of(question.library_id) or library
        found = await self._answers.ask(
            self._enquiry(question, library, mode, number, caller), caller
        )
        if library != asked and _leads_nowhere(found.fetched):
            await self._move_back(library, asked, caller.principal)
            library = asked
            found = await self._answers.ask(
                self._enquiry(question, asked, mode, number, caller), caller
            )
        if found.record is not None:
            return self._served(found)
        return await self._without_record(question, library, found, caller)

    def _enquiry(
        self, question: DocsQuestion, library: LibraryId, mode: str, number: int, caller: Caller
    ) -> CacheLookup:
        key_for = partial(_key, question.text, mode, number)
        asked = id_of(question.library_id) or library
        return CacheLookup(
            tuple(dict.fromkeys((key_for(library), key_for(asked)))),
            self._lifetime(library),
            partial(self._fetch, question, library, key_for, caller),
            lesser=partial(self._has_snippets, question, library, caller),
        )

    async def _has_snippets(
        self, question: DocsQuestion, library: LibraryId, caller: Caller
    ) -> bool:
        found = await self._bookcase.assemble(library, question.text, caller.principal, "")
        return found is not None

    def _served(self, found: CacheResult) -> Answer:
        about = found.record.subject if found.record else None
        return served(found, Tier.QUESTION, self._stamp.clock(), about)

    async def _fetch(
        self,
        question: DocsQuestion,
        library: LibraryId,
        key_for: Callable[[LibraryId], str],
        caller: Caller,
        progress: Progress,
    ) -> UpstreamResult:
        """Ask upstream, following redirects, and admit what it says.

        A redirect is learned once its target has answered. Where it leads to nothing that upstream
        knows, or in a circle, what upstream says of the id it was asked for is the answer.
        """
        text = question.text if question.text.strip() else ""
        title = "" if text else self._title(library)
        request = DocsRequest(str(library), text, question.mode, question.page, title)
        way, answers = [request.library_id], list[UpstreamResult]()
        while len(answers) < len(way) <= MOST_MOVES + 1:
            request = replace(request, library_id=way[-1])
            heard = await self._context7.docs(request, progress)
            answers.append(self._fetched(heard, request, caller))
            target = answers[-1].refusal.moved_to if answers[-1].refusal else None
            if target is not None and target not in way:
                way.append(target)
        if _leads_nowhere(answers[-1]):
            await self._forget_way_to(library, question, caller.principal)
            return replace(answers[0], key=key_for(library))
        if answers[-1].record is not None:
            await self._learn_way(way, caller.principal)
        return replace(answers[-1], key=key_for(id_of(way[-1]) or library))

    async def _learn_way(self, way: Sequence[str], principal: str) -> None:
        if len(way) > 1:
            await self._forget_moves(way[-1], principal)  # it answers: it has moved nowhere
        for old, new in pairwise(way):
            await self._learned.move(old, new, principal)
            await self._registry.moved(old, new)

    async def _forget_way_to(
        self, library: LibraryId, question: DocsQuestion, principal: str
    ) -> None:
        """Forget the redirect by which `library` is asked in place of the question's."""
        asked = id_of(question.library_id) or library
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

    def _fetched(
        self, heard: ParsedReply[tuple[Snippet, ...]], request: DocsRequest, caller: Caller
    ) -> UpstreamResult:
        if heard.read is None:
            return UpstreamResult(heard.text, refusal=heard.refusal, is_error=heard.is_error)
        record = self._stamp.answer(
            heard.text, request.library_id, request.question, caller.principal
        )
        return UpstreamResult(heard.text, record)

    async def _without_record(
        self, question: DocsQuestion, library: LibraryId, found: CacheResult, caller: Caller
    ) -> Answer:
        """Answer from the library's stored snippets, else with upstream's refusal or error."""
        if found.fetched is not None and (
            stands(found.fetched) or _past_the_last_page(question, found.fetched)
        ):
            await self._doubt(library, found.fetched)
            return replace(refused(found.fetched, found.how), library_id=str(library))
        assembled = await self._bookcase.assemble(
            library, question.text, caller.principal, silence(found)
        )
        if assembled is not None:
            return assembled
        if found.fetched is not None:
            return replace(refused(found.fetched, found.how), library_id=str(library))
        error = found.error or UpstreamError("Context7 gave no answer")
        return failed(error, f"nothing is stored about {library} for this question")

    async def _doubt(self, library: LibraryId, fetched: UpstreamResult) -> None:
        """Let the next look-up of a library that upstream does not know go upstream."""
        if fetched.refusal is not None and fetched.refusal.reason is Reason.UNKNOWN_LIBRARY:
            await self._registry.broken(library.base)

    async def _later_page(
        self, question: DocsQuestion, library: LibraryId, first: Answer, caller: Caller
    ) -> Answer:
        """Serve what is stored of the library and was not on an earlier page."""
        if first.outcome in (Outcome.ERROR, Outcome.NEGATIVE):
            return first
        text = await self._bookcase.later_page(
            library, question.text, first.text, question.page, caller.principal
        )
        return replace(
            first,
            text=text or no_further_page(str(library), question.page),
            tier=Tier.SNIPPETS if text else first.tier,
        )


def _leads_nowhere(fetched: UpstreamResult | None) -> bool:
    """Tell whether upstream knows nothing by the id, or only redirects from it."""
    refusal = None if fetched is None else fetched.refusal
    return refusal is not None and refusal.reason in NOWHERE


def _is_plain(question: DocsQuestion) -> bool:
    """Tell whether neither mode nor page is asked for: every upstream takes it as it is."""
    return question.mode is None and question.page == 1


@remembered(MOST_QUESTIONS, LONGEST_QUESTION)
def _key(text: str, mode: str, page_number: int, library: LibraryId) -> str:
    return docs_key(question_key(library, text, mode=mode, page=page_number))


def _past_the_last_page(question: DocsQuestion, fetched: UpstreamResult) -> bool:
    """Tell whether upstream has no such page: stored snippets would only repeat earlier ones."""
    refusal = fetched.refusal
    return question.page > 1 and refusal is not None and refusal.reason is Reason.EMPTY


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
