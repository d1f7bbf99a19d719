"""Ranking of a docset's snippets for a question, and the page made of the best; pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from context7_fabric.docsets.models import Docset, DocSnippet
from context7_fabric.docsets.words import Term, Word
from context7_fabric.parsing.snippets import RULE, SnippetKind

MOST_TOKENS = 5000
"""Tokens of a page, unless the caller asks for another number."""

_OVERVIEW = re.compile(
    r"index|readme|getting.?started|quick.?start|introduction|overview|usage|basics|installation"
    r"|tutorial"
)
_HISTORY = re.compile(r"change.?log|release|migrat|blog|legacy|deprecated|/v\d")


@dataclass(frozen=True, slots=True)
class Match:
    """Snippet that shares words with the question.

    `number` is its row, `place` its place in its document, from 0; `score` is BM25, greater is
    better; `held` are the question's terms that it holds.
    """

    number: int
    snippet: DocSnippet
    place: int
    tokens: int
    score: float
    held: frozenset[Term]


@dataclass(frozen=True, slots=True)
class Considered:
    """Row of an explanation: a snippet that was considered, and the words it holds."""

    title: str
    path: str
    score: float
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Text in Context7's form, its snippets, and its tokens by our estimate."""

    text: str
    snippets: tuple[DocSnippet, ...]
    tokens: int


class Retrieval:
    """Ranked snippets for one question."""

    def __init__(
        self,
        docset: Docset,
        words: Sequence[Word],
        counts: Mapping[Term, int],
        candidates: Sequence[Match],
    ) -> None:
        """Rank `candidates`; `counts` are the snippets of the docset that hold each term."""
        self._docset = docset
        self._asked = words
        self._counts = counts
        self.words = {word.text: self._weight(word) for word in words}
        self._top = max((each.score for each in candidates), default=0.0) or 1.0
        ranked = sorted(candidates, key=self._score, reverse=True)
        self.considered = tuple(
            Considered(
                each.snippet.title,
                each.snippet.path,
                self._score(each),
                tuple(word.text for word in words if self._share(word, each) > 0),
            )
            for each in ranked
        )
        self._ranked = ranked

    @property
    def confidence(self) -> float:
        """Confidence, from 0 to 1, that the first page answers the question."""
        total = sum(self.words.values())
        if not total:
            return 0.0
        return max(
            (
                sum(self.words[word.text] * self._share(word, each) for word in self._asked) / total
                for each in self._ranked[:8]
            ),
            default=0.0,
        )

    def page(
        self, max_tokens: int = MOST_TOKENS, number: int = 1, mode: SnippetKind | None = None
    ) -> Page:
        """Return page `number` (from 1) of at most `max_tokens`; empty beyond the last one."""
        left = [each for each in self._ranked if mode in (None, each.snippet.kind)]
        page = Page("", (), 0)
        for _ in range(number):
            chosen = self._choose(left, max_tokens)
            left = [each for each in left if each not in chosen]
            page = self._written(chosen)
        return page

    def _choose(self, left: Sequence[Match], max_tokens: int) -> list[Match]:
        rest, chosen, tokens = list(left), list[Match](), 0
        covered = dict.fromkeys(self.words, 0.0)
        while rest:
            best = max(rest, key=lambda each: self._gain(each, covered))
            rest.remove(best)
            size = best.tokens + 60
            if tokens + size > max_tokens and chosen:
                continue
            chosen.append(best)
            tokens += size
            for word in self._asked:
                covered[word.text] += self._share(word, best)
        return chosen

    def _gain(self, each: Match, covered: Mapping[str, float]) -> float:
        total = sum(self.words.values()) or 1
        new = sum(
            self.words[word.text] * self._share(word, each) / (1 + covered[word.text])
            for word in self._asked
        )
        return 0.65 * self._score(each) + 0.35 * new / total

    def _written(self, chosen: Sequence[Match]) -> Page:
        texts = [_written(each.snippet, self._docset.address) for each in chosen]
        tokens = sum(each.tokens + 60 for each in chosen)
        return Page(f"\n\n{RULE}\n\n".join(texts), tuple(each.snippet for each in chosen), tokens)

    def _score(self, each: Match) -> float:
        return 0.8 * each.score / self._top + 0.2 * _prior(each)

    def _weight(self, word: Word) -> float:
        return max((self._idf(term) for term in word.terms), default=0.0)

    def _idf(self, term: Term) -> float:
        return math.log((self._docset.snippets + 1) / (self._counts.get(term, 0) + 0.5))

    def _share(self, word: Word, each: Match) -> float:
        if word.whole in each.held or not word.parts:
            return float(word.whole in each.held)
        return sum(part in each.held for part in word.parts) / len(word.parts) / 2


def _prior(each: Match) -> float:
    path = each.snippet.path.lower()
    return (
        0.5 * bool(_OVERVIEW.search(path))
        + 0.3 * (each.place == 0)
        + 0.2 / (1 + each.snippet.title.count(" > "))
        - 0.7 * bool(_HISTORY.search(path))
        + 0.2 * (each.snippet.kind == "code")
    )


def _written(snippet: DocSnippet, address: str) -> str:
    source = address.format(path=snippet.path) if address else snippet.path
    if snippet.anchor:
        source += f"#{snippet.anchor}"
    return f"### {snippet.title}\n\nSource: {source}\n\n{snippet.text}"
