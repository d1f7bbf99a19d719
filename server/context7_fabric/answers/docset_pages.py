"""Answers from docsets: the docset of a library, the decision, and the page with its remark.

A page whose confidence reaches the threshold goes before Context7. Any other waits until Context7
gives no answer, and is labelled. A private docset is the only source for its library: neither its
id nor a question about it goes upstream.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

import anyio
from anyio import to_thread

from context7_fabric.answers.docset_names import is_local, joined_ids, no_such_local
from context7_fabric.answers.docset_repeats import DeclinedQuestions, DeliveredPages
from context7_fabric.answers.response import no_further_page, screened
from context7_fabric.answers.stored import docs_key
from context7_fabric.docsets.confidence import THRESHOLD, compared
from context7_fabric.docsets.index import DocsetIndex
from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.docsets.models import Docset
from context7_fabric.docsets.page import MOST_TOKENS
from context7_fabric.docsets.retrieval import Retrieval
from context7_fabric.docsets.versions import only_falls_back
from context7_fabric.durations import format_duration
from context7_fabric.errors import DamagedDocset
from context7_fabric.models import (
    PUBLIC,
    Answer,
    Caller,
    Clock,
    ConsideredSnippet,
    DocsetDecision,
    DocsetReason,
    Outcome,
    Question,
    Tier,
)
from context7_fabric.parsing.ids import LibraryId, folded_id, parse_id
from context7_fabric.parsing.keys import question_key
from context7_fabric.registry.choices import LearnedChoices
from context7_fabric.registry.registry import Registry

log = logging.getLogger(__name__)

WORKERS: Final = 4
"""Threads that read docsets at once: a search holds a core."""

MOST_CONSIDERED: Final = 8
MOST_WORDS: Final = 32
LONGEST_TITLE: Final = 200
LONGEST_WORD: Final = 64
"""Bounds of what the record of a call keeps of a decision."""

T = TypeVar("T")


class DocsetPages:
    """Answers from the docsets of one library of docsets."""

    def __init__(
        self,
        library: DocsetLibrary,
        registry: Registry,
        learned: LearnedChoices,
        declined: DeclinedQuestions,
        clock: Clock,
        *,
        offline: bool,
    ) -> None:
        """Read `library`; ids are joined by `registry` and `learned`.

        `offline` says that upstream is switched off, so that asking again does not help.
        """
        self.clock = clock
        self.declined = declined
        self.delivered = DeliveredPages(clock)
        self.offline = offline
        self._library = library
        self._registry = registry
        self._learned = learned
        self._limiter = anyio.CapacityLimiter(WORKERS)

    async def of(
        self, question: Question, asked: LibraryId, moved: LibraryId, caller: Caller
    ) -> DocsetAnswer:
        """Return the answer that the docset of a library makes; `asked` has moved to `moved`.

        It is located before a stored answer is read: a private docset answers alone, so that an
        answer which was stored when the library was public is never given in its place. That takes
        no thread unless the folder is to be looked at, twice a second at most.
        """
        ids = {asked.base, moved.base}
        held = self._library.at_once(caller.viewer)
        if held is None:
            located = await self.read(self._looked, moved, caller, ids)
        else:
            located = self._located(moved, caller, ids, held)
        join = partial(self._joined, asked, moved, caller)
        return DocsetAnswer(self, question, moved, caller, located, join)

    def _looked(self, library: LibraryId, caller: Caller, ids: Collection[str]) -> _Located:
        """Return the docset of a library after a look at the folder; this blocks."""
        return self._located(library, caller, ids, self._library.readable(caller.viewer))

    def _located(
        self,
        library: LibraryId,
        caller: Caller,
        ids: Collection[str],
        held: Sequence[DocsetIndex],
    ) -> _Located:
        """Return the docset of a library, and whether any version of it is private."""
        folded = set(map(folded_id, ids))
        private = any(
            each.docset.owner != PUBLIC and not folded.isdisjoint(map(folded_id, each.docset.ids))
            for each in held
        )
        found = self._library.find(library, caller.viewer, ids, held)
        return _Located(found, private or is_local(library.base))

    async def find(
        self, library: LibraryId, caller: Caller, ids: Collection[str]
    ) -> DocsetIndex | None:
        """Return the docset of a library that has one of several ids, None without one."""
        return await self.read(self._library.find, library, caller.viewer, ids)

    async def nearest_lower(
        self, library: LibraryId, caller: Caller, ids: Collection[str]
    ) -> DocsetIndex | None:
        """Return the docset of the highest version below that of a library, None without one."""
        return await self.read(self._library.nearest_lower, library, caller.viewer, ids)

    async def alone(self, question: Question, caller: Caller) -> Answer | None:
        """Return the page that would be served without Context7, None where that would be asked."""
        library = parse_id(question.library)
        if library is None:
            return no_such_local(question.library) if is_local(question.library) else None
        moved = parse_id(await self._learned.moved(str(library), caller.principal)) or library
        held = await self.of(question, library, moved, caller)
        if held.is_private:
            return await held.private()
        key = docs_key(question_key(moved, question.text, mode="any", page=question.page))
        caller.trace.stored_at += (key,)
        return await held.first([key])

    async def _joined(self, asked: LibraryId, moved: LibraryId, caller: Caller) -> Collection[str]:
        """Return all ids of the library among those of the docsets, and the one asked for.

        It reads a redirect for each docset, so it is done only where the id itself has no docset.
        """
        docsets = await self.read(self._library.all, caller.viewer)
        held = dict.fromkeys(each for docset in docsets for each in docset.ids)
        ends = {each: await self._learned.moved(each, caller.principal) for each in held}
        named = joined_ids(moved.base, held, self._registry)
        led = (each for each, end in ends.items() if folded_id(end) == folded_id(moved.base))
        return {asked.base, *named, *led}

    async def read(self, work: Callable[..., T], *arguments: object) -> T:
        """Run `work`, which blocks, in a thread."""
        return await to_thread.run_sync(work, *arguments, limiter=self._limiter)

    async def refresh_behind(self, docset: Docset) -> None:
        """Have a docset that was used compared with its source, if that is due."""
        if not self.offline:
            await self.read(self._library.refresh_behind, docset)

    def set_aside(self, index: DocsetIndex, damage: DamagedDocset) -> None:
        """Leave a docset aside that cannot be read any more."""
        self._library.set_aside(index, damage)

    def note_delivered(self, question: Question, caller: Caller, answer: Answer) -> None:
        """Remember that the client got a page, so that the question asked again goes upstream."""
        decision = caller.trace.docset
        if decision is not None and answer.tier is Tier.DOCSET:
            self.delivered.add(question, decision, caller)


@dataclass(frozen=True, slots=True)
class _Located:
    """The docset of a library at its version, if any; `is_private` holds for all versions."""

    index: DocsetIndex | None
    is_private: bool


class DocsetAnswer:
    """Answer that one docset makes to one question; it is searched once, when needed."""

    def __init__(
        self,
        pages: DocsetPages,
        question: Question,
        library: LibraryId,
        caller: Caller,
        located: _Located,
        join: Callable[[], Awaitable[Collection[str]]],
    ) -> None:
        """Answer from what is `located`, else from the docset of an id that `join` returns."""
        self._pages = pages
        self._question = question
        self._library = library
        self._caller = caller
        self._index = located.index
        self.is_private = located.is_private
        """True if the library's id must not leave the machine."""
        self._join = join
        self._ids: Collection[str] | None = None
        self._found: Retrieval | None = None

    @property
    def is_held(self) -> bool:
        """Tell whether there is a docset of the library at the version asked for."""
        return self._index is not None

    async def first(self, keys: Sequence[str]) -> Answer | None:
        """Return the page if it goes before Context7, None if not; `keys` are the question's."""
        if self._caller.docsets == "off" or self._caller.trace.docset is not None:
            return None  # the second time is that of a redirect that leads nowhere
        index = await self._held()
        found = None if index is None else await self._retrieved(index)
        if index is None or found is None:
            return None
        decision = await self._decide(index.docset, found, keys)
        if decision.reason is not DocsetReason.CONFIDENT:
            return None
        return await self._page(index, found, Outcome.HIT, self._hint())

    async def private(self) -> Answer:
        """Return the page whatever the confidence, or the reason why there is none."""
        index = await self._held_or_lower()
        found = None
        if index is not None and self._caller.docsets != "off":
            found = await self._retrieved(index)
        if index is None:
            return no_such_local(str(self._library))
        if found is None:
            why = "its docset is switched off (CONTEXT7_FABRIC_DOCSETS) or cannot be read"
            return no_such_local(str(self._library), why)
        decision = _decision(index.docset, found, DocsetReason.PRIVATE)
        self._trace(decision)
        remark = f"{self._doubt(decision)} Nothing about it is sent to Context7.".lstrip()
        if not found.considered:
            found = await self._pages.read(index.retrieve, "")
            remark = f"It holds no word of the question; this is its overview. {remark}"
        return await self._page(index, found, Outcome.HIT, remark)

    async def has_page(self) -> bool:
        """Tell whether `fallback` would give a page."""
        index = None if self._caller.docsets == "off" else await self._held()
        found = None if index is None else await self._retrieved(index)
        return found is not None and bool(found.considered)

    async def fallback(self, cause: str) -> Answer | None:
        """Return the labelled page for want of Context7's answer, None without a docset.

        Without the version asked for, it is of the nearest lower one; `cause` is the reason why
        Context7 gave no answer.
        """
        if self._caller.docsets == "off":
            return None
        index = await self._held_or_lower()
        found = None if index is None else await self._retrieved(index)
        if index is None or found is None or not found.considered:
            return None
        trace = self._caller.trace
        if trace.docset is None:
            self._trace(_decision(index.docset, found, DocsetReason.NEAREST))
        decision = trace.docset or _decision(index.docset, found, DocsetReason.NEAREST)
        trace.step("docset: its page is served all the same")
        return await self._page(index, found, Outcome.OFFLINE, self._doubt(decision), f"{cause}. ")

    async def _held(self) -> DocsetIndex | None:
        """Return the docset of the library's own id, else of one that is joined to it."""
        if self._index is None and self._ids is None:
            self._ids = await self._join()
            if len(self._ids) > 1:
                self._index = await self._pages.find(self._library, self._caller, self._ids)
        return self._index

    async def _held_or_lower(self) -> DocsetIndex | None:
        """Return the docset, else that of the nearest lower version."""
        held = await self._held()
        ids = self._ids or ()
        return held or await self._pages.nearest_lower(self._library, self._caller, ids)

    async def _decide(
        self, docset: Docset, found: Retrieval, keys: Sequence[str]
    ) -> DocsetDecision:
        """Decide whether the page goes before Context7; a confident one may be passed by."""
        decision = _decision(docset, found, self._reason(docset, found))
        if decision.reason is DocsetReason.CONFIDENT:
            if self._pages.delivered.has_alike(self._question, decision, self._caller):
                decision = replace(decision, reason=DocsetReason.ASKED_AGAIN)
            elif await self._pages.declined.has(keys, self._caller.holder):
                decision = replace(decision, reason=DocsetReason.RATED)
        self._trace(decision)
        return decision

    def _reason(self, docset: Docset, found: Retrieval) -> DocsetReason:
        if self._caller.docsets == "fallback":
            return DocsetReason.FALLBACK
        if not self._question.text.strip():
            return DocsetReason.NO_TOPIC
        if found.confidence < THRESHOLD:
            return DocsetReason.UNCONFIDENT
        is_old = only_falls_back(docset, self._pages.clock())
        return DocsetReason.OLD if is_old else DocsetReason.CONFIDENT

    def _trace(self, decision: DocsetDecision) -> None:
        trace = self._caller.trace
        trace.docset = decision
        trace.step(
            f"docset {decision.name}: {compared(decision.confidence, decision.threshold)};"
            f" {decision.reason}"
        )

    async def _retrieved(self, index: DocsetIndex) -> Retrieval | None:
        """Search the docset; a damaged one is left aside, and is none from now on."""
        if self._found is None:
            try:
                self._found = await self._pages.read(_searched, index, self._question.text)
            except DamagedDocset as damage:
                self._pages.set_aside(index, damage)
                self._index = None
        return self._found

    async def _page(
        self, index: DocsetIndex, found: Retrieval, outcome: Outcome, remark: str, cause: str = ""
    ) -> Answer:
        question, docset = self._question, index.docset
        text = await self._pages.read(_page_of, found, question)
        await self._pages.refresh_behind(docset)
        age = max(0.0, self._pages.clock() - docset.added_at)
        return Answer(
            text=text or no_further_page(str(self._library), question.page),
            outcome=outcome,
            tier=Tier.DOCSET,
            library_id=str(self._library),
            fetched_at=docset.added_at,
            age_seconds=age,
            note=f"{cause}{self._origin(docset, age)} {remark}".rstrip(),
        )

    def _origin(self, docset: Docset, age: float) -> str:
        """Return the sentence that says whose documentation it is, its version and its age."""
        version = "" if docset.version is None else f", version {docset.version}"
        asked = self._library.version
        other = asked is not None and self._index is None
        lacking = f"Version {asked} is not held here. " if other else ""
        read = f"read {format_duration(age)} ago"
        return f"{lacking}From the documentation of {docset.id}{version}, held here and {read}."

    def _hint(self) -> str:
        """Return the way past the page."""
        if self._pages.offline:
            return ""
        if self._caller.repeats_as is None:
            return "Not enough? With CONTEXT7_FABRIC_DOCSETS=fallback Context7 is asked."
        return "Not enough? Ask again, and Context7 is asked."

    def _doubt(self, decision: DocsetDecision) -> str:
        if not self._question.text.strip():
            return "This is its overview."
        if decision.is_confident:
            return ""
        shares = compared(decision.confidence, decision.threshold)
        return f"It may not answer the question ({shares})."


def _searched(index: DocsetIndex, question: str) -> Retrieval:
    """Return the retrieval of a question, with the confidence worked out in the same thread."""
    found = index.retrieve(question)
    _ = found.confidence
    return found


def _page_of(found: Retrieval, question: Question) -> str:
    """Return the text of the page asked for; its screening is remembered for when it is served.

    Snippets of all kinds make the page where there is none of the kind that was asked for.
    """
    most = question.max_tokens and min(question.max_tokens, MOST_TOKENS)
    page = found.page(most, question.page, question.mode)
    if not page.text and question.mode is not None and not found.page(most, 1, question.mode).text:
        page = found.page(most, question.page)
    screened(page.text)
    return page.text


def _decision(docset: Docset, found: Retrieval, reason: DocsetReason) -> DocsetDecision:
    words = tuple((word[:LONGEST_WORD], round(weight, 3)) for word, weight in found.words.items())
    return DocsetDecision(
        name=docset.name,
        confidence=found.confidence,  # rounded, it might reach the threshold
        threshold=THRESHOLD,
        reason=reason,
        words=words[:MOST_WORDS],
        considered=tuple(
            ConsideredSnippet(
                each.title[:LONGEST_TITLE],
                each.path[:LONGEST_TITLE],
                round(each.score, 3),
                tuple(word[:LONGEST_WORD] for word in each.words[:MOST_WORDS]),
            )
            for each in found.considered[:MOST_CONSIDERED]
        ),
    )
