"""How many tokens a model reads from us instead of from Context7, by a real tokenizer.

    PYTHONPATH=tests .venv/bin/python tests/bench/tokens.py [--markdown]

Remakes the table of savings that the project was started for. Look-ups and questions go through the
real product; counted is every block of text that a client gets, and the `_meta` of each result, for
some clients hand whole results to the model. Two shapes of list: five entries, as server 4.1.1
sends, and thirty, as 1.x sent (without its explanation of the fields, which we would save as well).
A list is read in full until a question shows which library was meant; of each list one library has
the name that is looked up, or two, which then both stay in full.

Needs bpe-openai, which `make bench` installs. Exit code: 0 all claims hold, 1 one does not, 2 wrong
usage or no tokenizer.
"""

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from rich.console import Console
from rich.table import Table

from bench.entries import Entries, entries
from bench.machine import machine
from bench.readings import Count, Reading, Session, Shape, read_all

ENCODING = "o200k_base"
FIVE, THIRTY = Shape("4.1.1", 5, generation=2), Shape("1.x", 30, generation=1)
CLAIMS = {FIVE: 0.55, THIRTY: 0.9}
"""The least share that look-ups with a known choice save, over all libraries with one of a name."""

LANGCHAIN, FASTAPI = "LangChain", "FastAPI"
NAMES = (LANGCHAIN, FASTAPI, *(f"harbour{a}{b}" for a in "abcdefgh" for b in "uvwxyz"))
"""The two that the ticket names, and 48 that are nobody's: what counts is their lists."""

TWINS = tuple(f"quay{a}{b}" for a in "abcdefghij" for b in "vwxyz")
"""As many names, each of two libraries."""

COLUMNS = (
    "",
    *(f"{shape.entries} entries ({shape.server}): Context7 → us" for shape in CLAIMS),
    "the ticket said",
)


@dataclass(frozen=True)
class Scenario:
    """A row: which libraries, how often each, known before or not, and what the ticket said."""

    title: str
    names: Sequence[str]
    times: int
    _: KW_ONLY
    known: bool
    ticket: str = ""

    def row(self, readings: Mapping[str, Reading]) -> str:
        """Add up what is read from Context7 and from us."""
        of = [readings[name] for name in self.names]
        upstream = self.times * sum(each.upstream for each in of)
        hits = sum(each.hit + each.hit_meta for each in of)
        first = hits if self.known else sum(each.miss + each.miss_meta for each in of)
        ours = first + (self.times - 1) * hits
        return f"{upstream:,} → {ours:,} ({saving(upstream, ours)})"


SCENARIOS = (
    Scenario(
        "10 LangChain look-ups, choice known",
        [LANGCHAIN],
        10,
        known=True,
        ticket="15,000 → 500 (97 %)",
    ),
    Scenario("10 LangChain look-ups, the first day", [LANGCHAIN], 10, known=False),
    Scenario(
        "5 FastAPI look-ups, choice known", [FASTAPI], 5, known=True, ticket="7,500 → 250 (97 %)"
    ),
    Scenario("5 FastAPI look-ups, the first day", [FASTAPI], 5, known=False),
    Scenario(
        "First look-up (nothing stored)", [LANGCHAIN], 1, known=False, ticket="1,500 → 1,600 (-7 %)"
    ),
    Scenario(
        "50 libraries once, choices known", NAMES, 1, known=True, ticket="75,000 → 5,000 (93 %)"
    ),
    Scenario("50 libraries once, two of each name, choices known", TWINS, 1, known=True),
    Scenario("50 libraries once, the first day", NAMES, 1, known=False),
)

Results = Mapping[Shape, Mapping[str, Reading]]


def main() -> int:
    """Count, print, and return the exit code."""
    options = _options()
    count = _counter()
    if count is None:
        print("needs bpe-openai, which `make bench` installs", file=sys.stderr)
        return 2
    pool = entries(THIRTY.entries)
    lengths = f"{pool.origin} Their mean length is {pool.mean:.0f} characters."
    results, session = anyio.run(_read, pool, count)
    broken = _broken_claims(results)
    if options.markdown:
        _print_markdown(results)
    else:
        _print_table(results)
    print("", machine(), f"Tokens: {ENCODING}. {lengths}", *_remarks(results, session), sep="\n")
    print("\n".join(broken) or "All claims hold.")
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--markdown", action="store_true", help="print the table for a README")
    return parser.parse_args()


def _counter() -> Count | None:
    """Return the tokenizer's count; None without one: only this program needs it."""
    try:
        encoding: Any = importlib.import_module("bpe_openai").get_encoding(ENCODING)
    except ImportError:
        return None
    return lambda text: len(encoding.encode(text))


async def _read(pool: Entries, count: Count) -> tuple[Results, Session | None]:
    results, session = {}, None
    with TemporaryDirectory(prefix="tokens-") as folder:
        for shape in CLAIMS:
            home = Path(folder, str(shape.entries))
            names = dict.fromkeys(NAMES, 1) | dict.fromkeys(TWINS, 2)
            results[shape], told = await read_all(shape, names, pool, count, home)
            session = told or session
    return results, session


def saving(upstream: int, ours: int) -> str:
    """Return the share saved, in per cent."""
    return f"{100 * (1 - ours / upstream):.1f} %"


def _rows(results: Results) -> list[tuple[str, ...]]:
    return [
        (each.title, *(each.row(results[shape]) for shape in CLAIMS), each.ticket)
        for each in SCENARIOS
    ]


def _print_table(results: Results) -> None:
    table = Table(title="Tokens of look-ups, as a model reads them")
    for column in COLUMNS:
        table.add_column(column)
    for row in _rows(results):
        table.add_row(*row)
    Console(width=150, highlight=False).print(table)


def _print_markdown(results: Results) -> None:
    for row in (COLUMNS, ("---",) * len(COLUMNS), *_rows(results)):
        print(f"| {' | '.join(row)} |")


def _remarks(results: Results, session: Session | None) -> list[str]:
    """Say what the table does not: the spread, our own estimate, documentation, the overhead."""
    lines = [_hits(shape, results[shape]) for shape in CLAIMS]
    of = results[FIVE].values()
    upstream = sum(each.docs_upstream for each in of)
    miss, hit = sum(each.docs_miss for each in of), sum(each.docs_hit for each in of)
    lines.append(
        f"Documentation answers are the same text, nothing is saved on them: {len(of)} are"
        f" {upstream:,} tokens from Context7, {miss:,} from us at first, {hit:,} once stored."
    )
    if session is not None:
        more = session.ours - session.upstream
        lines.append(
            "Read once a session: instructions and tools,"
            f" {session.upstream:,} tokens from Context7, {session.ours:,} from us ({more:+,})."
        )
    return lines


def _hits(shape: Shape, readings: Mapping[str, Reading]) -> str:
    of = [readings[name] for name in NAMES]
    shares, metas = [each.saved for each in of], [each.hit_meta for each in of]
    said, real = sum(each.said_saved for each in of), sum(each.upstream - each.hit for each in of)
    text = 1 - sum(each.hit for each in of) / sum(each.upstream for each in of)
    return (
        f"A hit with a known choice, {shape.entries} entries: {_saved(readings):.1%} saved, from"
        f" {min(shares):.1%} to {max(shares):.1%} by library; {text:.1%} where the client keeps"
        f" `_meta` ({min(metas)} to {max(metas)} tokens) to itself. We say of ourselves that"
        f" {said:,} tokens of text were saved; {real:,} were."
    )


def _saved(readings: Mapping[str, Reading]) -> float:
    """Return the share that hits save over all libraries with one of a name."""
    of = [readings[name] for name in NAMES]
    return 1 - sum(each.hit + each.hit_meta for each in of) / sum(each.upstream for each in of)


def _broken_claims(results: Results) -> list[str]:
    broken = [
        f"CLAIM BROKEN: a hit on {shape.entries} entries saves {_saved(results[shape]):.1%},"
        f" not {least:.0%}"
        for shape, least in CLAIMS.items()
        if _saved(results[shape]) < least
    ]
    answers = [each for readings in results.values() for each in readings.values()]
    if any(not each.docs_upstream == each.docs_miss == each.docs_hit for each in answers):
        broken.append("CLAIM BROKEN: a documentation answer is not of upstream's size")
    if any(each.miss != each.upstream for each in answers):
        broken.append("CLAIM BROKEN: a first look-up is not of upstream's size")
    return broken


if __name__ == "__main__":
    sys.exit(main())
