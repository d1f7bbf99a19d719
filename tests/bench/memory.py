"""What servers keep in memory: five windows together, and one over thousands of hits."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from bench.contestants import Contestant
from bench.errands import ASKED, mixed
from bench.rpc import DOCS, LOOK_UP, Caller
from support.processes import children_of

WINDOWS = 5
SETTLE_SECONDS = 1.0
FIRST_HITS = 500
WORKER = b"context7_fabric.suggestions.worker"
WORKER_SECONDS = 60.0
PHRASE = "turns tables of numbers into printable documents"
"""What no library is called, so that an upstream that is gone makes the product suggest some."""


@dataclass(frozen=True)
class Weight:
    """MiB of some processes: what is resident, and with shared pages counted once."""

    processes: int
    rss: float
    pss: float


@dataclass(frozen=True)
class Windows:
    """Servers of one kind that are open together, and who else works for them."""

    contestant: Contestant
    callers: Sequence[Caller]

    def family(self) -> set[int]:
        """Return all their processes."""
        roots = {caller.pid for caller in self.callers}
        if self.contestant.shared:
            roots |= {*self.contestant.daemon_pids()}
        return roots.union(*map(children_of, roots))

    def workers(self) -> set[int]:
        """Return the processes with a model and an index."""
        return {pid for pid in self.family() if WORKER in Path(f"/proc/{pid}/cmdline").read_bytes()}


@contextmanager
def windows(contestant: Contestant, count: int = WINDOWS) -> Iterator[Windows]:
    """Open so many for the length of the block, past the hand-shake, with a new daemon."""
    if contestant.shared:
        contestant.stop_daemon()
    with ExitStack() as stack:
        callers = [stack.enter_context(contestant.calling()) for _ in range(count)]
        for caller in callers:
            caller.introduce()
        yield Windows(contestant, callers)


def weight(pids: Collection[int]) -> Weight:
    """Weigh processes."""
    rolls = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return Weight(len(pids), *(sum(_mib(roll, name) for roll in rolls) for name in ("Rss", "Pss")))


def _mib(roll: str, name: str) -> float:
    (kib,) = (line.split()[1] for line in roll.splitlines() if line.startswith(f"{name}:"))
    return int(kib) / 1024


def after_mixed_calls(opened: Windows) -> Weight:
    """Make 20 calls in each window, the hand-shake and tools/list among them, and weigh.

    Raises:
        RuntimeError: A worker runs, which is not part of the figure.
    """
    for number, caller in enumerate(opened.callers):
        caller.ask("tools/list")
        for tool, arguments in mixed(number):
            caller.ask("tools/call", name=tool, arguments=arguments)
    time.sleep(SETTLE_SECONDS)
    if opened.workers():
        raise RuntimeError(f"{opened.contestant.name}: a worker runs")
    return weight(opened.family())


def with_worker(opened: Windows) -> Weight:
    """Look a phrase up in each window, with upstream gone, until its worker is up; weigh.

    Raises:
        TimeoutError: None came up.
    """
    expected = 1 if opened.contestant.shared else len(opened.callers)
    deadline = time.monotonic() + WORKER_SECONDS
    while not (_suggested(opened) and len(opened.workers()) == expected):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{opened.contestant.name}: no worker")
        time.sleep(SETTLE_SECONDS)
    return weight(opened.family())


def _suggested(opened: Windows) -> bool:
    """Tell whether all windows suggest libraries by their meaning now, which takes the worker."""
    answers = [caller.call(LOOK_UP, {"libraryName": PHRASE}) for caller in opened.callers]
    return all(b"ranked by meaning" in answer for answer in answers)


def growth(contestant: Contestant, hits: int) -> tuple[float, float]:
    """Return the resident MiB of who answers hits: after the first 500, and so many later."""
    with windows(contestant, 1) as opened:
        (caller,) = opened.callers
        answering = opened.family() - ({caller.pid} if contestant.shared else set())
        _hit(contestant, caller, FIRST_HITS)
        before = weight(answering).rss
        _hit(contestant, caller, hits)
        return before, weight(answering).rss


def _hit(contestant: Contestant, caller: Caller, times: int) -> None:
    for asked in islice(cycle(ASKED), times):
        contestant.check([caller.call(DOCS, asked)])
