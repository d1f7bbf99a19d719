"""A fabric beside its rivals: filled with the same items, and timed in the same rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from bench.items import Draws, Item, item
from bench.rivals import Rival
from bench.rounds import Entrant, Times, race, waiting
from context7_fabric.fabric.context import Scope
from context7_fabric.fabric.fabric import Fabric

MANY = 1_000
"""How many changes a pipeline makes."""

NEWEST = 10
SEARCHED = 10_000
"""How many contexts the searches of a round read, one of them at least."""

QUERY = "asynchronous web client"
SETS = f"{MANY:,} sets one by one"

T = TypeVar("T")


class Laps(NamedTuple):
    """How many rounds a race has, and how many calls a lap."""

    rounds: int
    calls: int


Plan = Mapping[str, Laps]


def planned(size: int, *, quick: bool) -> Plan:
    """Return how long each race is; a search by words reads all of `size` contexts."""
    full = {
        "get": Laps(15, 200),
        "query": Laps(10, 10),
        "search": Laps(3, max(1, SEARCHED // size)),
        "set": Laps(15, 100),
        "pipeline": Laps(7, 1),
        "overwrite": Laps(5, 1),
    }
    return (
        {name: Laps(min(rounds, 3), calls) for name, (rounds, calls) in full.items()}
        if quick
        else full
    )


@dataclass(frozen=True)
class Contest:
    """A fabric with its name, and what to compare it with: one raw store, called differently.

    `embeds` tells that a search makes the vectors of what is new.
    """

    name: str
    fabric: Fabric
    rivals: Sequence[Rival] = ()
    embeds: bool = False


@dataclass(frozen=True)
class Measured:
    """A backend with `size` contexts: the times of each operation, the fabric's own first."""

    backend: str
    size: int
    fill_seconds: float
    ranked_by: str
    times: Mapping[str, Sequence[Times]]


async def measured(backend: str, contest: Contest, size: int, plan: Plan) -> Measured:
    """Fill both sides with `size` items and let them race."""
    seconds = await _filled(contest, size)
    (ranked_by,) = {found.ranked_by for found in await contest.fabric.search(QUERY, limit=NEWEST)}
    races = _Races(contest, size, plan)
    times = {
        "get": await races.get(),
        "query": await races.query(),
        "search": await races.search(),
        "set": await races.set(),
        "pipeline": await races.pipeline(),
        "overwrite": await races.overwrite(),
    }
    return Measured(backend, size, seconds, ranked_by, times)


async def _filled(contest: Contest, size: int) -> float:
    """Store the first `size` items; return how many seconds the fabric took, vectors included."""
    steps = [_pipeline(contest), *([_embedding(contest)] if contest.embeds else [])]
    seconds = 0.0
    for first in range(0, size, MANY):
        items = [item(number) for number in range(first, min(first + MANY, size))]
        for step in steps:
            seconds += sum(await step.lap([items])) / 1000
        for rival in contest.rivals[:1]:
            await rival.pipeline.lap([items])
    held = await contest.fabric.count_contexts(Scope.GLOBAL)
    if held != size:
        raise RuntimeError(f"{contest.name} holds {held} contexts of {size}")
    return seconds


class _Races:
    """The races of one contest, each on arguments drawn at random."""

    def __init__(self, contest: Contest, size: int, plan: Plan) -> None:
        self._contest = contest
        self._fabric = contest.fabric
        self._draws = Draws(size)
        self._plan = plan

    async def get(self) -> list[Times]:
        ours: Entrant[Item] = waiting(
            self._contest.name, lambda item: self._fabric.get_context(item.key)
        )
        entrants = [ours, *(rival.get for rival in self._contest.rivals)]
        return await self._race("get", entrants, self._draws.items)

    async def query(self) -> list[Times]:
        ours: Entrant[int] = waiting(
            self._contest.name, lambda limit: self._fabric.query(limit=limit)
        )
        return await self._race("query", [ours], lambda calls: [NEWEST] * calls)

    async def search(self) -> list[Times]:
        ours = waiting(self._contest.name, self._fabric.search)
        return await self._race("search", [ours], self._draws.queries)

    async def set(self) -> list[Times]:
        ours: Entrant[Item] = waiting(self._contest.name, lambda item: _set(self._fabric, item))
        entrants = [ours, *(rival.set for rival in self._contest.rivals)]
        return await self._race("set", entrants, self._draws.items)

    async def pipeline(self) -> list[Times]:
        """Store new contexts, as many again one by one under keys of their own."""
        entrants = [_pipeline(self._contest), _one_by_one(self._contest)]
        entrants += [rival.pipeline for rival in self._contest.rivals]
        return await self._race(
            "pipeline", entrants, lambda calls: [self._draws.new(MANY) for _ in range(calls)]
        )

    async def overwrite(self) -> list[Times]:
        """Store contexts anew that lie anywhere among all."""
        entrants = [_pipeline(self._contest)]
        entrants += [rival.pipeline for rival in self._contest.rivals]
        return await self._race(
            "overwrite", entrants, lambda calls: [self._draws.items(MANY) for _ in range(calls)]
        )

    async def _race(
        self, operation: str, entrants: Sequence[Entrant[T]], draw: Callable[[int], Sequence[T]]
    ) -> list[Times]:
        rounds, calls = self._plan[operation]
        return await race(entrants, lambda: draw(calls), rounds)


def _pipeline(contest: Contest) -> Entrant[Sequence[Item]]:
    async def execute(items: Sequence[Item]) -> bool:
        async with contest.fabric.pipeline() as pipe:
            for each in items:
                await pipe.set_context(each.key, each.value, disposable=True)
            return await pipe.execute()

    return waiting(contest.name, execute)


def _embedding(contest: Contest) -> Entrant[Sequence[Item]]:
    async def embed(_items: Sequence[Item]) -> bool:
        return bool(await contest.fabric.search(QUERY))

    return waiting(contest.name, embed)


def _one_by_one(contest: Contest) -> Entrant[Sequence[Item]]:
    async def execute(items: Sequence[Item]) -> bool:
        own = [replace(each, key=f"one/{each.key}") for each in items]
        return all([await _set(contest.fabric, each) for each in own])

    return waiting(f"{contest.name}, {SETS}", execute)


async def _set(fabric: Fabric, item: Item) -> bool:
    return await fabric.set_context(item.key, item.value, disposable=True)
