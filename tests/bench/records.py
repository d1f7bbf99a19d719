"""Records of calls: what writing them adds to a hit, reading them, hearing of a change elsewhere.

    PYTHONPATH=tests .venv/bin/python tests/bench/records.py [--quick] [--json]

Hits: the product as users start it, over stdio, with nothing but its store. Two servers, one that
records and one that does not (CONTEXT7_FABRIC_EXECUTIONS_KEEP=0s), take turns in short rounds, at
two paces: a client that rests 20 ms after every answer, still far more than an agent asks for, and
one that never rests. Claims are made of the first. Times are the client's, from request to answer.

Reading: fabric://EXECUTION with 10,000 records in the store. Notices: a context is written by one
process, and a client that subscribed to it at another waits to be told.

Takes about six minutes, with --quick (fewer calls and rounds) about one.

Exit code: 0 all claims hold, 1 one does not, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from bench.machine import machine
from bench.recording import Cost, Pace, cost, filled
from bench.rounds import Times
from bench.watching import RECORDS, noticing, reading

RESTING, RESTLESS = "a hit, then 20 ms of rest", "one hit after the other"
REST_SECONDS = 0.02
MOST_RATIO = 1.05
MOST_READING_MS = 20.0
MOST_NOTICE_MS = 1000.0


@dataclass(frozen=True)
class Plan:
    """How much is measured: the paces of hits, how many reads and notices."""

    paces: tuple[Pace, ...]
    reads: int
    notices: int


FULL = Plan((Pace(RESTING, REST_SECONDS, 150, 20), Pace(RESTLESS, 0.0, 1500, 9)), 300, 120)
QUICK = Plan((Pace(RESTING, REST_SECONDS, 100, 3), Pace(RESTLESS, 0.0, 300, 3)), 30, 10)


@dataclass(frozen=True)
class Results:
    """What was measured."""

    costs: tuple[Cost, ...]
    reading: Times
    notices: Times


@dataclass(frozen=True)
class Claim:
    """What is claimed, with the figures, and whether it holds."""

    text: str
    holds: bool

    def __str__(self) -> str:
        return f"{'holds' if self.holds else 'BROKEN'}: {self.text}"


def main() -> int:
    """Measure, print, and return the exit code."""
    options = _options()
    told, results = machine(), _measured(QUICK if options.quick else FULL)
    claims = [*_claims(results)]
    if options.json:
        print(json.dumps(_as_json(told, results, claims), indent=1))
    else:
        print("# Records of calls", "", told, "", *_lines(results), "", sep="\n")
        print(*(f"- {claim}" for claim in claims), sep="\n")
    return 0 if all(claim.holds for claim in claims) else 1


def _options() -> argparse.Namespace:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="see whether it works")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    return parser.parse_args()


def _measured(plan: Plan) -> Results:
    with TemporaryDirectory(prefix="records-") as name:
        folder = Path(name)
        anyio.run(filled, folder / "filled")
        costs = tuple(cost(folder / "filled", folder, pace) for pace in plan.paces)
        return Results(
            costs, reading(folder / "many", plan.reads), noticing(folder / "told", plan.notices)
        )


def _claims(results: Results) -> Iterator[Claim]:
    (costs,) = (each for each in results.costs if each.pace.name == RESTING)
    median, p99 = costs.p50.median, costs.slower_p99
    yield Claim(
        f"recording makes a hit's p50 {median:.3f} times as long (at most 1.05)",
        median <= MOST_RATIO,
    )
    yield Claim(
        f"recording makes a hit's p99 {p99:+.2f} ms longer, which is within the spread of rounds"
        f" without it ({costs.spread:.2f} ms)",
        p99 <= costs.spread,
    )
    p50 = results.reading.p50
    yield Claim(
        f"reading the newest of {RECORDS:,} records takes {p50:.1f} ms (p50, under 20)",
        p50 < MOST_READING_MS,
    )
    p99 = results.notices.p99
    yield Claim(
        f"a notice reaches another process within {p99:.0f} ms (p99, at most 1,000)",
        p99 <= MOST_NOTICE_MS,
    )


def _lines(results: Results) -> Iterator[str]:
    yield f"{'':42} {'calls':>6} {'p50 ms':>8} {'p99 ms':>8}"
    for each in results.costs:
        for times in (each.on, each.off):
            yield _line(f"{each.pace.name}, {times.name.partition(' ')[2]}", times)
    for times in (results.reading, results.notices):
        yield _line(times.name, times)
    yield ""
    for each in results.costs:
        p50 = each.p50
        yield (
            f"{each.pace.name}: p50 {p50.median:.3f} times ({p50.least:.3f} to {p50.most:.3f} by"
            f" round), median round's p99 {each.slower_p99:+.2f} ms"
            f" (spread without: {each.spread:.2f} ms)"
        )


def _line(name: str, times: Times) -> str:
    return f"{name:42} {times.calls:>6,} {times.p50:>8.2f} {times.p99:>8.2f}"


def _as_json(told: str, results: Results, claims: Sequence[Claim]) -> dict[str, object]:
    hits = [
        {
            "pace": each.pace.name,
            "recording_on": _figures(each.on),
            "recording_off": _figures(each.off),
            "p50_ratio": vars(each.p50),
            "p99_longer_ms": each.slower_p99,
            "p99_spread_ms": each.spread,
        }
        for each in results.costs
    ]
    return {
        "machine": told,
        "hits": hits,
        "reading": _figures(results.reading),
        "notices": _figures(results.notices),
        "claims": [vars(claim) for claim in claims],
    }


def _figures(times: Times) -> dict[str, float]:
    return {"calls": times.calls, "p50_ms": times.p50, "p99_ms": times.p99}


if __name__ == "__main__":
    sys.exit(main())
