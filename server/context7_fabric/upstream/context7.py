"""Context7 as the services see it: look-ups and questions, for either generation of its tools.

Replies are screened and admitted here, so that the call gate learns at once how a call ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias, TypeVar

from context7_fabric.errors import (
    UpstreamError,
    UpstreamLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
    UpstreamUnreadable,
)
from context7_fabric.models import Progress, Question
from context7_fabric.parsing.admission import LONGEST_QUOTE, Reason, Refusal, admit_docs, admit_list
from context7_fabric.parsing.libraries import LibraryList
from context7_fabric.parsing.screening import screen
from context7_fabric.parsing.snippets import Snippet
from context7_fabric.telemetry.observer import Observer
from context7_fabric.upstream.base import Reply, Upstream
from context7_fabric.upstream.call_gate import CallGate, CallPermit
from context7_fabric.upstream.tool_cache import ToolCache
from context7_fabric.upstream.tool_versions import (
    ToolCall,
    ToolGeneration,
    docs_call,
    resolve_call,
)

TOOL_GONE = -32602
"""JSON-RPC's code for invalid parameters, which MCP servers answer to an unknown tool."""

ANSWERED = "answered"
ENDS = {
    UpstreamLimited: "limited",
    UpstreamRejected: "rejected",
    UpstreamTimeout: "timeout",
    UpstreamUnreachable: "unreachable",
    UpstreamUnreadable: "unreadable",
}
"""Ends of calls that were sent and failed; the end of any other is the reason of its refusal."""

ANSWERS = frozenset(
    {
        Reason.EMPTY,
        Reason.MOVED,
        Reason.UNFINISHED,
        Reason.UNKNOWN_LIBRARY,
        Reason.UNKNOWN_VERSION,
    }
)
"""Refusals that prove that no limit is in force: upstream has searched."""

T = TypeVar("T")
_CallFor: TypeAlias = Callable[[ToolGeneration], ToolCall]


class Context7:
    """Client for the two questions that Context7 answers."""

    def __init__(
        self,
        upstream: Upstream,
        tools: ToolCache,
        call_gate: CallGate,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Call the generation of `upstream` that `tools` reports, when `call_gate` permits.

        `observers` are notified of the end of each call that was sent.
        """
        self._observers = observers
        self._upstream = upstream
        self._tools = tools
        self._call_gate = call_gate

    async def generation(self) -> ToolGeneration:
        """Return the generation of upstream's tools; the newer one while it is unknown."""
        try:
            return await self._tools.generation()
        except UpstreamError:
            return ToolGeneration.QUESTION

    async def resolve(
        self, look_up: Question, progress: Progress
    ) -> tuple[str, LibraryList] | Refusal:
        """Look a name up; return the text and the list that it is.

        Raises:
            UpstreamError: No answer comes.
        """
        return await self._ask(partial(resolve_call, look_up=look_up), admit_list, progress)

    async def docs(
        self, question: Question, title: str, progress: Progress
    ) -> tuple[str, tuple[Snippet, ...]] | Refusal:
        """Ask a question of the library called `title`; return the text and its snippets.

        Raises:
            UpstreamError: No answer comes.
        """
        call_for = partial(docs_call, question=question, title=title)
        return await self._ask(call_for, admit_docs, progress)

    async def _ask(
        self, call_for: _CallFor, admit: Callable[[str], T | Refusal], progress: Progress
    ) -> tuple[str, T] | Refusal:
        begun = time.perf_counter()
        try:
            async with self._call_gate.permit() as permit:
                reply = await self._sent(call_for, progress)
        except UpstreamError as error:
            self._notify(ENDS.get(type(error)), begun)
            raise
        admitted = admit(screen(reply.text).clean)
        if isinstance(admitted, Refusal):
            await self._report_refusal(admitted, reply, permit)
            self._notify(admitted.reason.value, begun)
            return replace(admitted, text=reply.text, is_error=reply.is_error)
        await self._call_gate.succeeded(permit)
        self._notify(ANSWERED, begun)
        if reply.is_error:
            return Refusal(Reason.UNRECOGNISED, text=reply.text, is_error=True)
        return reply.text, admitted

    def _notify(self, end: str | None, begun: float) -> None:
        """Notify the observers of a call that began at `begun`; None: it was not sent."""
        if end is not None:
            for observer in self._observers:
                observer.asked(end, time.perf_counter() - begun)

    async def _sent(self, call_for: _CallFor, progress: Progress) -> Reply:
        """Call upstream's tool; again if upstream was replaced by one with other tools."""
        generation = await self._tools.generation()
        try:
            return await self._send(call_for(generation), progress)
        except UpstreamRejected as error:
            if error.code != TOOL_GONE or not await self._changed(generation):
                raise
        return await self._send(call_for(await self._tools.generation()), progress)

    async def _send(self, call: ToolCall, progress: Progress) -> Reply:
        return await self._upstream.call_tool(*call, progress)

    async def _changed(self, generation: ToolGeneration) -> bool:
        await self._tools.refresh()
        return await self._tools.generation() is not generation

    async def _report_refusal(self, refusal: Refusal, reply: Reply, permit: CallPermit) -> None:
        """Report the end of a call to the call gate; only an answer ends a limit."""
        if refusal.reason is Reason.QUOTA:
            await self._call_gate.limited(reply.text, None)
        elif refusal.reason is Reason.FAILED:
            await self._call_gate.failed(permit, f"it said: {_line(reply.text)}")
        else:
            ends_limit = refusal.reason in ANSWERS
            await self._call_gate.succeeded(permit if ends_limit else replace(permit, probes=None))


def _line(text: str) -> str:
    return " ".join(text.split())[:LONGEST_QUOTE]
