"""Comparison of two checkouts in interleaved rounds of one benchmark, all of it this checkout's.

    PYTHONPATH=tests .venv/bin/python tests/bench/compare.py --old DIR --new DIR
        --bench peers|http_calls|fabric|registry_load|outage [--rounds N] [--json]

DIR is a checkout with its own `.venv`. Old and new take turns; a first round does not count. Of the
benchmarks, `fabric` runs in the Python of either checkout and uses public names alone. The others
start the product: they run in this Python, beside the command of either checkout, so that modules
may have moved.

A figure is a cost; its ratio is old to new, the median of the rounds' own ratios: below 1, the new
one is slower. The interval is of order statistics and covers the median with a probability of at
least 95 %, from six rounds on. A figure passes with a ratio of at least 0.95, or where 1 lies in
the interval.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from math import comb
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from bench.harness import Report, race, run
from support.upstreams import clean_environment

HERE = Path(__file__).parent
ROUNDS = {"type": int, "default": 7, "metavar": "N"}
CHECKOUT = {"type": Path, "required": True, "metavar": "DIR"}
TRIES = 3
LEAST_RATIO = 0.95
CONFIDENCE = 0.95
OPTIONS: Mapping[str, Sequence[str]] = {
    "peers": ("--quick", "--ours", "--only", "starts", "--only", "calls"),
    "http_calls": ("--quick", "--ours"),
    "fabric": ("--quick", "--backend", "memory", "--backend", "disk", "--backend", "redis"),
    "registry_load": ("--product", "--rows", "1000", "--rows", "10000"),
    "outage": ("--quick",),
}
"""Options of each benchmark, so that a round takes well under a minute."""

BENCH = {"choices": OPTIONS, "required": True}
IN_PROCESS = ("fabric",)
Figures = Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """Ratios of a figure, old to new, round by round."""

    ratios: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)

    @property
    def interval(self) -> tuple[float, float]:
        """The narrowest interval of order statistics with the confidence, else least and most."""
        count, ordered = len(self.ratios), sorted(self.ratios)
        tails = accumulate(comb(count, each) / 2**count for each in range(count // 2 + 1))
        cut = max((k for k, tail in enumerate(tails) if tail <= (1 - CONFIDENCE) / 2), default=0)
        return ordered[cut], ordered[-1 - cut]

    @property
    def passes(self) -> bool:
        """The verdict: true unless these rounds show that the new one is slower."""
        low, high = self.interval
        return self.median >= LEAST_RATIO or low <= 1 <= high


def measure(options: argparse.Namespace) -> Report:
    with TemporaryDirectory(prefix="compare-") as name:
        folder = Path(name)
        pythons = {"old": options.old / ".venv/bin/python", "new": options.new / ".venv/bin/python"}
        if options.bench not in IN_PROCESS:
            pythons = {
                each: _python_beside(python.with_name("context7-fabric"), folder / each)
                for each, python in pythons.items()
            }
        laps = {
            each: partial(_lap, each, python, options.bench) for each, python in pythons.items()
        }
        rounds = anyio.run(race, laps, list, options.rounds)
    return _report(options.bench, rounds["old"], rounds["new"])


def _python_beside(command: Path, folder: Path) -> Path:
    """Make an environment with this Python's packages and the `command` of another one.

    The benchmarks start the command that stands beside the Python that runs them.
    """
    (folder / "bin").mkdir(parents=True)
    (folder / "lib").symlink_to(Path(sys.prefix) / "lib")
    (folder / "pyvenv.cfg").write_text((Path(sys.prefix) / "pyvenv.cfg").read_text())
    (folder / "bin" / "context7-fabric").symlink_to(command.resolve(strict=True))
    (folder / "bin" / "python").symlink_to(sys.executable)
    return folder / "bin" / "python"


async def _lap(name: str, python: Path, bench: str, _arguments: Sequence[None]) -> Figures:
    """Run the benchmark once; a broken claim is no failure, for a short run is coarse.

    A run that breaks off, as it may on a busy machine, is repeated.
    """
    command = [str(python), str(HERE / f"{bench}.py"), "--json", *OPTIONS[bench]]
    environment = clean_environment({"PYTHONPATH": str(HERE.parent)})
    error = ""
    for _try in range(TRIES):
        done = await anyio.run_process(command, env=environment, check=False)
        if done.stdout:
            figures: Figures = json.loads(done.stdout)["figures"]
            print(f"{bench}: a round of the {name} one", file=sys.stderr)
            return figures
        error = done.stderr.decode()[-2000:]
    raise RuntimeError(f"{' '.join(command)}:\n{error}")


def _report(bench: str, old: Sequence[Figures], new: Sequence[Figures]) -> Report:
    report = Report(f"{bench}, old beside new", [f"{len(old)} interleaved rounds"])
    table = report.table("", "figure", "old", "new", "old to new", "interval", "passes")
    for figure in old[0]:
        costs = [[each[figure] for each in rounds] for rounds in (old, new)]
        found = Comparison([before / after for before, after in zip(*costs, strict=True)])
        medians = (f"{statistics.median(each):.3f}" for each in costs)
        ratio, interval = f"{found.median:.3f}", "{:.3f} to {:.3f}".format(*found.interval)
        table.add_row(figure, *medians, ratio, interval, "yes" if found.passes else "NO")
        report.figures[figure] = found.median
        if not found.passes:
            report.claim(f"{figure}: not slower", f"{ratio} ({interval})", holds=False)
    slower = sum(not claim.holds for claim in report.claims)
    report.remarks.append(f"{len(old[0]) - slower} of {len(old[0])} figures pass")
    return report


if __name__ == "__main__":
    sys.exit(run(__doc__, measure, old=CHECKOUT, new=CHECKOUT, bench=BENCH, rounds=ROUNDS))
