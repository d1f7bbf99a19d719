"""Facade that the MCP server, the REST API and the command line call."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import anyio

from context7_fabric.answers.docs import DocsService
from context7_fabric.answers.docset_names import (
    DocsetNames,
    is_local,
    no_such_local,
    private_list,
    with_held,
)
from context7_fabric.answers.library_choice import LibraryChoices, with_exact_match
from context7_fabric.answers.pinned import PinInForce, PinnedLibraries, PinnedQuestion
from context7_fabric.answers.resolve import ResolveService
from context7_fabric.answers.response import noted, screened_throughout
from context7_fabric.answers.response_cache import ResponseCache
from context7_fabric.answers.stored import AnswerStore
from context7_fabric.call_log.feedback import Feedback
from context7_fabric.call_log.records import CallLog
from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.lenient_json import readable
from context7_fabric.models import Answer, Caller, Outcome, Question, Tier
from context7_fabric.privacy.redaction import redact
from context7_fabric.registry.registry import Registry
from context7_fabric.suggestions.suggester import Suggester
from context7_fabric.telemetry.observer import Observer
from context7_fabric.upstream.call_gate import CallGate
from context7_fabric.upstream.quota import Quota
from context7_fabric.upstream.tool_cache import ToolCache
from context7_fabric.views.contexts import ContextViews
from context7_fabric.views.prompts import PromptLibrary
from context7_fabric.views.subscriptions import Subscriptions
from context7_fabric.views.visibility import VisibleEntries

LOAD_SECONDS = 30.0
"""Seconds that an exact match waits for the registry to be loaded, which it requires."""

_FAILED = frozenset({Outcome.ERROR, Outcome.NEGATIVE})

_HELPED = frozenset({Outcome.HIT, Outcome.STALE, Outcome.MISS, Outcome.COALESCED})


@dataclass(frozen=True, slots=True)
class Services:
    """Services over one upstream and one fabric.

    Questions pass through `redacted` first: neither upstream nor the store sees the original.
    `tool_names` are the tools that are served; `observers` are notified of every answered call.
    """

    resolver: ResolveService
    docs: DocsService
    docsets: DocsetLibrary
    docset_names: DocsetNames
    pinned: PinnedLibraries
    responses: ResponseCache
    tools: ToolCache
    answer_store: AnswerStore
    registry: Registry
    suggester: Suggester
    choices: LibraryChoices
    quota: Quota
    call_gate: CallGate
    call_log: CallLog
    views: VisibleEntries
    feedback: Feedback
    contexts: ContextViews
    tool_names: frozenset[str]
    prompts: PromptLibrary
    subscriptions: Subscriptions
    redacted: Callable[[str], str] = redact
    observers: Sequence[Observer] = ()

    async def resolve(self, look_up: Question, caller: Caller) -> Answer:
        """Return the libraries that a name may mean.

        One that docsets alone know goes in front; a private one goes alone, without upstream.
        """
        asked = self._cleaned(look_up)
        held = await self.docset_names.named(asked, caller.viewer)
        pins = await self.pinned.of_look_up(asked, caller)
        held, pin = pins.on_held(held) if pins is not None else (held, None)
        if held and held[0].is_private:
            return screened_throughout(_listed_first(private_list(held), pin, caller))
        if is_local(asked.library):
            return no_such_local(asked.library)
        answer = screened_throughout(await self.resolver.resolve(asked, caller, pins=pins))
        if held:
            listed = answer.text
            answer = with_held(answer, held)
            answer = answer if answer.text == listed else _listed_first(answer, pin, caller)
        elif pins is not None:
            answer = pins.alone(answer, caller.trace)
        if pins is not None and answer.tier is not Tier.PIN:
            answer = noted(answer, pins.ignored)
        return screened_throughout(answer)

    async def find(self, look_up: Question, caller: Caller) -> Answer:
        """Return the libraries that a name may mean, with the id that it means exactly, if any."""
        answer = await self.resolve(look_up, caller)
        with anyio.move_on_after(LOAD_SECONDS):
            await self.registry.loaded.wait()
        return with_exact_match(look_up, answer, self.registry)

    async def query(self, question: Question, caller: Caller) -> Answer:
        """Return documentation, and learn which library the last look-up meant."""
        as_of, asked = self.responses.revision(), self._cleaned(question)
        pinned = await self.pinned.of_question(asked, caller)
        digest = self.pinned.digest(caller)
        answer = await self._answer(asked, pinned, caller)
        key = self._response_key(asked, caller, digest)
        if answer.outcome in _HELPED and answer.library_id is not None:
            await self.resolver.used(asked.library, caller)
        answer = screened_throughout(answer)
        if asked is question and question.is_plain and digest is not None:
            self.responses.keep(key, answer, caller.trace, as_of)
        self.docs.delivered(
            asked, caller, answer
        )  # last: a call that is cancelled delivers nothing
        return answer

    async def held(self, question: Question, caller: Caller) -> Answer | None:
        """Return the docset's page that `query` would serve without Context7, None without one."""
        asked = self._cleaned(question)
        answer = await self.docs.held(asked, caller)
        if answer is None:
            return None
        self.docs.delivered(asked, caller, answer)
        return screened_throughout(answer)

    def cached(self, question: Question, caller: Caller) -> Answer | None:
        """Return the answer of `query` where the response cache has it, else None.

        Such a hit is counted as `query` would; None has no effect at all.
        """
        digest = self.pinned.digest(caller)
        if digest is None:
            return None
        answer = self.responses.get(self._response_key(question, caller, digest), caller.trace)
        if answer is not None:
            self.resolver.count(question.library)
            self.quota.count_saved()
        return answer

    async def _answer(
        self, asked: Question, pinned: PinnedQuestion | None, caller: Caller
    ) -> Answer:
        """Return documentation of the pinned version, else of the library as it was asked for."""
        if pinned is None:
            return await self.docs.query(asked, caller)
        answer = await self.docs.query(pinned.question, caller)
        caller.trace.pin = pinned.pin.as_asked
        if answer.outcome not in _FAILED:
            return noted(answer, pinned.pin.as_asked)
        caller.trace.docset, caller.trace.pin = None, pinned.pin.as_missed
        answer = await self.docs.query(asked, caller)
        return answer if answer.outcome in _FAILED else noted(answer, pinned.pin.as_missed)

    def _response_key(self, question: Question, caller: Caller, digest: str | None) -> Hashable:
        """Return the key of a response; the lesson is part of it, so that a hit teaches nothing.

        So is the `digest` of the pins in force.
        """
        return question, caller.holder, digest, self.resolver.lesson(question.library, caller)

    def note(self, tool: str, given: Mapping[str, object], caller: Caller, answer: Answer) -> None:
        """Record an answered call of `tool`, and notify the observers."""
        self.call_log.record(tool, given, caller, answer)
        for observer in self.observers:
            observer.answered(tool, given, caller, answer)

    def _clean(self, text: str) -> str:
        """Return `text` without secrets, and without what UTF-8 cannot encode."""
        return self.redacted(readable(text))

    def _cleaned(self, question: Question) -> Question:
        text, library = self._clean(question.text), self._clean(question.library)
        if (text, library) == (question.text, question.library):
            return question
        return replace(question, text=text, library=library)


def _listed_first(answer: Answer, pin: PinInForce | None, caller: Caller) -> Answer:
    """Return a list that begins with a held library as one that begins with its pinned version."""
    if pin is None:
        return answer
    caller.trace.pin = pin.as_listed
    pinned = replace(answer, tier=Tier.PIN, library_id=str(pin.library))
    return noted(pinned, pin.as_listed)
