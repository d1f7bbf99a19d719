"""What is claimed of what `peers.py` measured, and whether it holds."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.contestants import COLD, FASTMCP, INSIDE, NODE, SDK, WARM
from bench.memory import FIRST_HITS, Weight
from bench.rounds import Ratio, Times, ratio
from bench.scores import Claim

INITIALIZE = "From spawn to the reply to initialize"
ANSWER = "From spawn to the first answer (initialize, tools/list, query-docs)"
CALL = "A call with an answer of 5 to 7 kB, one at a time"
FLIGHT = "The same calls, 32 in flight"

AT_MOST = (
    (INITIALIZE, WARM, NODE, 0.15),
    (INITIALIZE, COLD, NODE, 1.6),
    (INITIALIZE, INSIDE, NODE, 1.6),
    (ANSWER, WARM, NODE, 0.2),
    (CALL, WARM, FASTMCP, 0.5),
    (CALL, WARM, NODE, 0.3),
)
"""Of which race, whose median is at most so many times another's."""

LEAST_TIMES_NODES = 2.0
MOST_MEMORY = 0.4
MOST_GROWTH = 0.05
GOAL = 1.5


@dataclass
class Results:
    """What was measured; what was left out is not in it."""

    races: dict[str, list[Times]] = field(default_factory=dict)
    windows: dict[str, list[Weight]] = field(default_factory=dict)
    worker: dict[str, list[Weight]] = field(default_factory=dict)
    hits: int = 0
    growth: dict[str, tuple[float, float]] = field(default_factory=dict)
    imports: Mapping[str, float] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def compared(self, race: str, one: str, other: str) -> Ratio | None:
        """Return how many times as long one takes as the other; None when one did not run."""
        times = {each.name: each for each in self.races.get(race, ())}
        return ratio(times[one], times[other]) if {one, other} <= times.keys() else None


def resident(weights: Sequence[Weight]) -> float:
    """Return the median of what was resident."""
    return statistics.median(each.rss for each in weights)


def told(found: Ratio) -> str:
    """Return a ratio with its spread over the rounds."""
    return f"{found.median:.2f} ({found.least:.2f} to {found.most:.2f})"


def claims(results: Results) -> Iterator[Claim]:
    """Yield the claims about what was measured."""
    for race, one, other, most in AT_MOST:
        if found := results.compared(race, one, other):
            text = f"{race}: {one}, at most {most} times {other}"
            yield Claim(text, told(found), found.median <= most)
    if found := results.compared(FLIGHT, NODE, WARM):
        text = f"{FLIGHT}: {WARM}, at least {LEAST_TIMES_NODES:g} times {NODE}'s calls a second"
        yield Claim(text, told(found), found.median >= LEAST_TIMES_NODES)
    yield from _memory_claims(results)


def _memory_claims(results: Results) -> Iterator[Claim]:
    if WARM in results.windows:
        share = resident(results.windows[WARM]) / resident(results.windows[NODE])
        text = f"Five windows: {WARM}, resident at most {MOST_MEMORY} times {NODE}'s"
        yield Claim(text, f"{share:.2f}", share <= MOST_MEMORY)
    if WARM in results.growth:
        before, after = results.growth[WARM]
        grown = after / before - 1
        counted = f"{results.hits:,} hits after the first {FIRST_HITS}"
        text = f"{counted}: the daemon grows by less than {MOST_GROWTH:.0%}"
        yield Claim(text, f"{grown:.1%}", grown < MOST_GROWTH)


def goals(results: Results) -> Iterator[str]:
    """Yield what is aimed at and not claimed."""
    if found := results.compared(CALL, WARM, SDK):
        kept = "reached" if found.median <= GOAL else "not reached"
        yield f"goal {kept}: {CALL}: {WARM}, at most {GOAL} times a trivial SDK tool: {told(found)}"
