"""Page made of ranked snippets: it covers the question's words, then stops; pure."""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from context7_fabric.docsets.models import DocSnippet
from context7_fabric.parsing.snippets import RULE

MOST_TOKENS = 5000
"""Tokens of a page at most, unless the caller asks for another number."""

ENOUGH_TOKENS = 2000
"""Tokens from which a page may end before it is full."""

ENOUGH_COVERED = 0.7
"""Share of the words that the docset knows, by weight, that a page holds before it may end."""

LEAST_SHARE = 0.62
"""Share of the best score; a page that may end does so at the first snippet below."""

NOVELTY = 0.35
"""Part that words which the page lacks have in a snippet's worth; its score has the rest."""

SAME_LINES = 0.9
"""Share of the characters of the shorter text in equal lines from which two texts are the same.

The last heading counts as a line: error codes and options may have one short text under several."""

_PIECE = re.compile(
    r"(?P<spaced> [A-Z]?[a-z]{1,14})|(?P<bare>[A-Z]?[a-z]{1,12})"
    r"|(?P<signed>(?:[^\w\s]|_)[A-Z]?[a-z]+)|(?P<capitals>(?:[^\w\n]|_)?[A-Z]+(?![a-z]))"
    r"|(?P<digits>\d{1,3})|(?P<line> ?(?P<sign>[!-/:-@\[-`{-~])(?P=sign){3,15}\n*)"
    r"|(?P<signs> ?[!-/:-@\[-`{-~]{1,3}\n*)|(?P<space>\s*\n|\s+(?!\S)|\s)|(?P<other>.)",
    re.DOTALL,
)
"""Pieces into which o200k's own expression cuts a text first, about, and their kinds.

A word has the sign before it (`spaced`, `signed`); a run of signs has the ends of lines after it.
"""

_COSTS: Mapping[str, tuple[float, float]] = {
    "spaced": (1.105, 0.0),
    "bare": (1.185, 0.0),
    "signed": (0.5, 0.225),
    "capitals": (1.2, 0.08),
    "digits": (1.2, 0.0),
    "line": (1.2, 0.0),
    "signs": (1.045, 0.0),
    "space": (1.07, 0.0),
    "other": (1.2, 0.0),
}
"""Tokens of a piece of each kind, and those of each character of it.

Fitted by linear programming: the least mean that is not below the count on any of 2,988 pages of
55 libraries, so the margin is in them (tests/bench/docsets.py measures it). Words after a sign are
parts of paths and names, which o200k knows less often than words of a sentence.
"""


def estimated_tokens(text: str) -> int:
    """Return about the number of o200k tokens of `text`, rather too many than too few."""
    tokens = 0.0
    for piece in _PIECE.finditer(text):
        fixed, each = _COSTS[piece.lastgroup or "other"]
        tokens += fixed + each * len(piece[0])
    return math.ceil(tokens)


@dataclass(frozen=True, slots=True)
class Page:
    """Text in Context7's form, its snippets, and its tokens by our estimate."""

    text: str
    snippets: tuple[DocSnippet, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """Snippet with its score (the best has 1), and its tokens on a page.

    `shares` are those of the words that it holds, `headed` those that its headings hold.
    """

    number: int
    snippet: DocSnippet
    score: float
    shares: Mapping[str, float]
    headed: Mapping[str, float]
    tokens: int


def choose(
    ranked: Sequence[Ranked], weights: Mapping[str, float], most: int | None = None
) -> list[Ranked]:
    """Return snippets for one page, in the order of their worth.

    It is filled up to `most` tokens; without that number it ends when it holds the words, and has
    at most `MOST_TOKENS`. The first snippet is taken whatever its length. `weights` are those of
    the words; a word counts less the more often the page holds it already.
    """
    draft = _Draft(weights, ranked, most)
    worth = [(-draft.worth(each), place) for place, each in enumerate(ranked)]
    heapq.heapify(worth)
    while worth:
        _, place = heapq.heappop(worth)
        now = -draft.worth(ranked[place])
        if worth and now > worth[0][0]:
            heapq.heappush(worth, (now, place))
        elif draft.is_enough(ranked[place]):
            break
        else:
            draft.offer(ranked[place])
    return draft.chosen


class _Draft:
    """Page that grows."""

    def __init__(
        self, weights: Mapping[str, float], ranked: Sequence[Ranked], most: int | None
    ) -> None:
        self.chosen = list[Ranked]()
        self._tokens = 0
        self._most = MOST_TOKENS if most is None else most
        self._is_filled = most is not None
        self._weights = weights
        self._total = sum(weights.values()) or 1.0
        self._covered = dict.fromkeys(weights, 0.0)
        self._reachable = most_held(ranked)
        self._lines = list[Mapping[str, int]]()

    def worth(self, each: Ranked) -> float:
        """Return the worth of a snippet for this page; it only falls while the page grows."""
        new = sum(
            self._weights[word] * share / (1 + self._covered[word])
            for word, share in each.shares.items()
        )
        return (1 - NOVELTY) * each.score + NOVELTY * new / self._total

    def is_enough(self, following: Ranked) -> bool:
        """Return whether the page holds the words, and `following` is not worth its length."""
        if self._is_filled or self._tokens < ENOUGH_TOKENS or following.score >= LEAST_SHARE:
            return False
        weights = {word: self._weights[word] for word in self._reachable}
        held = sum(
            weight * min(1.0, self._covered[word] / self._reachable[word])
            for word, weight in weights.items()
        )
        return held >= ENOUGH_COVERED * sum(weights.values())

    def offer(self, each: Ranked) -> None:
        """Take a snippet that fits and says something else than those before."""
        if self.chosen and self._tokens + each.tokens > self._most:
            return
        lines = _lines(f"{each.snippet.title.rpartition(' > ')[2]}\n{each.snippet.text}")
        if any(_are_same(lines, other) for other in self._lines):
            return
        self._lines.append(lines)
        self.chosen.append(each)
        self._tokens += each.tokens
        for word, share in each.shares.items():
            self._covered[word] += share


def most_held(ranked: Iterable[Ranked]) -> Mapping[str, float]:
    """Return the greatest share of each word that one snippet holds."""
    most = dict[str, float]()
    for shares in {id(each.shares): each.shares for each in ranked}.values():
        for word, share in shares.items():
            most[word] = max(share, most.get(word, 0.0))
    return most


def _lines(text: str) -> Mapping[str, int]:
    return {line: len(line) for each in text.split("\n") if (line := each.strip())}


def _are_same(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    shared = sum(one[line] for line in one.keys() & other.keys())
    return shared >= SAME_LINES * min(sum(one.values()), sum(other.values()))


def written(chosen: Collection[Ranked], source: Callable[[DocSnippet], str]) -> Page:
    """Write a page in Context7's form; `source` gives the address of a snippet."""
    parts = [_written(each.snippet, source(each.snippet)) for each in chosen]
    tokens = sum(each.tokens for each in chosen)
    return Page(f"\n\n{RULE}\n\n".join(parts), tuple(each.snippet for each in chosen), tokens)


def _written(snippet: DocSnippet, source: str) -> str:
    return f"### {snippet.title}\n\nSource: {source}\n\n{snippet.text}"
