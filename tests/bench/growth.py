"""What grows with the store: Redis by answers, rows and records, a server by rows, and a hit.

    PYTHONPATH=tests .venv/bin/python tests/bench/growth.py [--quick] [--answers N] [--json]

Redis is a real one on this machine that keeps nothing on disk; its figures are what it calls
used_memory. Answers are texts of 5,000 to 7,000 characters about 997 libraries, rows those of
`registry_scale.py`, records those of `records.py`. Hits are asked of a server on stdio that has not
served these answers before, one after the other, at random, none twice, by turns with a second
server whose Redis has 1,000 answers.

A server is started on so many rows in Redis, without a model: until it replies to initialize, and
until it knows the row that is used most, looked up by its name over and over. Then it answers a
question about that library once a second for 15 s: what share of a core it takes, and what another
server does meanwhile that nobody asks.

Answers and rows grow from 1,000 to 1,000,000, which takes about ten minutes and 9 GB (`--answers N`
stops earlier); with --quick to 10,000, which takes one.

Exit code: 0 all claims hold, 1 one does not, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.growing import Growing, Hits, Serving, Stored, growing
from bench.machine import machine
from bench.scores import Claim

FULL_SIZES = (1_000, 10_000, 100_000, 1_000_000)
QUICK_SIZES = FULL_SIZES[:2]
RECORDS = 10_000
CALLS = 500
MOST_TIMES_SLOWER = 1.5
MOST_TIMES_TEXT = 1.5
MIDDLE_TEXT = 6_000
MOST_MIB = 200
TEAMS_ROWS = 10_000


@dataclass(frozen=True)
class Results:
    """What was measured."""

    stored: Sequence[Stored]
    serving: Sequence[Serving]
    hits: Sequence[Hits]


def main() -> int:
    """Measure, print, and return the exit code."""
    options = _options()
    sizes, told = QUICK_SIZES if options.quick else FULL_SIZES, machine()
    with growing() as stage, growing() as small:
        small.store_answers(sizes[0])
        results = _measured(stage, small, sizes, options.answers or sizes[-1])
    claims = [*_claims(results)]
    if options.json:
        print(json.dumps(_as_json(told, results, claims), indent=1))
    else:
        print("# What grows with the store", "", told, *_tables(results), "", sep="\n")
        print(*(f"- {claim}" for claim in claims), sep="\n")
    return 0 if all(claim.holds for claim in claims) else 1


def _options() -> argparse.Namespace:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="see whether it works")
    parser.add_argument("--answers", type=int, metavar="N", help="the most that are stored")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    return parser.parse_args()


def _measured(stage: Growing, small: Growing, sizes: Sequence[int], most_answers: int) -> Results:
    stored, serving, hits = [], [], []
    for rows in sizes:
        stage.forget()
        stored.append(stage.store_rows(rows))
        serving.append(stage.serving(rows))
    stage.forget()
    stored.append(stage.store_records(RECORDS))
    stage.forget()
    for answers in (size for size in sizes if size <= most_answers):
        stored.append(stage.store_answers(answers))
        hits.append(stage.hits(CALLS, small))
    return Results(stored, serving, hits)


def _claims(results: Results) -> Iterator[Claim]:
    least, most = results.hits[0], results.hits[-1]
    yield Claim(
        f"a hit among {most.answers:,} answers takes at most {MOST_TIMES_SLOWER} times as long"
        f" (p50) as among {least.answers:,}, by turns",
        f"{most.times_as_long:.2f} times",
        most.times_as_long <= MOST_TIMES_SLOWER,
    )
    bytes_each = results.stored[-1].each
    yield Claim(
        f"an answer of {MIDDLE_TEXT:,} characters takes at most {MOST_TIMES_TEXT} times that",
        f"{bytes_each:,.0f} bytes",
        bytes_each <= MOST_TIMES_TEXT * MIDDLE_TEXT,
    )
    (team,) = (each for each in results.serving if each.rows == TEAMS_ROWS)
    yield Claim(
        f"a server on {TEAMS_ROWS:,} rows has less than {MOST_MIB} MiB",
        f"{team.resident:.0f} MiB",
        team.resident < MOST_MIB,
    )


def _tables(results: Results) -> Iterator[str]:
    yield from ("", "| in Redis | number | bytes each | filled in s |", "| --- | --: | --: | --: |")
    for kind in results.stored:
        yield f"| {kind.kind} | {kind.count:,} | {kind.each:,.0f} | {kind.fill_seconds:.1f} |"
    yield ""
    yield "| rows | initialize, ms | all known, ms | RSS, MiB | core, used | core, the other |"
    yield "| --: | --: | --: | --: | --: | --: |"
    for server in results.serving:
        times = f"{server.initialize_ms:,.0f} | {server.known_ms:,.0f} | {server.resident:.0f}"
        shares = f"{server.used_share:.1%} | {server.others_share:.1%}"
        yield f"| {server.rows:,} | {times} | {shares} |"
    yield ""
    yield "| answers | Redis, MB | hit p50, ms | p99, ms | hits | times the fewest's |"
    yield "| --: | --: | --: | --: | --: | --: |"
    for each in results.hits:
        times = f"{each.times.p50:.2f} | {each.times.p99:.2f} | {each.times.calls:,}"
        memory = f"{each.used_memory / 1e6:,.0f}"
        yield f"| {each.answers:,} | {memory} | {times} | {each.times_as_long:.2f} |"


def _as_json(told: str, results: Results, claims: Sequence[Claim]) -> dict[str, object]:
    hits = [
        {
            "answers": each.answers,
            "used_memory": each.used_memory,
            "p50_ms": each.times.p50,
            "p99_ms": each.times.p99,
            "times_as_long": each.times_as_long,
        }
        for each in results.hits
    ]
    return {
        "machine": told,
        "stored": [vars(each) | {"bytes_each": each.each} for each in results.stored],
        "serving": [vars(each) for each in results.serving],
        "hits": hits,
        "claims": [vars(claim) for claim in claims],
    }


if __name__ == "__main__":
    sys.exit(main())
