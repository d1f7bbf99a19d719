"""The fabric on each backend, beside raw diskcache and redis-py: get, set, query, search, pipeline.

    PYTHONPATH=tests .venv/bin/python tests/bench/fabric.py [--backend NAME]... [--quick] [--json]

Each backend holds 1,000 and then 100,000 contexts: JSON objects of about 350 bytes; raw stores hold
the same bytes under the same keys. All calls follow one another, at random keys. Fabric and raw
stores take turns in short rounds, in one process; a ratio is the median of the rounds' own, with
the least and the most. Redis is a real server on this machine. Vectors come from the real model:
where filling would take more than two minutes, that size is left out, which the output says.

Takes about five minutes, with --quick (1,000 contexts, fewer rounds) about one.

Exit code: 0 all claims hold, 1 one does not, 2 wrong usage, 3 a backend cannot be had here.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest

from bench.contests import Measured, measured, planned
from bench.machine import machine
from bench.openings import OPENINGS
from bench.scores import as_json, claims, table

SIZES = (1_000, 100_000)
MOST_FILL_SECONDS = 120.0
NOTES = (
    "Of fewer than 100 calls, p99 is the longest. Sets overwrite at random keys.",
    "diskcache and redis-py return bytes; a fabric checks and reads them, and returns a context.",
    "Nothing is claimed of pipelines in memory and of vectors: no round trips are saved there.",
)


@dataclass
class Results:
    """What was measured, and what was not: why."""

    measured: list[Measured] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def main() -> int:
    """Measure, print, and return the exit code."""
    options = _options()
    told = machine()
    results = Results()
    for backend in options.backend or OPENINGS:
        _measure(backend, results, quick=options.quick)
    if options.json:
        _print_json(told, results)
    else:
        _print(told, results)
    if not all(claim.holds for claim in claims(results.measured)):
        return 1
    return 3 if results.missing else 0


def _options() -> argparse.Namespace:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backend", choices=OPENINGS, action="append", help="all without")
    parser.add_argument("--quick", action="store_true", help="see whether it works")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    return parser.parse_args()


def _measure(backend: str, results: Results, *, quick: bool) -> None:
    """Measure a backend at each size that it can be filled to in time."""
    done: Measured | None = None
    for size in SIZES[:1] if quick else SIZES:
        if done and (expected := done.fill_seconds * size / done.size) > MOST_FILL_SECONDS:
            results.left_out.append(
                f"{backend}, {size:,} contexts: not measured, filling would take"
                f" {expected / 60:.0f} minutes at the pace of {done.size:,}"
            )
            continue
        try:
            done = anyio.run(_measured, backend, size, quick)
        except pytest.skip.Exception as reason:
            results.missing.append(f"{backend}: not measured, {reason}")
            return
        results.measured.append(done)


async def _measured(backend: str, size: int, quick: bool) -> Measured:
    with TemporaryDirectory(prefix="fabric-") as folder:
        async with OPENINGS[backend](Path(folder)) as contest:
            return await measured(backend, contest, size, planned(size, quick=quick))


def _print(told: str, results: Results) -> None:
    raw = f"Raw stores: diskcache {version('diskcache')}, redis-py {version('redis')}."
    print("# The fabric beside raw stores", "", told, "", raw, *NOTES, sep="\n")
    for each in results.measured:
        print("", *table(each), sep="\n")
    print()
    for line in (*results.left_out, *results.missing, *claims(results.measured)):
        print(f"- {line}")


def _print_json(told: str, results: Results) -> None:
    plain = {
        "machine": told,
        "measured": [as_json(each) for each in results.measured],
        "left_out": results.left_out,
        "missing": results.missing,
        "claims": [asdict(each) for each in claims(results.measured)],
    }
    print(json.dumps(plain, indent=1))


if __name__ == "__main__":
    sys.exit(main())
