"""Answers while Context7 is in trouble: their outcome and time, and whether the store stays clean.

The product runs as users start it, over stdio, in front of the real @upstash/context7-mcp 4.1.1,
which asks a stand-in of its HTTP API on this machine. Each trouble (429, hanging, killed, …) meets
each state of the store (fresh, stale, expired, nothing) with both tools: outcome, words, time, and
how many calls reached the API. Afterwards every entry of every store is compared with the truth.
Then upstream goes away in many ways and returns, and the time to the first right answer is taken.

The product backs off from an upstream that failed, so each step begins with an upstream that was
well a moment ago: a step has processes of its own, or the trouble is put right before it.

Needs node and npm. Takes about five minutes, with --quick (few troubles, no returns) one.
"""

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import outage_store as outages
from bench.harness import QUICK, Report, run
from bench.mcp_client import Client, started
from bench.outage_recoveries import Recovery, recoveries
from bench.outage_store import STATES, TOOLS, Stored, Tool, Trouble
from support.context7_api import Api, running_api
from support.mortal import KINDS, Mortal, mortal_upstream
from support.product import DAEMON, PROGRAM, product_environment
from support.upstreams import NEWEST, context7_command

RECOVERIES = "recoveries"
FEW = ("500", "closed", "killed")
SOON = 0.05
MOST_TIMES = 4  # with a fifth failure in a row the product would stop asking
TIMEOUT, PATIENCE = 1.2, 0.3
EVERYTHING = [*(each.name for each in outages.troubles(TIMEOUT)), RECOVERIES]
VARIABLES = {
    "CONTEXT7_FABRIC_UPSTREAM_TIMEOUT": f"{TIMEOUT:g}s",
    "CONTEXT7_FABRIC_PATIENCE": f"{PATIENCE:g}s",
}
WELL_SECONDS = 20.0
QUIET_SECONDS = 0.1  # time in which a fresh answer could still cause a call upstream
TITLES: Mapping[Tool, str] = {"docs": "Documentation questions", "look-up": "Look-ups"}


@dataclass(frozen=True)
class Step:
    """One cell of the table: a state of the store, asked for with one of the tools."""

    stored: Stored
    tool: Tool


def _steps(*states: Stored) -> tuple[Step, ...]:
    return tuple(Step(stored, tool) for stored in states for tool in TOOLS)


TOGETHER = (_steps("fresh", "stale", "expired"), _steps("nothing"))
"""Steps that share a server and a home where trouble can be put right; where nothing is stored,
nothing may be: other answers about a library would help out.
"""
APART = (_steps("fresh", "stale"), *((step,) for step in _steps("expired", "nothing")))
"""The same where it cannot: only steps that never wait for upstream go together."""


@dataclass(frozen=True)
class Seen:
    """Result of one call, its seconds, and whether its text is what upstream would say."""

    outcome: str
    tier: str
    text: str
    note: str
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
        return statistics.median(each.seconds for each in self.seen)

    @property
    def outcomes(self) -> str:
        """The outcomes of the calls without repetitions."""
        return " → ".join(outcome for outcome, _calls in groupby(c.outcome for c in self.seen))

    def __str__(self) -> str:
        longest = max(each.seconds for each in self.seen)
        return f"{self.outcomes}  {self.median * 1000:.0f} / {longest * 1000:.0f}  ({self.calls})"


RULES: Mapping[str, Callable[[Cell], bool]] = {
    "fresh answer that is not a hit, or asks upstream": (
        lambda cell: cell.step.stored != "fresh" or (not cell.calls and cell.outcomes == "hit")
    ),
    f"stale answer after more than {SOON * 1000:g} ms": (
        lambda cell: (
            cell.step.stored != "stale" or (cell.median < SOON and cell.outcomes == "stale")
        )
    ),
    "untrue answer from the store": (
        lambda cell: all(c.true for c in cell.seen if c.outcome in ("hit", "stale"))
    ),
}


Ending = tuple[list[Cell], outages.StoreCheck]  # cells of one server, and the check of its store


@dataclass(frozen=True)
class Plan:
    """Kind of upstream, calls a cell, and true answers."""

    kind: str
    times: int
    truths: outages.Truths


@dataclass
class Case:
    """The stand-in, the real server in front of it, and the product in front of that."""

    trouble: Trouble
    steps: tuple[Step, ...]
    plan: Plan
    api: Api
    upstream: Mortal
    home: Path
    server: Client
    seen: dict[Step, tuple[Seen, ...]] = field(default_factory=dict)
    contacts: dict[Step, int] = field(default_factory=dict)

    def run(self) -> None:
        self.api.clear()
        self.trouble.begin(self.api, self.upstream)
        before = self.upstream.contacts
        for number, step in enumerate(self.steps):
            if step.stored != "fresh":
                self._end_trouble_meanwhile(number)
            questions = outages.asked(step.stored, step.tool, self.plan.times)
            self.seen[step] = tuple(self._ask(each) for each in questions)
            if step.stored == "fresh":
                time.sleep(QUIET_SECONDS)
                self.contacts[step] = self.upstream.contacts - before

    def wait_until_well(self, number: int, request: int) -> None:
        """Wait until upstream answers: it has to start, or its circuit breaker to close."""
        deadline, result = time.monotonic() + WELL_SECONDS, self.server.result(request)
        while _meta(result)["outcome"] != "miss" and time.monotonic() < deadline:
            time.sleep(QUIET_SECONDS)
            result = self.server.result(outages.WARMING[number].start(self.server))
        assert _meta(result)["outcome"] == "miss", result

    def cell(self, step: Step) -> Cell:
        """Put results and calls together, those behind the answers included."""
        wanted = outages.asked(step.stored, step.tool, self.plan.times)
        sent = [
            request for request in self.api.requests if any(each.asks(request) for each in wanted)
        ]
        calls = len(sent) + self.contacts.get(step, 0)
        return Cell(self.trouble.name, step, self.seen[step], calls)

    def _end_trouble_meanwhile(self, number: int) -> None:
        """Show the product before step `number` that upstream is well: it forgets its failures."""
        if self.trouble.end is not None and number > 0:
            time.sleep(self.trouble.settle)
            self.trouble.end(self.api, self.upstream)
            self.wait_until_well(number, outages.WARMING[number].start(self.server))
            self.trouble.begin(self.api, self.upstream)

    def _ask(self, each: outages.Asked) -> Seen:
        begun = time.perf_counter()
        result = self.server.result(each.start(self.server))
        seconds = time.perf_counter() - begun
        time.sleep(self.trouble.pause)
        text, *notes = (block["text"] for block in result["content"])
        meta, true = _meta(result), outages.is_true(text, each, self.plan.truths)
        return Seen(meta["outcome"], meta["tier"], text, "".join(notes[:1]), seconds, true)


def _meta(result: Mapping[str, Any]) -> dict[str, Any]:
    meta: dict[str, Any] = result["_meta"][outages.META_KEY]
    return meta


def measure(options: argparse.Namespace) -> Report:
    """Measure the troubles that are chosen, then the returns."""
    context7_command()
    times = 2 if options.quick else options.times
    only = options.only or (FEW if options.quick else EVERYTHING)
    report = Report("Answers while Context7 is in trouble", _about(options.upstream, times))
    endings = _endings(options.upstream, times, only)
    if endings:
        _add_cells(report, [cell for cells, _store in endings for cell in cells])
        _add_stores(report, endings)
        _add_claims(report, endings)
    if RECOVERIES in only:
        with TemporaryDirectory(prefix="outage-") as name:
            _add_recoveries(report, recoveries(Path(name), options.daemon))
    return report


def _about(kind: str, times: int) -> list[str]:
    upstream = (
        f"In front of @upstash/context7-mcp {NEWEST} ({kind}); each cell asks {times} different"
        " questions or names, one after the other."
    )
    waits = (
        f"Set short for this run: upstream time-out {TIMEOUT:g} s (55 s by default), patience with"
        f" an expired copy at hand {PATIENCE:g} s (4 s by default)."
        f" Slow means {outages.SLOW_SECONDS:g} s."
    )
    return [upstream, waits]


def _endings(kind: str, times: int, only: Sequence[str]) -> list[Ending]:
    with TemporaryDirectory(prefix="outage-") as name:
        folder = Path(name)
        with running_api(outages.catalogue(times)) as api:
            plan = Plan(kind, times, outages.find_truths(api, folder / "truths", times))
        return [
            ending
            for number, trouble in enumerate(outages.troubles(TIMEOUT))
            if trouble.name in only
            for ending in _measured(trouble, plan, folder / str(number))
        ]


def _measured(trouble: Trouble, plan: Plan, folder: Path) -> list[Ending]:
    """Measure all cases of a trouble: start them together, then ask one after the other.

    Cases that mostly wait do so together.
    """
    with ExitStack() as stack:
        cases = [
            _case(stack, trouble, steps, plan, folder / str(number))
            for number, steps in enumerate(TOGETHER if trouble.end else APART)
        ]
        for case in cases:
            case.server.initialize()
        well = cases if trouble.nameless is None else []
        for case, request in [(case, outages.WARMING[0].start(case.server)) for case in well]:
            case.wait_until_well(0, request)
        cases[0].run()
        with ThreadPoolExecutor(len(cases) if trouble.waits else 1) as together:
            list(together.map(Case.run, cases[1:]))
        time.sleep(trouble.settle)
        cells = [[case.cell(step) for step in case.steps] for case in cases]
    checks = [outages.check_store(case.home, plan.truths) for case in cases]
    return [*zip(cells, checks, strict=True)]


def _case(
    stack: ExitStack, trouble: Trouble, steps: tuple[Step, ...], plan: Plan, folder: Path
) -> Case:
    """Start a case, which ends with `stack`."""
    folder.mkdir(parents=True)
    api = stack.enter_context(running_api(outages.catalogue(plan.times)))
    if trouble.nameless == "api":
        api.url = f"{outages.NOWHERE}/api"
    upstream = stack.enter_context(mortal_upstream(plan.kind, api, folder))
    lost = {"CONTEXT7_FABRIC_UPSTREAM": f"{outages.NOWHERE}/mcp"}
    where = lost if trouble.nameless == "upstream" else upstream.variables
    environment = product_environment(folder / "home", {**VARIABLES, **where})
    outages.store_truths(environment, plan.truths, {step.stored for step in steps}, plan.times)
    server = stack.enter_context(started([PROGRAM], environment))
    return Case(trouble, steps, plan, api, upstream, folder / "home", server)


def _add_cells(report: Report, cells: Sequence[Cell]) -> None:
    """Add the outcomes and times, then the words of what is neither fresh nor stale."""
    found = {(cell.trouble, cell.step): cell for cell in cells}
    heads = ["nothing stored" if each == "nothing" else f"stored, {each}" for each in STATES]
    for tool, name in TITLES.items():
        title = f"{name}: outcome, median and longest ms, calls upstream"
        table = report.table(title, "upstream", *heads, left=5)
        for trouble in dict.fromkeys(cell.trouble for cell in cells):
            steps = (Step(stored, tool) for stored in STATES)
            table.add_row(trouble, *(str(found[trouble, step]) for step in steps))
    title = "Words of the first call (fresh and stale copies come as they are, without a remark)"
    heads = ["stored", "tool", "tier", "first words", "second block"]
    table = report.table(title, "upstream", *heads, left=6)
    for cell in cells:
        first = cell.seen[0]
        if cell.step.stored in ("expired", "nothing") or first.note:
            words = "(the true answer)" if first.true else _cut(first.text, 54, 0)
            where = (cell.trouble, cell.step.stored, cell.step.tool, first.tier)
            table.add_row(*where, words, _cut(first.note, 30, 44))
    for step in _steps(*STATES):
        medians = [cell.median * 1000 for cell in cells if cell.step == step]
        report.figures[f"{step.stored}, {step.tool}, ms"] = statistics.median(medians)


def _cut(text: str, head: int, tail: int) -> str:
    """Return a text as one line that shows its head and its tail."""
    line = "".join(sign if sign.isprintable() else "·" for sign in " ".join(text.split()))
    line = line.replace("|", "¦")
    if len(line) <= head + tail + 1:
        return line
    return f"{line[:head]}…{line[len(line) - tail :]}"


def _add_stores(report: Report, endings: Sequence[Ending]) -> None:
    answers, wrong, others = zip(*(store for _cells, store in endings), strict=True)
    total = sorted(sum(others, Counter[str]()).items())
    rest = ", ".join(f"{count} {kind}" for kind, count in total)
    report.remarks.append(
        f"In {len(endings)} stores afterwards: {sum(answers)} answers,"
        f" {sum(map(len, wrong))} of them wrong. Other entries: {rest}."
    )


def _add_claims(report: Report, endings: Sequence[Ending]) -> None:
    cells = [cell for of_one, _store in endings for cell in of_one]
    for text, holds in RULES.items():
        breaches = [cell for cell in cells if not holds(cell)]
        report.none(text, (f"{c.trouble}, {c.step.stored}, {c.step.tool}: {c}" for c in breaches))
    wrong = (f"{of[0].trouble}: {each}" for of, (_, all_wrong, _) in endings for each in all_wrong)
    report.none("wrong answer in a store", wrong)


def _add_recoveries(report: Report, found: Sequence[Recovery]) -> None:
    title = "Upstream goes away and returns: a client asks ten times a second"
    heads = ("outcome", "after ms", "calls out", "right after it is back", "allowed")
    table = report.table(title, "upstream", *heads, "text of the first call", left=7)
    for each in found:
        back = "never" if each.back_after is None else f"{each.back_after:.2f} s"
        times = f"{each.seconds * 1000:.0f}", str(each.calls), back, f"{each.allowed:g} s"
        table.add_row(each.name, each.outcome, *times, _cut(each.text, 88, 0))
    late = (f"{each.name}: {each.back_after} s" for each in found if not each.kept)
    report.none("right answer later than is allowed", late)


OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "upstream": {"choices": KINDS, "default": "command", "help": "kind of upstream"},
    "times": {"type": int, "choices": range(1, MOST_TIMES + 1), "default": MOST_TIMES},
    "daemon": {"choices": ("off", "auto"), "default": DAEMON},
    "only": {"choices": EVERYTHING, "nargs": "+", "metavar": "TROUBLE"},
}

if __name__ == "__main__":
    sys.exit(run(__doc__, measure, quick=QUICK, **OPTIONS))
