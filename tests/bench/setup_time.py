"""Set-up of one editor: `ctx7 setup --cursor` beside `context7-fabric setup cursor`.

Each round takes new homes for both, in alternating order. ctx7 gets a key, since it asks a browser
for one otherwise; it writes the entry, a rule and a skill, and starts nothing. Ours writes the
entry, then starts it and lists its tools; in a new home that starts the daemon too. `vscode`
afterwards, in the same home, is a second editor, whose entry meets the daemon.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.harness import QUICK, Report, Times, milliseconds_since, ratio, run
from support.npm import npm_package

CTX7 = ("ctx7", "0.5.12")
KEY = "ctx7sk-0a1b2c3d-4e5f-6789-abcd-ef0123456789"
ROUNDS = 9
OURS = "context7-fabric setup cursor --yes"
AGAIN = "context7-fabric setup vscode --yes, the daemon running"
THEIRS = "ctx7 setup --cursor --mcp --yes --api-key …"


@dataclass
class Runs:
    """Times of one command: milliseconds of each run, and of its processor."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def cells(self) -> tuple[str, ...]:
        """Return median, least and greatest, and the median of the processor's time."""
        times = Times([self.wall])
        shown = (times.p50, min(self.wall), max(self.wall), Times([self.processor]).p50)
        return tuple(f"{each:,.0f}" for each in shown)


def main() -> int:
    """Measure, print the report, and return the exit code."""
    return run(__doc__, _measure, quick=QUICK)


def _measure(options: argparse.Namespace) -> Report:
    ctx7 = str(npm_package(*CTX7) / ".bin" / "ctx7")
    theirs = [ctx7, "setup", "--cursor", "--mcp", "--yes", "--api-key", KEY]
    runs = {name: Runs() for name in (THEIRS, OURS, AGAIN)}
    for number in range(2 if options.quick else ROUNDS):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            for name in (THEIRS, OURS)[:: 1 if number % 2 else -1]:
                home = Path(folder, name[:4])
                home.mkdir()
                if name == OURS:
                    _ours(home, runs)
                else:
                    _timed(theirs, home, runs[name])
    return _report(runs)


def _ours(home: Path, runs: Mapping[str, Runs]) -> None:
    program = str(Path(sys.executable).with_name("context7-fabric"))
    try:
        _timed([program, "setup", "cursor", "--yes"], home, runs[OURS])
        _timed([program, "setup", "vscode", "--yes"], home, runs[AGAIN])
    finally:
        subprocess.run(
            [program, "daemon", "stop"], env=_environment(home), capture_output=True, check=False
        )


def _timed(command: Sequence[str], home: Path, runs: Runs) -> None:
    """Run a command in a home; it has to succeed."""
    before, begun = os.times(), time.perf_counter()
    done = subprocess.run(
        command,
        cwd=home,
        env=_environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    runs.wall.append(milliseconds_since(begun))
    after = os.times()
    seconds = after.children_user + after.children_system
    seconds -= before.children_user + before.children_system
    runs.processor.append(seconds * 1000)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")


def _environment(home: Path) -> dict[str, str]:
    """Return the environment of a new user: no settings, and no network for Context7."""
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "CONTEXT7_FABRIC_UPSTREAM": "off",
    }


def _report(runs: Mapping[str, Runs]) -> Report:
    report = Report("Time of a set-up", [f"ctx7 {CTX7[1]}; new homes in every round."])
    table = report.table("", "command", "median, ms", "least", "greatest", "processor, ms")
    for name, each in runs.items():
        table.add_row(name, *each.cells())
        report.figures[name] = Times([each.wall]).p50
    wall = {name: Times([[time] for time in each.wall]) for name, each in runs.items()}
    first, second = (ratio(wall[name], wall[THEIRS]) for name in (OURS, AGAIN))
    report.remarks += [
        f"ours to ctx7: {first}; a second editor: {second}",
        "the processor's time is that of the command and of the relay, without the daemon",
        "ours has started the entry and listed its tools by then; ctx7 has started nothing",
    ]
    return report


if __name__ == "__main__":
    sys.exit(main())
