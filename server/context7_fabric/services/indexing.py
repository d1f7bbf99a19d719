"""Resolving the seeds through upstream, at a polite pace; done before is left out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from context7_fabric.documents.libraries import parse_list
from context7_fabric.models import Answer, Caller, Outcome, tokens
from context7_fabric.registry.rows import Row
from context7_fabric.render import short_list
from context7_fabric.services.resolver import Resolver
from context7_fabric.services.subjects import LookUp
from context7_fabric.services.turnstile import Turnstile

LOOK_UPS_A_DAY = 10
"""How often the ticket expects each library to be looked up a day."""

LANGUAGES = {
    "pypi": "python",
    "npm": "javascript",
    "crates": "rust",
    "go": "golang",
    "maven": "java",
}


class Result(Enum):
    """How one library went."""

    INDEXED = "indexed"
    UNKNOWN = "unknown"
    FAILED = "failed"
    QUOTA = "quota"


@dataclass(frozen=True, slots=True)
class Step:
    """One library, how it went, and what a look-up of it will save from now on (tokens)."""

    row: Row
    result: Result
    saves: int = 0
    told: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: `due` costs a call each, `fresh` is stored already."""

    due: tuple[Row, ...]
    fresh: tuple[Row, ...]


class Indexer:
    """Walks over seeds and asks upstream for each."""

    def __init__(self, resolver: Resolver, turnstile: Turnstile, caller: Caller) -> None:
        """Ask as `caller`; stop when `turnstile` says that upstream rests."""
        self._resolver = resolver
        self._turnstile = turnstile
        self._caller = caller

    async def plan(self, rows: Sequence[Row], *, refresh: bool) -> Plan:
        """Tell which of `rows` would cost a call."""
        if refresh:
            return Plan(tuple(rows), ())
        fresh = [row for row in rows if await self._resolver.is_fresh(_look_up(row), self._caller)]
        return Plan(tuple(row for row in rows if row not in fresh), tuple(fresh))

    async def run(
        self, plan: Plan, pause: Callable[[], Awaitable[None]], *, refresh: bool
    ) -> AsyncGenerator[Step]:
        """Yield each step as it is done; the last one has `Result.QUOTA` if upstream rests."""
        for number, row in enumerate(plan.due):
            if number:
                await pause()
            answer = await self._resolver.resolve(_look_up(row), self._caller, refresh=refresh)
            step = await self._step(row, answer)
            yield step
            if step.result is Result.QUOTA:
                return

    async def _step(self, row: Row, answer: Answer) -> Step:
        if answer.outcome in (Outcome.MISS, Outcome.COALESCED, Outcome.HIT):
            return Step(row, Result.INDEXED, _saving(answer.text))
        if answer.outcome is Outcome.NEGATIVE:
            return Step(row, Result.UNKNOWN)
        rest = await self._turnstile.rest()
        if rest is not None:
            return Step(row, Result.QUOTA, told=rest.why)
        return Step(row, Result.FAILED, told=" ".join((answer.note or answer.text).split()))


def _look_up(row: Row) -> LookUp:
    language = LANGUAGES.get(row.ecosystem, "")
    return LookUp(f"{row.name} {language}".strip(), row.description)


def _saving(text: str) -> int:
    """Return the tokens that the short form of a list saves."""
    listed = parse_list(text)
    return 0 if listed is None else tokens(text) - tokens(short_list(listed, listed.libraries[:1]))
