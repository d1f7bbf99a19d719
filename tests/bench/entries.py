"""Entries of library lists for `tokens.py`: real ones where `../shared` has them, else ours.

Real ones were recorded from Context7. Those of before November 2025 get the line that servers since
then print in place of the trust score, so that all go into one list.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

from context7_fabric.parsing.libraries import Library, format_entry, parse_list

SHARED = Path(__file__).parents[3] / "shared" / "upstream"
RECORDED = SHARED / "samples" / "resolve_entries.txt"
BETWEEN = re.compile(r"^#.*\n|^----------\n", re.MULTILINE)
LENGTHS = (217, 275, 289, 307, 317, 329, 354, 367, 379, 407)
"""How long our own entries are, in characters: as the real ones, whose mean is 320."""

PROSE = (
    "provides asynchronous infrastructure for distributed measurement services, including strongly"
    " typed requests, streaming responses, automatic retries, authentication and a comprehensive"
    " command-line interface. Additional integrations support containerized deployment, persistent"
    " storage, performance monitoring and interactive documentation for professional developers."
)
"""What our own descriptions say, cut to length: a token per four characters, as in real ones."""


@dataclass(frozen=True)
class Entries:
    """Different libraries, and a sentence about where their entries come from."""

    libraries: tuple[Library, ...]
    origin: str

    def listed(self, start: int, count: int, name: str, named: int) -> tuple[Library, ...]:
        """Return `count` of them in a row, from one of them on, over the end to the beginning.

        The first `named` of them have `name` for a title.
        """
        everything = len(self.libraries)
        row = [self.libraries[(start + each) % everything] for each in range(count)]
        titled = [_with_text(replace(each, title=name)) for each in row[:named]]
        return (*titled, *row[named:])

    def about(self, name: str, otherwise: int) -> int:
        """Return which entry is the first with `name` for a title; `otherwise` if none has it."""
        titles = [each.title for each in self.libraries]
        return titles.index(name) if name in titles else otherwise

    @property
    def mean(self) -> float:
        """The mean length of an entry, in characters."""
        return sum(len(each.text) for each in self.libraries) / len(self.libraries)


def entries(at_least: int) -> Entries:
    """Return real entries if there are enough, else ours."""
    real = tuple(_recorded()) if RECORDED.exists() else ()
    if len(real) >= at_least:
        return Entries(real, "Entries: recorded from Context7.")
    return Entries(tuple(_own(at_least + 1)), "Entries: of our own words, as long as real ones.")


def _recorded() -> Iterator[Library]:
    for block in BETWEEN.split(RECORDED.read_text(encoding="utf-8")):
        listed = parse_list(_as_now(block.strip("\n"))) if block.strip() else None
        if listed is not None and listed.libraries[0].reputation is not None:
            yield listed.libraries[0]


def _as_now(entry: str) -> str:
    return re.sub(r"^- Trust Score: ([\d.]+)$", _reputation, entry, flags=re.MULTILINE)


def _reputation(score: re.Match[str]) -> str:
    trust = float(score[1])
    return f"- Source Reputation: {'High' if trust >= 7 else 'Medium' if trust >= 4 else 'Low'}"


def _own(count: int) -> Iterator[Library]:
    said = PROSE.split()
    for number, length in enumerate(islice(cycle(LENGTHS), count), start=1):
        words: list[str] = []
        while len((made := _library(number, words)).text) < length:
            words.append(said[len(words) % len(said)])
        yield made


def _library(number: int, words: Sequence[str]) -> Library:
    made = Library(
        id=f"/harbour-tools/measured-{number}",
        title=f"Measured {number}",
        description=f"Measured {number} {' '.join(words)}",
        snippets=41 * number,
        reputation="High",
        trust_score=None,
        benchmark=60 + number % 35 + 0.25,
        versions=(f"v{number}.2.0",) if number % 3 == 0 else (),
        source=None,
        text="",
    )
    return _with_text(made)


def _with_text(library: Library) -> Library:
    return replace(library, text=format_entry(library))
