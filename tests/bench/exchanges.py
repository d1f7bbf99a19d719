"""What a call takes: one at a time, and with many in flight."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice

import anyio

from bench.backend import Backend
from bench.contestants import Contestant, Field
from bench.errands import ASKED
from bench.rounds import Entrant, Times, race
from bench.rpc import DOCS, Arguments, Caller

IN_FLIGHT = 32

Lap = Callable[[Caller, Sequence[Arguments]], tuple[list[float], list[bytes]]]
"""Makes the calls; returns their ms and the answers."""


def one_by_one(caller: Caller, asked: Sequence[Arguments]) -> tuple[list[float], list[bytes]]:
    """Make each call when the one before it is answered."""
    times, answers = [], []
    for each in asked:
        begun = time.perf_counter()
        answers.append(caller.call(DOCS, each))
        times.append((time.perf_counter() - begun) * 1000)
    return times, answers


def at_once(caller: Caller, asked: Sequence[Arguments]) -> tuple[list[float], list[bytes]]:
    """Keep 32 calls in flight; the time is one, that of all by their number."""
    begun = time.perf_counter()
    answers = caller.flood(DOCS, asked, IN_FLIGHT)
    return [(time.perf_counter() - begun) * 1000 / len(asked)], answers


def exchanges(
    field: Field, names: Sequence[str], laps: Sequence[tuple[Lap, int]], rounds: int
) -> list[list[Times]]:
    """Run a race for each kind of lap, with so many calls in one, among servers that stay."""
    with _running(field, names) as running:
        return [
            anyio.run(
                race,
                [_entrant(who, caller, lap, field.backend) for who, caller in running],
                lambda calls=calls: [*islice(cycle(ASKED), calls)],
                rounds,
            )
            for lap, calls in laps
        ]


@contextmanager
def _running(field: Field, names: Sequence[str]) -> Iterator[list[tuple[Contestant, Caller]]]:
    """Start them, past the hand-shake, and let each answer all that will be asked."""
    with ExitStack() as stack:
        running = [(each, stack.enter_context(each.calling())) for each in field.those(names)]
        for contestant, caller in running:
            caller.introduce()
            contestant.check([caller.call(DOCS, each) for each in ASKED])
        yield running


def _entrant(
    contestant: Contestant, caller: Caller, lap: Lap, backend: Backend
) -> Entrant[Arguments]:
    async def checked(asked: Sequence[Arguments]) -> list[float]:
        before = backend.calls
        times, answers = lap(caller, asked)
        contestant.check(answers)
        _check_asked(contestant, backend.calls - before, len(asked))
        return times

    return Entrant(contestant.name, checked)


def _check_asked(contestant: Contestant, reached: int, calls: int) -> None:
    """Hold what is called cached to it, and what is not as well."""
    if reached != (calls if contestant.asks else 0):
        raise RuntimeError(f"{contestant.name}: {reached} of {calls} calls reached the API")
