"""The servers of `outage.py`: started in good health, then troubled, then asked and timed.

The product keeps away from an upstream that failed it, so each step begins with an upstream that
was well a moment ago: a step has processes of its own, or the trouble is put right before it.
"""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.stock import (
    TOOLS,
    WARMING,
    Asked,
    Shelf,
    Stored,
    Tool,
    Truths,
    asked,
    catalogue,
    is_true,
    stock,
    walk,
)
from bench.troubles import NOWHERE, Trouble
from support.client import META_KEY, Dialogue, outcome_of, texts_of
from support.context7_api import Api, running_api
from support.mortal import Mortal, mortal_upstream
from support.processes import spawn
from support.product import PROGRAM, product_environment

WELL_SECONDS = 20.0
QUIET_SECONDS = 0.1
"""How long to listen whether a fresh answer sends anybody to an upstream that is gone."""


@dataclass(frozen=True)
class Plan:
    """How it is measured: which way upstream is reached, and the product's waits in seconds."""

    kind: str
    times: int
    timeout: float
    patience: float

    @property
    def variables(self) -> Mapping[str, str]:
        """The product's settings."""
        return {
            "CONTEXT7_FABRIC_UPSTREAM_TIMEOUT": f"{self.timeout:g}s",
            "CONTEXT7_FABRIC_PATIENCE": f"{self.patience:g}s",
        }


@dataclass(frozen=True)
class Step:
    """One cell of the table: asking what is stored so, with one of the tools."""

    stored: Stored
    tool: Tool


def _steps(*states: Stored) -> tuple[Step, ...]:
    return tuple(Step(stored, tool) for stored in states for tool in TOOLS)


TOGETHER = (_steps("fresh", "stale", "expired"), _steps("nothing"))
"""Steps that share a server and a home where trouble can be put right; where nothing is stored,
nothing may be: other answers about a library would help out.
"""
APART = (_steps("fresh", "stale"), *((step,) for step in _steps("expired", "nothing")))
"""The same where it cannot: only what never waits for upstream goes together."""


@dataclass(frozen=True)
class Seen:
    """What a client got from one call, and after how many seconds; `true` as upstream would say."""

    outcome: str
    tier: str
    text: str
    note: str | None
    seconds: float
    true: bool


@dataclass(frozen=True)
class Cell:
    """All calls of one step, and how many of them reached upstream's API or looked for it."""

    trouble: str
    step: Step
    seen: tuple[Seen, ...]
    calls: int

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return statistics.median(each.seconds for each in self.seen)

    @property
    def longest(self) -> float:
        """The longest of the seconds."""
        return max(each.seconds for each in self.seen)


@dataclass(frozen=True)
class Ending:
    """Cells of one server, and what its store held when it had ended."""

    cells: tuple[Cell, ...]
    shelf: Shelf


@dataclass
class Rig:
    """One case: the stand-in, the real server before it, and the product before that."""

    trouble: Trouble
    steps: tuple[Step, ...]
    api: Api
    upstream: Mortal
    home: Path
    server: Dialogue
    seen: dict[Step, tuple[Seen, ...]] = field(default_factory=dict)
    contacts: dict[Step, int] = field(default_factory=dict)


def measure(trouble: Trouble, plan: Plan, truths: Truths, folder: Path) -> list[Ending]:
    """Measure all cases of a trouble: start them together, then ask one after the other.

    Cases that mostly wait do so together.
    """
    with ExitStack() as stack:
        rigs = [
            stack.enter_context(_rig(trouble, steps, plan, truths, folder / str(number)))
            for number, steps in enumerate(TOGETHER if trouble.end else APART)
        ]
        _warm(rigs)
        _run(rigs[0], plan, truths)
        with ThreadPoolExecutor(len(rigs) if trouble.waits else 1) as together:
            list(together.map(lambda rig: _run(rig, plan, truths), rigs[1:]))
        time.sleep(trouble.settle)
        cells = [tuple(_cell(rig, step, plan) for step in rig.steps) for rig in rigs]
    homes = [rig.home for rig in rigs]
    return [Ending(each, walk(home, truths)) for each, home in zip(cells, homes, strict=True)]


@contextmanager
def _rig(
    trouble: Trouble, steps: tuple[Step, ...], plan: Plan, truths: Truths, folder: Path
) -> Iterator[Rig]:
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        api = stack.enter_context(running_api(catalogue(plan.times)))
        if trouble.nameless == "api":
            api.url = f"{NOWHERE}/api"
        upstream = stack.enter_context(mortal_upstream(plan.kind, api, folder))
        lost = {"CONTEXT7_FABRIC_UPSTREAM": f"{NOWHERE}/mcp"}
        where = lost if trouble.nameless == "upstream" else upstream.variables
        environment = product_environment(folder / "home", {**plan.variables, **where})
        stock(environment, truths, {step.stored for step in steps}, plan.times)
        server = Dialogue(stack.enter_context(spawn([PROGRAM], environment)))
        yield Rig(trouble, steps, api, upstream, folder / "home", server)


def _warm(rigs: Sequence[Rig]) -> None:
    """Shake hands with all, and let each ask upstream once while that is well."""
    for rig in rigs:
        rig.server.introduce()
    well = [rig.server for rig in rigs if rig.trouble.nameless is None]
    for server, number in [(server, WARMING[0].start(server)) for server in well]:
        _see_well(server, 0, server.reply(number))


def _see_well(server: Dialogue, number: int, told: dict[str, Any]) -> None:
    """See that upstream answers; it may have to start first, or its circuit breaker to close."""
    deadline = time.monotonic() + WELL_SECONDS
    while outcome_of(told) != "miss" and time.monotonic() < deadline:
        time.sleep(QUIET_SECONDS)
        told = server.reply(WARMING[number].start(server))
    assert outcome_of(told) == "miss", told


def _run(rig: Rig, plan: Plan, truths: Truths) -> None:
    rig.api.clear()
    rig.trouble.begin(rig.api, rig.upstream)
    before = rig.upstream.contacts
    for number, step in enumerate(rig.steps):
        if step.stored != "fresh":
            _put_right_meanwhile(rig, number)
        rig.seen[step] = tuple(
            _ask(each, rig, truths) for each in asked(step.stored, step.tool, plan.times)
        )
        if step.stored == "fresh":
            time.sleep(QUIET_SECONDS)
            rig.contacts[step] = rig.upstream.contacts - before


def _put_right_meanwhile(rig: Rig, number: int) -> None:
    """Let the product see before step `number` that upstream is well: it forgets its failures."""
    if rig.trouble.end is not None and number > 0:
        time.sleep(rig.trouble.settle)
        rig.trouble.end(rig.api, rig.upstream)
        told = rig.server.reply(WARMING[number].start(rig.server))
        _see_well(rig.server, number, told)
        rig.trouble.begin(rig.api, rig.upstream)


def _ask(each: Asked, rig: Rig, truths: Truths) -> Seen:
    start = time.perf_counter()
    result = rig.server.reply(each.start(rig.server))
    seconds = time.perf_counter() - start
    time.sleep(rig.trouble.pause)
    text, *notes = texts_of(result)
    told = result["_meta"][META_KEY]
    return Seen(
        outcome=told["outcome"],
        tier=told["tier"],
        text=text,
        note=notes[0] if notes else None,
        seconds=seconds,
        true=is_true(text, each, truths),
    )


def _cell(rig: Rig, step: Step, plan: Plan) -> Cell:
    """Put together what was seen and what went out for it, behind the answers too."""
    wanted = asked(step.stored, step.tool, plan.times)
    sent = [request for request in rig.api.requests if any(each.asks(request) for each in wanted)]
    return Cell(rig.trouble.name, step, rig.seen[step], len(sent) + rig.contacts.get(step, 0))
