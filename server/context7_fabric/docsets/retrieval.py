"""Ranking of a docset's snippets for a question; pure.

The score of a snippet is BM25, relative to the best one; the share of the question's words that its
headings hold; and a preference for overviews, which counts more the more common the words are: who
asks "basic usage" in nothing but common words wants the opening page of a subject.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import fmean
from urllib.parse import quote

from context7_fabric.docsets.confidence import RULE, Evidence
from context7_fabric.docsets.models import Docset, DocSnippet
from context7_fabric.docsets.page import (
    Page,
    Ranked,
    choose,
    estimated_tokens,
    most_held,
    written,
)
from context7_fabric.docsets.postings import GREATEST
from context7_fabric.docsets.words import Word
from context7_fabric.parsing.snippets import SnippetKind

BM25_WEIGHT, TITLE_WEIGHT, PRIOR_WEIGHT, BROAD_WEIGHT = 0.8, 0.5, 0.2, 0.5
"""Weights of the score's parts; the last one is added to the prior's, times breadth squared."""

PART_SHARE = 0.5
"""Share of a word that a snippet holds which has all its parts, but not the whole in one piece."""

FIRST = 8
"""Snippets whose words count for the confidence."""

FRAME_TOKENS = 12
"""Tokens of heading mark, "Source:", blank lines and rule around a snippet."""

MOST_PAGES = 20
"""Pages that are written; there are no more snippets than these would hold."""

_NAME = re.compile(r"^[A-Z]|[a-z][A-Z]|[_.\d]")
"""Word that is a name by its form: of a product, a type, a function, a version."""

MOST_PATHS = 4096
"""Paths whose preference is remembered."""

_OVERVIEW = re.compile(
    r"index|readme|getting.?started|quick.?start|introduction|overview|usage|basics|installation"
    r"|tutorial"
)
_HISTORY = re.compile(r"change.?log|release|migrat|blog|legacy|deprecated|/v\d")


@dataclass(frozen=True, slots=True)
class Match:
    """Snippet that shares words with the question.

    `number` is its row, `place` its place in its document, from 0; `tokens` those of title, path
    and text; `score` is BM25, greater is better; `held` are the question's terms that it holds,
    `headed` those that its path, its headings or the names that it defines hold.
    """

    number: int
    snippet: DocSnippet
    place: int
    tokens: int
    score: float
    held: frozenset[str] = frozenset()
    headed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Considered:
    """Row of an explanation: a snippet that was considered, and the words it holds."""

    title: str
    path: str
    score: float
    words: tuple[str, ...]


class Retrieval:
    """Snippets of one docset, ranked for one question."""

    def __init__(
        self,
        docset: Docset,
        words: Sequence[Word],
        counts: Mapping[str, int],
        matches: Sequence[Match],
    ) -> None:
        """Rank `matches`; `counts` are the snippets of the docset that hold each term."""
        self.docset = docset
        self._rarity = {term: rarity(docset.snippets, count) for term, count in counts.items()}
        self.words = {word.text: self._weight(word) for word in words}
        self._asked = {word: self._weighted_parts(word) for word in words}
        self._shared = dict[frozenset[str], Mapping[str, float]]()
        self._bm25 = {match.number: match.score for match in matches}
        self._ranked = self._rank(matches)

    @property
    def considered(self) -> tuple[Considered, ...]:
        """All snippets that were considered, the best first."""
        return tuple(
            Considered(each.snippet.title, each.snippet.path, each.score, tuple(each.shares))
            for each in self._ranked
        )

    @cached_property
    def confidence(self) -> float:
        """Confidence, from 0 to 1, that the docset answers the question."""
        return RULE.confidence(self.evidence)

    @property
    def evidence(self) -> Evidence:
        """Signs that the first snippets answer the question, for the confidence."""
        names = set(re.findall(r"\w+", " ".join(self.docset.ids).lower()))
        weights = {w: each for w, each in self.words.items() if w.lower() not in names}
        first = self._ranked[:FIRST]
        files = Counter(each.snippet.path for each in first)
        return Evidence(
            held=_most(weights, (each.shares for each in first)),
            counted=_most(dict.fromkeys(weights, 1.0), (each.shares for each in first)),
            headed=_most(weights, (each.headed for each in first)),
            words=len(weights),
            strength=self._strength(first),
            named=_named(weights, first),
            gathered=max(files.values(), default=0) / FIRST,
        )

    def _strength(self, first: Sequence[Ranked]) -> float:
        """Return the greatest BM25 by the one of a snippet that speaks of nothing but the words."""
        greatest = GREATEST * sum(self.words.values()) or 1.0
        return max((self._bm25[each.number] for each in first), default=0.0) / greatest

    def page(
        self, max_tokens: int | None = None, number: int = 1, mode: SnippetKind | None = None
    ) -> Page:
        """Return page `number` (from 1), empty beyond the last one.

        A page has at most `max_tokens`, and is filled up to them; without that number it ends when
        it holds the question's words, after `MOST_TOKENS` at the latest. No snippet stands on two
        pages. `mode` leaves only snippets of that kind.
        """
        left = [each for each in self._ranked if mode in (None, each.snippet.kind)]
        chosen = list[Ranked]()
        for _ in range(min(number, MOST_PAGES)):
            chosen = choose(left, self.words, max_tokens)
            shown = {each.number for each in chosen}
            left = [each for each in left if each.number not in shown]
        return written(chosen, self._source)

    def _source(self, snippet: DocSnippet) -> str:
        address = self.docset.address or "{path}"
        source = address.replace(
            "{path}", quote(snippet.path) if self.docset.address else snippet.path
        )
        return f"{source}#{snippet.anchor}" if snippet.anchor else source

    def _rank(self, matches: Sequence[Match]) -> list[Ranked]:
        frame = FRAME_TOKENS + estimated_tokens(self.docset.address)
        scores = self._scores(matches)
        top = max(scores, default=1.0) or 1.0
        ranked = [
            Ranked(
                match.number,
                match.snippet,
                score / top,
                self._shares(match.held),
                self._shares(match.headed),
                match.tokens + frame,
            )
            for match, score in zip(matches, scores, strict=True)
        ]
        return sorted(ranked, key=lambda each: (-each.score, each.number))

    def _scores(self, matches: Sequence[Match]) -> list[float]:
        top = max((match.score for match in matches), default=1.0) or 1.0
        prior_weight = PRIOR_WEIGHT + BROAD_WEIGHT * self._breadth() ** 2
        heads = {match.headed for match in matches}
        titles = {each: TITLE_WEIGHT * _part(self.words, self._shares(each)) for each in heads}
        return [
            BM25_WEIGHT * match.score / top + titles[match.headed] + prior_weight * _prior(match)
            for match in matches
        ]

    def _breadth(self) -> float:
        """Return 0 for a question with a word that one snippet holds, 1 if all hold all words."""
        if not self.words:
            return 1.0
        return 1 - max(self.words.values()) / rarity(self.docset.snippets, 0)

    def _shares(self, held: frozenset[str]) -> Mapping[str, float]:
        """Return the share of each word that is held, without the words of which nothing is."""
        shares = self._shared.get(held)
        if shares is None:
            shares = self._shared[held] = dict(self._each_share(held))
        return shares

    def _each_share(self, held: frozenset[str]) -> Iterator[tuple[str, float]]:
        for word, parts in self._asked.items() if held else ():
            if word.whole in held:
                yield word.text, 1.0
            elif share := sum(weight for part, weight in parts if part in held):
                yield word.text, share

    def _weighted_parts(self, word: Word) -> list[tuple[str, float]]:
        """Return the parts of a word, each with its part of `PART_SHARE`."""
        total = sum(self._rarity[part] for part in word.parts) or 1.0
        return [(part, PART_SHARE * self._rarity[part] / total) for part in word.parts]

    def _weight(self, word: Word) -> float:
        return max(self._rarity[term] for term in word.terms)


def _part(weights: Mapping[str, float], shares: Mapping[str, float]) -> float:
    """Return the part of the words, by weight, that is in these shares."""
    total = sum(weights.values()) or 1.0
    return sum(weights.get(word, 0.0) * share for word, share in shares.items()) / total


def _most(weights: Mapping[str, float], held: Iterable[Mapping[str, float]]) -> float:
    return max((_part(weights, shares) for shares in held), default=0.0)


def _named(words: Iterable[str], first: Sequence[Ranked]) -> float:
    """Return the share of the names among the words that the snippets hold, 1 if there are none."""
    most = most_held(first)
    shares = [most.get(word, 0.0) for word in words if _NAME.search(word)]
    return fmean(shares) if shares else 1.0


def rarity(snippets: int, count: int) -> float:
    """Return the inverse document frequency of a term that `count` of so many snippets hold.

    It is that of BM25 with one added before the logarithm is taken: FTS5's `bm25()` counts a term
    that half of the snippets hold as nothing, which may be the subject of a library.
    """
    return math.log((snippets + 1) / (count + 0.5))


def _prior(match: Match) -> float:
    """Return a preference, whatever the question: overviews first, history last."""
    return (
        _path_prior(match.snippet.path)
        + 0.5 * (match.place == 0)
        + 0.2 / (1 + match.snippet.title.count(" > "))
        + 0.2 * (match.snippet.kind == "code")
    )


@lru_cache(maxsize=MOST_PATHS)
def _path_prior(path: str) -> float:
    path = path.lower()
    return (
        0.5 * bool(_OVERVIEW.search(path))
        + 0.5 / (1 + path.count("/"))
        - 0.7 * bool(_HISTORY.search(path))
    )
