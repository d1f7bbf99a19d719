"""How soon a server is there: from spawn to its reply to initialize, and to an answer of use."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import anyio

from bench.contestants import FASTMCP, INSIDE, LOOP, NODE, SDK, Contestant, Field
from bench.errands import SIZES
from bench.rounds import Entrant, Times, race
from bench.rpc import DOCS, Arguments

SERVERS = (INSIDE, NODE, FASTMCP, SDK, LOOP)
"""Who is timed beside the daemon's two."""

Start = Callable[[Contestant, Arguments], float]


def to_initialize(contestant: Contestant, _asked: Arguments) -> float:
    """Return the ms from spawn to the reply to initialize."""
    begun = time.perf_counter()
    with contestant.calling() as caller:
        caller.introduce()
        return (time.perf_counter() - begun) * 1000


def to_answer(contestant: Contestant, asked: Arguments) -> float:
    """Return the ms from spawn through initialize and tools/list to a documentation answer."""
    begun = time.perf_counter()
    with contestant.calling() as caller:
        caller.introduce()
        caller.reply("tools/list")
        answer = caller.call(DOCS, asked)
        took = (time.perf_counter() - begun) * 1000
    contestant.check([answer], SIZES)
    return took


def starts(
    field: Field, names: Sequence[str], start: Start, asked: Sequence[Arguments], rounds: int
) -> list[Times]:
    """Let those of the names start again and again, each once a round for each that is asked."""
    entrants = [_entrant(each, start) for each in field.those(names)]
    return anyio.run(race, entrants, lambda: asked, rounds)


def _entrant(contestant: Contestant, start: Start) -> Entrant[Arguments]:
    async def lap(asked: Sequence[Arguments]) -> list[float]:
        return [_timed(contestant, start, each) for each in asked]

    return Entrant(contestant.name, lap)


def _timed(contestant: Contestant, start: Start, asked: Arguments) -> float:
    if contestant.cold:
        contestant.stop_daemon()
    return start(contestant, asked)
