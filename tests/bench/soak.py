"""A long run: clients over HTTP and in windows ask for half an hour, and nothing goes wrong.

    PYTHONPATH=tests .venv/bin/python tests/bench/soak.py [--minutes N]

A server on HTTP with four visitors (two of either protocol era), and a daemon with two windows,
each over a store of its own and in front of the real @upstash/context7-mcp, whose API is a
stand-in without delay. A client rests 50 ms after every answer. Of its requests 80 % ask for
documentation that is stored, 10 % look a library up, 5 % ask something new, 5 % read resources or
list things. Memory is what is resident, looked at every five seconds.

"Flat": after the first sixth of the time, in which caches fill, the medians of the sixths behind it
lie within 10 % of each other.

Exit code: 0 all claims hold, 1 one does not, 2 it cannot be run here.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from bench.machine import machine
from bench.needs import lacking, refuse
from bench.scores import Claim
from bench.soaking import SERVERS, Log, soaked
from support.upstreams import context7_command

MINUTES = 30.0
PARTS = 6
FLAT = 1.10

_T = TypeVar("_T")


def main() -> int:
    """Run, print, and return the exit code."""
    options = _options()
    if why := lacking(context7_command):
        return refuse(why)
    told, seconds = machine(), options.minutes * 60
    with TemporaryDirectory(prefix="soak-") as folder:
        log = soaked(Path(folder), seconds, _progress)
    print(file=sys.stderr)
    claims = [*_claims(log, seconds)]
    print("# A long run", "", told, "", *_table(log, seconds), "", sep="\n")
    print(*(f"- {claim}" for claim in claims), sep="\n")
    print(*(f"\n    at {at:.0f} s: {what}" for at, what in log.errors[:5]), sep="", end="")
    return 0 if all(claim.holds for claim in claims) else 1


def _options() -> argparse.Namespace:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, metavar="N", help="30 unless told"
    )
    return parser.parse_args()


def _progress(log: Log) -> None:
    print(
        f"\r{log.now:5.0f} s, {len(log.calls):,} requests, {len(log.errors)} errors",
        end="",
        file=sys.stderr,
        flush=True,
    )


def _table(log: Log, seconds: float) -> Iterator[str]:
    heads = (
        "minutes",
        "requests",
        "errors",
        "p50 ms",
        "p99 ms",
        *(f"{name} MiB" for name in SERVERS),
    )
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --: |' * (5 + len(SERVERS))}"
    for part in range(PARTS):
        times = sorted(took for took in _during(log.calls, part, seconds))
        start, end = (seconds * each / PARTS / 60 for each in (part, part + 1))
        weights = (f"{statistics.median(each):.1f}" for each in _weights(log, part, seconds))
        cells = (
            f"{start:g} to {end:g}",
            f"{len(times):,}",
            str(len([*_during(log.errors, part, seconds)])),
            f"{statistics.median(times):.2f}",
            f"{times[int(0.99 * len(times))]:.1f}",
            *weights,
        )
        yield f"| {' | '.join(cells)} |"


def _claims(log: Log, seconds: float) -> Iterator[Claim]:
    errors = len(log.errors)
    yield Claim("no request ends in an error", f"{errors} of {len(log.calls):,}", not errors)
    for at, name in enumerate(SERVERS):
        medians = [statistics.median(_weights(log, part, seconds)[at]) for part in range(1, PARTS)]
        spread = max(medians) / min(medians)
        yield Claim(f"the {name}'s memory is flat within 10 %", f"{spread - 1:.1%}", spread <= FLAT)


def _weights(log: Log, part: int, seconds: float) -> list[list[float]]:
    return [[*_during(log.resident[name], part, seconds)] for name in SERVERS]


def _during(noted: Sequence[tuple[float, _T]], part: int, seconds: float) -> Iterator[_T]:
    """Yield what was noted in one of the parts."""
    for at, what in noted:
        if min(int(at * PARTS / seconds), PARTS - 1) == part:
            yield what


if __name__ == "__main__":
    sys.exit(main())
