"""Context7 as the services see it: look-ups and questions, whichever tools upstream has.

What comes back is screened and admitted here, so that the guard hears at once how a call ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from context7_fabric.errors import (
    UpstreamError,
    UpstreamLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
    UpstreamUnreadable,
)
from context7_fabric.models import Progress
from context7_fabric.parsing.admission import Reason, Refusal, admit_docs, admit_list
from context7_fabric.parsing.libraries import LibraryList
from context7_fabric.parsing.screening import screen
from context7_fabric.parsing.snippets import Snippet
from context7_fabric.telemetry.observer import Observer
from context7_fabric.upstream.base import Reply, Upstream
from context7_fabric.upstream.call_gate import CallGate, CallPermit
from context7_fabric.upstream.tool_cache import ToolCache
from context7_fabric.upstream.tool_versions import (
    DocsRequest,
    ToolGeneration,
    UpstreamCall,
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
"""How calls upstream end that were sent; others end by the reason why their text is refused."""

ANSWERS = frozenset(
    {
        Reason.EMPTY,
        Reason.MOVED,
        Reason.UNFINISHED,
        Reason.UNKNOWN_LIBRARY,
        Reason.UNKNOWN_VERSION,
    }
)
"""Refusals that show that no limit is in force: upstream has looked."""

_LONGEST_SAID = 200

T = TypeVar("T")
_CallFor = Callable[[ToolGeneration], UpstreamCall]


@dataclass(frozen=True, slots=True)
class ParsedReply(Generic[T]):
    """What upstream said: `text` verbatim, and what it was read as, or why it was not."""

    text: str
    read: T | None = None
    refusal: Refusal | None = None
    is_error: bool = False


class Context7:
    """Upstream's two questions."""

    def __init__(
        self,
        upstream: Upstream,
        tools: ToolCache,
        turnstile: CallGate,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Ask `upstream`, in the generation that `tools` tells, when `turnstile` lets through.

        `observers` hear how each call that was sent ended.
        """
        self._observers = observers
        self._upstream = upstream
        self._tools = tools
        self._turnstile = turnstile

    async def generation(self) -> ToolGeneration:
        """Tell which set of tools upstream has; the newer one when nobody can tell."""
        try:
            return await self._tools.generation()
        except UpstreamError:
            return ToolGeneration.QUESTION

    async def resolve(
        self, name: str, question: str, progress: Progress
    ) -> ParsedReply[LibraryList]:
        """Look `name` up. Raises an `UpstreamError` when no answer comes."""
        return await self._ask(lambda how: resolve_call(how, name, question), admit_list, progress)

    async def docs(
        self, request: DocsRequest, progress: Progress
    ) -> ParsedReply[tuple[Snippet, ...]]:
        """Ask a question of a library. Raises an `UpstreamError` when no answer comes."""
        return await self._ask(lambda how: docs_call(how, request), admit_docs, progress)

    async def _ask(
        self, call_for: _CallFor, admit: Callable[[str], T | Refusal], progress: Progress
    ) -> ParsedReply[T]:
        begun = time.perf_counter()
        try:
            async with self._turnstile.permit() as passage:
                reply = await self._sent(call_for, progress)
        except UpstreamError as error:
            self._tell(ENDS.get(type(error)), begun)
            raise
        heard = await self._heard(reply, admit, passage)
        self._tell(heard.refusal.reason.value if heard.refusal else ANSWERED, begun)
        return heard

    def _tell(self, ended: str | None, begun: float) -> None:
        """Tell the observers of a call that began at `begun`; None is one that nobody sent."""
        if ended is not None:
            for observer in self._observers:
                observer.asked(ended, time.perf_counter() - begun)

    async def _sent(self, call_for: _CallFor, progress: Progress) -> Reply:
        """Call upstream's tool; once more if upstream was exchanged for one with other tools."""
        generation = await self._tools.generation()
        try:
            return await self._send(call_for(generation), progress)
        except UpstreamRejected as error:
            if error.code != TOOL_GONE or not await self._changed(generation):
                raise
        return await self._send(call_for(await self._tools.generation()), progress)

    async def _send(self, call: UpstreamCall, progress: Progress) -> Reply:
        return await self._upstream.call_tool(call.tool, call.arguments, progress)

    async def _changed(self, generation: ToolGeneration) -> bool:
        await self._tools.refresh()
        return await self._tools.generation() is not generation

    async def _heard(
        self, reply: Reply, admit: Callable[[str], T | Refusal], passage: CallPermit
    ) -> ParsedReply[T]:
        read = admit(screen(reply.text).clean)
        if not isinstance(read, Refusal):
            await self._turnstile.succeeded(passage)
            return ParsedReply(
                reply.text, None if reply.is_error else read, is_error=reply.is_error
            )
        if read.reason is Reason.QUOTA:
            await self._turnstile.limited(reply.text, None)
        elif read.reason is Reason.FAILED:
            await self._turnstile.failed(passage, f"it said: {_line(reply.text)}")
        else:
            ends_limit = read.reason in ANSWERS
            await self._turnstile.succeeded(
                passage if ends_limit else replace(passage, probes=None)
            )
        return ParsedReply(reply.text, refusal=read, is_error=reply.is_error)


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_SAID]
