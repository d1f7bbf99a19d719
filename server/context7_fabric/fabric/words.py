"""Ranking by words: which texts share most with a phrase. Pure.

Every word of the phrase counts by its rarity among the texts; a word shares if one of both begins
with the other, so that `help` finds `helpful`. 1 is a text that has all the words of the phrase.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

_WORD = re.compile(r"\w+")
_STEM = 4
"""Letters that two words must share at their beginning, unless they are equal."""


class WordMatch:
    """Counts, text by text, which words of one phrase each has."""

    def __init__(self, phrase: str) -> None:
        """Begin with no text; a phrase without a word matches nothing."""
        self._asked = frozenset(_words(phrase))
        self._having: Counter[str] = Counter()
        self._total = 0

    def shared(self, text: str) -> frozenset[str]:
        """Return the phrase's words that `text` has, and count them for their rarity."""
        self._total += 1
        words = set(_words(text))
        shared = frozenset(word for word in self._asked if _has(words, word))
        self._having.update(shared)
        return shared

    def similarity(self, shared: Iterable[str]) -> float:
        """Return how much of the phrase `shared` is, 0 to 1, in view of all texts so far."""
        whole = sum(map(self._rarity, self._asked))
        return sum(map(self._rarity, shared)) / whole if whole else 0.0

    def _rarity(self, word: str) -> float:
        having = self._having[word]
        return math.log(1 + (self._total - having + 0.5) / (having + 0.5))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _has(words: set[str], asked: str) -> bool:
    if asked in words:
        return True
    return len(asked) >= _STEM and any(
        len(word) >= _STEM and (word.startswith(asked) or asked.startswith(word)) for word in words
    )
