"""Documentation questions: from a library's id and a question to its documentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from context7_fabric.documents.admission import Reason
from context7_fabric.documents.ids import LibraryId
from context7_fabric.documents.keys import content_words, question_key, question_of
from context7_fabric.documents.snippets import Snippet, parse_snippets
from context7_fabric.errors import UpstreamError
from context7_fabric.fabric.policy import Lifetime
from context7_fabric.models import Answer, Caller, Outcome, Progress, Tier
from context7_fabric.registry.learned import MOST_MOVES, Learned
from context7_fabric.registry.registry import Registry
from context7_fabric.render import no_further_page, page
from context7_fabric.services.answers import Answers
from context7_fabric.services.context7 import Context7, Heard
from context7_fabric.services.enquiries import Enquiry, Fetched, Found
from context7_fabric.services.offline import Bookcase
from context7_fabric.services.presenting import failed, refused, served, silence, stands
from context7_fabric.services.records import Stamp, docs_key
from context7_fabric.services.remembering import (
    LONGEST_QUESTION,
    MOST_QUESTIONS,
    id_of,
    remembered,
)
from context7_fabric.upstream.generations import DocsRequest, Generation, Mode

CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a library; `max_tokens` trims the answer, None leaves it whole."""

    library_id: str
    text: str
    mode: Mode | None = None
    page: int = 1
    max_tokens: int | None = None


class Docs:
    """Answers documentation questions."""

    def __init__(
        self,
        answers: Answers,
        context7: Context7,
        learned: Learned,
        registry: Registry,
        bookcase: Bookcase,
        stamp: Stamp,
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

    async def query(self, question: Question, caller: Caller) -> Answer:
        """Return the documentation that answers `question`."""
        library = id_of(question.library_id)
        if library is None:
            return await self._passed_on(question, caller)
        moved = id_of(await self._learned.moved(str(library), caller.principal)) or library
        return _trimmed(await self._asked(question, moved, caller), question.max_tokens)

    def at_hand(self, question: Question, caller: Caller) -> Answer | None:
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

    async def _passed_on(self, question: Question, caller: Caller) -> Answer:
        """Let upstream itself say what is wrong with an id that is none."""
        request = DocsRequest(
            question.library_id, question.text, question.mode, question.page, question.library_id
        )
        try:
            heard = await self._context7.docs(request, caller.progress)
        except UpstreamError as error:
            return failed(error, f"{question.library_id!r} is no library id (/org/project)")
        return refused(Fetched(heard.text, refusal=heard.refusal, is_error=heard.is_error))

    async def _asked(self, question: Question, library: LibraryId, caller: Caller) -> Answer:
        """Ask for mode and page as upstream knows them: the newer generation has neither."""
        if not _is_plain(question) and await self._context7.generation() is Generation.TOPIC:
            mode = question.mode or "code"
            return await self._page(question, library, mode, question.page, caller)
        answer = await self._page(question, library, "any", 1, caller)
        if question.page > 1:
            return await self._later_page(question, library, answer, caller)
        return _of_kind(answer, question.mode)

    async def _page(
        self, question: Question, library: LibraryId, mode: str, number: int, caller: Caller
    ) -> Answer:
        enquiry = self._enquiry(question, library, mode, number, caller)
        found = await self._answers.ask(enquiry, caller)
        if found.record is not None:
            return self._served(found)
        return await self._without_record(question, library, found, caller)

    def _enquiry(
        self, question: Question, library: LibraryId, mode: str, number: int, caller: Caller
    ) -> Enquiry:
        key_for = partial(_key, question.text, mode, number)
        asked = id_of(question.library_id) or library
        return Enquiry(
            tuple(dict.fromkeys((key_for(library), key_for(asked)))),
            self._lifetime(library),
            partial(self._fetch, question, library, key_for, caller),
            lesser=partial(self._has_snippets, question, library, caller),
        )

    async def _has_snippets(self, question: Question, library: LibraryId, caller: Caller) -> bool:
        found = await self._bookcase.assemble(library, question.text, caller.principal, "")
        return found is not None

    def _served(self, found: Found) -> Answer:
        about = found.record.subject if found.record else None
        return served(found, Tier.QUESTION, self._stamp.clock(), about)

    async def _fetch(
        self,
        question: Question,
        library: LibraryId,
        key_for: Callable[[LibraryId], str],
        caller: Caller,
        progress: Progress,
    ) -> Fetched:
        """Ask upstream, following redirects, and admit what it says."""
        title = "" if question.text else self._title(library)
        request = DocsRequest(str(library), question.text, question.mode, question.page, title)
        fetched = Fetched("")
        for _hop in range(MOST_MOVES + 1):
            heard = await self._context7.docs(request, progress)
            fetched = self._fetched(heard, request, caller)
            moved_to = fetched.refusal.moved_to if fetched.refusal else None
            if moved_to is None:
                break
            await self._learned.move(request.library_id, moved_to, caller.principal)
            await self._registry.moved(request.library_id, moved_to)
            request = replace(request, library_id=moved_to)
        return replace(fetched, key=key_for(id_of(request.library_id) or library))

    def _title(self, library: LibraryId) -> str:
        row = self._registry.row(library.base)
        return row.title if row is not None and row.title else library.project

    def _fetched(
        self, heard: Heard[tuple[Snippet, ...]], request: DocsRequest, caller: Caller
    ) -> Fetched:
        if heard.read is None:
            return Fetched(heard.text, refusal=heard.refusal, is_error=heard.is_error)
        record = self._stamp.answer(
            heard.text, request.library_id, request.question, caller.principal
        )
        return Fetched(heard.text, record)

    async def _without_record(
        self, question: Question, library: LibraryId, found: Found, caller: Caller
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

    async def _doubt(self, library: LibraryId, fetched: Fetched) -> None:
        """Let the next look-up of a library that upstream does not know go upstream."""
        if fetched.refusal is not None and fetched.refusal.reason is Reason.UNKNOWN_LIBRARY:
            await self._registry.broken(library.base)

    async def _later_page(
        self, question: Question, library: LibraryId, first: Answer, caller: Caller
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


def _is_plain(question: Question) -> bool:
    """Tell whether neither mode nor page is asked for: every upstream takes it as it is."""
    return question.mode is None and question.page == 1


@remembered(MOST_QUESTIONS, LONGEST_QUESTION)
def _key(text: str, mode: str, page_number: int, library: LibraryId) -> str:
    words = content_words(text) or (question_of(text),)
    return docs_key(question_key(library, words=words, mode=mode, page=page_number))


def _past_the_last_page(question: Question, fetched: Fetched) -> bool:
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
