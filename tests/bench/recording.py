"""What recording costs a hit: two servers that differ in nothing else take turns."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from bench.pipes import Pipes, product
from bench.rounds import Entrant, Ratio, Times, race, ratio
from context7_fabric.models import QUERY_DOCS
from context7_fabric.runtime.runtime import open_app
from support.app_server import call, connected, provenance
from support.product import product_environment
from support.scripted import ScriptedUpstream, settings_for

LIBRARY = "/widgets/widget1"
QUESTIONS = [f"How do I turn widget number {number}?" for number in range(50)]
OFF = "CONTEXT7_FABRIC_EXECUTIONS_KEEP"
SETTLE_SECONDS = 1.0
"""After this long the records of a lap are written, and the next lap has the machine to itself."""


@dataclass(frozen=True)
class Pace:
    """How often a client calls: after each answer it waits for `pause` seconds."""

    name: str
    pause: float
    calls: int
    rounds: int


@dataclass(frozen=True)
class Cost:
    """Hits of a server that records and of one that does not, round by round."""

    pace: Pace
    on: Times
    off: Times

    @property
    def p50(self) -> Ratio:
        """How many times as long a hit takes with recording, by the medians of the rounds."""
        return ratio(self.on, self.off)

    @property
    def slower_p99(self) -> float:
        """Milliseconds by which the median round's p99 is longer with recording."""
        return statistics.median(p99s(self.on)) - statistics.median(p99s(self.off))

    @property
    def spread(self) -> float:
        """Milliseconds between the least and the most p99 of the rounds without recording."""
        return max(p99s(self.off)) - min(p99s(self.off))


def p99s(times: Times) -> list[float]:
    """Return the p99 of each round."""
    return [Times(times.name, (each,)).p99 for each in times.rounds]


async def filled(home: Path) -> None:
    """Let `home` hold an answer to each of the questions."""
    settings = settings_for(home, MODEL="off", EXECUTIONS_KEEP="0s")
    upstream = ScriptedUpstream()
    async with (
        open_app(settings, connect=lambda _tasks: upstream) as app,
        connected(app) as client,
    ):
        for question in QUESTIONS:
            answer = await call(client, QUERY_DOCS, libraryId=LIBRARY, query=question)
            assert provenance(answer)["outcome"] == "miss", answer


@contextmanager
def serving(home: Path, **variables: str) -> Iterator[Pipes]:
    """Run the product on `home` without an upstream, for the length of the block."""
    named = {f"CONTEXT7_FABRIC_{name}": value for name, value in variables.items()}
    with product(product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": "off", **named})) as pipes:
        yield pipes


def cost(filled_home: Path, folder: Path, pace: Pace) -> Cost:
    """Measure hits with recording and without, on copies of a home."""
    homes = [shutil.copytree(filled_home, folder / f"{pace.name} {each}") for each in ("on", "off")]
    with serving(homes[0]) as on, serving(homes[1], EXECUTIONS_KEEP="0s") as off:
        entrants = [_entrant("recording on", on, pace), _entrant("recording off", off, pace)]
        questions = (QUESTIONS * (pace.calls // len(QUESTIONS) + 1))[: pace.calls]
        times = anyio.run(race, entrants, lambda: questions, pace.rounds)
    return Cost(pace, *times)


def _entrant(name: str, server: Pipes, pace: Pace) -> Entrant[str]:
    async def lap(questions: Sequence[str]) -> list[float]:
        times, replies = [], []
        for question in questions:
            await anyio.sleep(pace.pause)
            asked = {"libraryId": LIBRARY, "query": question}
            begun = time.perf_counter()
            replies.append(server.reply("tools/call", name=QUERY_DOCS, arguments=asked))
            times.append((time.perf_counter() - begun) * 1000)
        if not all(b'"outcome":"hit"' in reply.replace(b" ", b"") for reply in replies):
            raise RuntimeError(f"{name}: not every call was a hit: {replies[0]!r}")
        await anyio.sleep(SETTLE_SECONDS)
        return times

    return Entrant(name, lap)
