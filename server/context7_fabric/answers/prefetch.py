"""Prefetch of the seeds' lists from upstream, at a polite pace, without those already stored."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote

from context7_fabric.answers.resolve import ResolveService
from context7_fabric.answers.response import short_list
from context7_fabric.answers.stored import UNKNOWN_NAMES
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Answer, Caller, Outcome, Question, tokens
from context7_fabric.parsing.keys import bounded
from context7_fabric.parsing.libraries import parse_list
from context7_fabric.privacy.principals import owned
from context7_fabric.registry.rows import Row
from context7_fabric.upstream.call_gate import CallGate

LOOK_UPS_A_DAY = 10
"""Expected look-ups of each library a day."""

LANGUAGES = {
    "pypi": "python",
    "npm": "javascript",
    "crates": "rust",
    "go": "golang",
    "maven": "java",
}


class PrefetchStatus(Enum):
    """Result of the prefetch of one library."""

    INDEXED = "indexed"
    UNKNOWN = "unknown"
    FAILED = "failed"
    QUOTA = "quota"


@dataclass(frozen=True, slots=True)
class PrefetchResult:
    """One library, its result, and the tokens that each look-up of it will save."""

    row: Row
    result: PrefetchStatus
    saves: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PrefetchPlan:
    """Plan of a prefetch: `due` costs a call each, `fresh` is stored already.

    `unknown` are those that Context7 did not know when it was asked last.
    """

    due: tuple[Row, ...]
    fresh: tuple[Row, ...] = ()
    unknown: tuple[Row, ...] = ()


class UnknownNames:
    """Libraries that one Context7 does not know, by its replies to one principal."""

    def __init__(self, fabric: Fabric, origin: str, principal: str, ttl: float) -> None:
        """Remember in `fabric` for `ttl` seconds the replies of the Context7 at `origin`."""
        self._fabric = fabric
        self._origin = origin
        self._principal = principal
        self._ttl = ttl

    async def among(self, rows: Sequence[Row]) -> list[Row]:
        """Return those of `rows` that are remembered."""
        keys = {self._key(row): row for row in rows}
        found = await self._fabric.get_many(list(keys))
        return [keys[each.key] for each in found if each.value == self._origin]

    async def remember(self, row: Row) -> None:
        """Remember that Context7 does not know `row`."""
        if self._ttl > 0:
            key = self._key(row)
            await self._fabric.set_context(key, self._origin, ttl=self._ttl, disposable=True)

    async def forget(self, row: Row) -> None:
        """Forget it: Context7 knows `row` now."""
        await self._fabric.delete_context(self._key(row))

    def _key(self, row: Row) -> str:
        key = quote(row.key, safe="/@+.", errors="surrogatepass")
        return owned(bounded(f"{UNKNOWN_NAMES}{key}"), self._principal)


class Prefetcher:
    """Asks upstream for each seed in turn."""

    def __init__(
        self, resolver: ResolveService, call_gate: CallGate, caller: Caller, unknown: UnknownNames
    ) -> None:
        """Ask as `caller`; stop when `call_gate` backs off.

        What is `unknown` is not asked again, unless it is refreshed.
        """
        self._resolver = resolver
        self._call_gate = call_gate
        self._caller = caller
        self._unknown = unknown

    async def plan(self, rows: Sequence[Row], *, refresh: bool) -> PrefetchPlan:
        """Return the plan for `rows`: those that cost a call, and the others."""
        if refresh:
            return PrefetchPlan(tuple(rows))
        fresh = [row for row in rows if await self._resolver.is_fresh(_look_up(row), self._caller)]
        known = {row.key for row in fresh}
        unknown = await self._unknown.among([row for row in rows if row.key not in known])
        done = known | {row.key for row in unknown}
        due = tuple(row for row in rows if row.key not in done)
        return PrefetchPlan(due, tuple(fresh), tuple(unknown))

    async def run(
        self, plan: PrefetchPlan, pause: Callable[[], Awaitable[None]], *, refresh: bool
    ) -> AsyncGenerator[PrefetchResult]:
        """Yield each result; the last one is `PrefetchStatus.QUOTA` if upstream backs off."""
        for number, row in enumerate(plan.due):
            if number:
                await pause()
            answer = await self._resolver.resolve(_look_up(row), self._caller, refresh=refresh)
            step = await self._step(row, answer)
            yield step
            if step.result is PrefetchStatus.QUOTA:
                return

    async def _step(self, row: Row, answer: Answer) -> PrefetchResult:
        if answer.outcome in (Outcome.MISS, Outcome.COALESCED, Outcome.HIT):
            await self._unknown.forget(row)
            return PrefetchResult(row, PrefetchStatus.INDEXED, _saving(answer.text))
        if answer.outcome is Outcome.NEGATIVE:
            await self._unknown.remember(row)
            return PrefetchResult(row, PrefetchStatus.UNKNOWN)
        rest = await self._call_gate.back_off()
        if rest is not None:
            return PrefetchResult(row, PrefetchStatus.QUOTA, reason=rest.why)
        return PrefetchResult(
            row, PrefetchStatus.FAILED, reason=" ".join((answer.note or answer.text).split())
        )


def _look_up(row: Row) -> Question:
    language = LANGUAGES.get(row.ecosystem, "")
    return Question(f"{row.name} {language}".strip(), row.description)


def _saving(text: str) -> int:
    """Return the tokens that the short form of a list saves."""
    listed = parse_list(text)
    return 0 if listed is None else tokens(text) - tokens(short_list(listed, listed.libraries[:1]))
