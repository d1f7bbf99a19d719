"""Timing by rounds: entrants take turns, so that a busy moment of the machine meets all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Entrant(Generic[T]):
    """Who takes part; `lap` makes a call for each of some arguments and returns their ms."""

    name: str
    lap: Callable[[Sequence[T]], Awaitable[list[float]]]


@dataclass(frozen=True)
class Times:
    """How long an entrant's calls took, in ms, round by round."""

    name: str
    rounds: tuple[tuple[float, ...], ...]

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return sum(map(len, self.rounds))

    @property
    def p50(self) -> float:
        """The median of all calls."""
        return self._percentile(0.5)

    @property
    def p99(self) -> float:
        """What 99 of 100 calls took at most; of fewer than 100 calls, the longest."""
        return self._percentile(0.99)

    def _percentile(self, share: float) -> float:
        times = sorted(each for rounds in self.rounds for each in rounds)
        return times[min(int(len(times) * share), len(times) - 1)]


@dataclass(frozen=True)
class Ratio:
    """How many times as long one takes as another: the median round's, the least, the most."""

    median: float
    least: float
    most: float


def ratio(one: Times, other: Times) -> Ratio:
    """Compare two entrants of one race by the medians of their rounds."""
    medians = [list(map(statistics.median, each.rounds)) for each in (one, other)]
    ratios = [ours / theirs for ours, theirs in zip(*medians, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


async def race(
    entrants: Sequence[Entrant[T]], draw: Callable[[], Sequence[T]], rounds: int
) -> list[Times]:
    """Let all entrants run a lap on the same arguments, `rounds` times, newly drawn for each.

    Who began a round ends the next. A first round, which does not count, opens connections.
    """
    laps: dict[str, list[tuple[float, ...]]] = {each.name: [] for each in entrants}
    for number in range(rounds + 1):
        arguments = draw()
        for entrant in entrants[:: 1 if number % 2 else -1]:
            times = tuple(await entrant.lap(arguments))
            if number:
                laps[entrant.name].append(times)
    return [Times(name, tuple(times)) for name, times in laps.items()]


def waiting(name: str, call: Callable[[T], Awaitable[object]]) -> Entrant[T]:
    """Return an entrant whose calls are awaited; each has to return something that counts."""

    async def lap(arguments: Sequence[T]) -> list[float]:
        times, returned = [], []
        for argument in arguments:
            begun = time.perf_counter()
            returned.append(await call(argument))
            times.append((time.perf_counter() - begun) * 1000)
        _check(name, returned)
        return times

    return Entrant(name, lap)


def plain(name: str, call: Callable[[T], object]) -> Entrant[T]:
    """Return an entrant whose calls block; each has to return something that counts."""

    async def lap(arguments: Sequence[T]) -> list[float]:
        times, returned = [], []
        for argument in arguments:
            begun = time.perf_counter()
            returned.append(call(argument))
            times.append((time.perf_counter() - begun) * 1000)
        _check(name, returned)
        return times

    return Entrant(name, lap)


def _check(name: str, returned: Sequence[object]) -> None:
    """Refuse to time what was not done: a value that was not found, a write that failed."""
    if not all(returned):
        raise RuntimeError(f"{name}: {returned.count(None)} calls found nothing, or some failed")
