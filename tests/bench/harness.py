"""Harness of the benchmarks: arguments, interleaved rounds, statistics, tables, claims, exit codes.

    PYTHONPATH=tests .venv/bin/python tests/bench/NAME.py [--help] [--json] …

A benchmark is a program that ends with `sys.exit(run(__doc__, measure))`. Its `measure` takes the
options of the command line and returns a `Report`, which is printed as Markdown or as JSON.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from rich import box
from rich.console import Console
from rich.table import Table

from context7_fabric import __version__

EXIT_CODES = (
    "Exit code: 0 all claims hold, 1 a claim is broken, 2 wrong usage or a requirement is missing."
)
WIDTH = 400  # columns of the console; a table takes what its cells need
QUICK = {"action": "store_true", "help": "measure less, as a trial"}
T = TypeVar("T")
R = TypeVar("R")
Lap = Callable[[Sequence[T]], Awaitable[R]]  # a call for each argument; mostly returns their ms


def milliseconds_since(begun: float) -> float:
    """Return the ms since a reading of `time.perf_counter`."""
    return (time.perf_counter() - begun) * 1000


def percentile(times: Iterable[float], share: float) -> float:
    """Return the value that `share` of `times` do not exceed; of few values, the greatest."""
    ordered = sorted(times)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@dataclass(frozen=True)
class Times:
    """Milliseconds of calls, round by round."""

    rounds: Sequence[Sequence[float]]

    @property
    def all(self) -> list[float]:
        return [each for calls in self.rounds for each in calls]

    @property
    def p50(self) -> float:
        return statistics.median(self.all)

    @property
    def p99(self) -> float:
        """The 99th percentile of all calls; of fewer than 100 calls, the longest."""
        return percentile(self.all, 0.99)

    def cells(self, digits: int = 2) -> tuple[str, str, str]:
        """Return p50, p99 and the number of calls for a table."""
        return f"{self.p50:.{digits}f}", f"{self.p99:.{digits}f}", f"{len(self.all):,}"


@dataclass(frozen=True)
class Ratio:
    """Ratio of two entrants: the median over the rounds, the least and the greatest."""

    median: float
    least: float
    greatest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.greatest:.2f})"


def ratio(one: Times, other: Times) -> Ratio:
    """Return how many times as long `one` takes as `other`, by the medians of their rounds."""
    medians = [map(statistics.median, each.rounds) for each in (one, other)]
    ratios = [ours / theirs for ours, theirs in zip(*medians, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


async def race(
    laps: Mapping[str, Lap[T, R]], draw: Callable[[], Sequence[T]], rounds: int
) -> dict[str, list[R]]:
    """Run a lap of every entrant on the same arguments, `rounds` times, newly drawn for each.

    The order is reversed from round to round, so that a busy moment of the machine meets all
    entrants. A first round, which does not count, opens connections.
    """
    results: dict[str, list[R]] = {name: [] for name in laps}
    for number in range(rounds + 1):
        arguments = draw()
        for name in [*laps][:: 1 if number % 2 else -1]:
            result = await laps[name](arguments)
            if number:
                results[name].append(result)
    return results


async def timed_race(
    laps: Mapping[str, Lap[T, list[float]]], draw: Callable[[], Sequence[T]], rounds: int
) -> dict[str, Times]:
    """Run a race of laps that return ms."""
    return {name: Times(each) for name, each in (await race(laps, draw, rounds)).items()}


def timed(call: Callable[[T], Any], *, blocks: bool = False) -> Lap[T, list[float]]:
    """Return a lap of calls that are awaited or block; each has to return something true."""

    async def lap(arguments: Sequence[T]) -> list[float]:
        times, results = [], []
        for argument in arguments:
            begun = time.perf_counter()
            results.append(call(argument) if blocks else await call(argument))
            times.append(milliseconds_since(begun))
        if not all(results):
            raise RuntimeError("a value was not found, or a write failed")
        return times

    return lap


def memory(pid: int, name: str = "VmRSS") -> float:
    """Return the MiB of a process: now, at most (`VmHWM`), or shared pages in parts (`Pss`)."""
    file = "smaps_rollup" if name == "Pss" else "status"
    lines = Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kibibytes) / 1024


@dataclass(frozen=True)
class Claim:
    """A promise about a figure, the figure, and whether the promise is kept."""

    text: str
    seen: str
    holds: bool

    def __str__(self) -> str:
        return f"{'holds' if self.holds else 'BROKEN'}: {self.text}: {self.seen}"


@dataclass
class Report:
    """Results of a benchmark; the less a figure is, the better.

    What is `missing` could not be measured for want of a requirement.
    """

    title: str
    about: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def table(self, title: str, *columns: str, left: int = 1) -> Table:
        """Add a table; the first `left` columns are words, the others numbers."""
        table = Table(title=title, box=box.MARKDOWN)
        for at, column in enumerate(columns):
            table.add_column(column, justify="left" if at < left else "right", no_wrap=True)
        self.tables.append(table)
        return table

    def claim(self, text: str, seen: object, *, holds: bool) -> None:
        self.claims.append(Claim(text, str(seen), holds))

    def none(self, text: str, breaches: Iterable[str]) -> None:
        """Claim that there are no breaches."""
        seen = "; ".join(breaches)
        self.claim(f"no {text}", seen or "none", holds=not seen)

    def at_most(self, text: str, seen: float | Ratio, limit: float, unit: str = "") -> None:
        """Claim that a figure, or the median of a ratio, is at most `limit`."""
        value, shown = _value(seen, unit)
        self.claim(f"{text}: at most {limit:,g}{unit}", shown, holds=value <= limit)

    def at_least(self, text: str, seen: float | Ratio, limit: float, unit: str = "") -> None:
        """Claim that a figure, or the median of a ratio, is at least `limit`."""
        value, shown = _value(seen, unit)
        self.claim(f"{text}: at least {limit:,g}{unit}", shown, holds=value >= limit)

    def print(self, where: str) -> None:
        console = Console(width=WIDTH, highlight=False, markup=False, emoji=False)
        print(f"# {self.title}", "", where, *self.about, sep="\n")
        for table in self.tables:
            print("", *([f"## {table.title}", ""] if table.title else ()), sep="\n")
            table.title = None
            with console.capture() as capture:
                console.print(table)
            print(*filter(str.strip, capture.get().splitlines()), sep="\n")
        print("", *(f"- {line}" for line in (*self.remarks, *self.missing, *self.claims)), sep="\n")

    def json(self, where: str) -> str:
        tables = [
            {"title": table.title, "columns": [[c.header, *c.cells] for c in table.columns]}
            for table in self.tables
        ]
        plain = {
            "title": self.title,
            "machine": where,
            "figures": self.figures,
            "tables": tables,
            "remarks": [*self.about, *self.remarks, *self.missing],
            "claims": [asdict(claim) for claim in self.claims],
        }
        return json.dumps(plain, indent=1)


def _value(seen: float | Ratio, unit: str) -> tuple[float, str]:
    if isinstance(seen, Ratio):
        return seen.median, str(seen)
    return seen, f"{seen:,.4g}{unit}"


def run(
    doc: str | None, measure: Callable[[argparse.Namespace], Report], **options: Mapping[str, Any]
) -> int:
    """Read the command line, measure, print the report, and return the exit code.

    `options` are the program's own, as `ArgumentParser.add_argument` takes them.
    """
    about, _, more = (doc or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about,
        epilog=f"{more}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    for name, option in options.items():
        parser.add_argument(f"--{name}", **option)
    chosen, where = parser.parse_args(), machine()
    try:
        report = measure(chosen)
    except pytest.skip.Exception as reason:
        print(reason, file=sys.stderr)
        return 2
    if chosen.json:
        print(report.json(where))
    else:
        report.print(where)
    if not all(claim.holds for claim in report.claims):
        return 1
    return 2 if report.missing else 0


def machine() -> str:
    """Return a line about the machine: version, day, cores, processor, system, Python, load."""
    today, load = datetime.now(UTC).date().isoformat(), os.getloadavg()[0]
    system = f"{platform.system()} {platform.release().split('-')[0]}"
    return (
        f"context7-fabric {__version__}, {today}: {os.cpu_count()} cores ({_processor()}),"
        f" {system}, Python {platform.python_version()}, load {load:.1f} at the start"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
