"""BM25 ranking of rows by the words they share with a phrase, in memory.

Pure and incremental, over names, aliases and descriptions. A word that no row has counts as a
misspelt name and is compared by its trigrams. The ranking suggests, it never decides.
"""

from __future__ import annotations

import math
import re
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from heapq import nlargest
from itertools import islice

from context7_fabric.parsing.keys import fold, singular
from context7_fabric.registry.rows import Row

_WORD = re.compile(r"[^\W_]+[+#]*")
_STOP = re.compile(
    "a|all|an|and|any|as|at|be|but|by|can|for|from|in|into|is|it|its|not|of|on|or|that|the|this"
    "|to|use|using|via|we|with|you|your"
)
_ENDING = re.compile(
    r"(?<=[a-z]{4})(?:ization|ational|ation|ized|izes|izing|ize|ing|ers|ed|er|ion|ive|ly|al|e)$"
)
_DOUBLED = re.compile(r"(?<=[a-z]{3})([bdfgmnprt])\1$")
_LONGEST_WORD = 40

_NAME, _ALIAS, _DESCRIPTION = 2.0, 1.5, 1.0
"""Weight of a word by its field."""

_K1, _B, _USUAL_LENGTH = 1.2, 0.75, 12.0
_MOST = _K1 + 1
_STEPS = 255
"""Steps of a word's weight in a row: a posting is `number << 8 | step`."""

_SCANNED = 20_000
"""Postings read for one phrase before its most common words only reorder the found rows."""

_FOUND = 1_000
"""Rows, the best so far, that the most common words reorder."""

_NONE = array("I")


class WordScores:
    """Share of one phrase in each row: 1 if the row is about all of its words."""

    def __init__(self, index: WordIndex, by_number: Mapping[int, float]) -> None:
        self._index = index
        self._by_number = by_number

    def of(self, key: str) -> float:
        """Return the share of the row `key`, 0 if it has none."""
        return self._by_number.get(self._index.numbers.get(key, -1), 0.0)

    def best(self, limit: int) -> list[tuple[Row, float]]:
        """Return the rows with the largest shares, the best first, equal ones by key."""
        least = min(nlargest(limit, self._by_number.values()), default=0.0)
        found = (each for each in self._by_number.items() if each[1] >= least)
        rows = ((self._index.row(number), share) for number, share in islice(found, _FOUND))
        ranked = [(row, share) for row, share in rows if row is not None]
        return sorted(ranked, key=lambda each: (-each[1], each[0].key))[:limit]


class WordIndex:
    """Rows by key, and their postings by word."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        """Begin with `rows`."""
        self.numbers: dict[str, int] = {}
        self._rows: list[Row | None] = []
        self._free: list[int] = []
        self._postings: dict[str, array[int]] = {}
        for row in rows:
            self.put(row)

    def __len__(self) -> int:
        return len(self.numbers)

    def __contains__(self, key: str) -> bool:
        return key in self.numbers

    def keys(self) -> list[str]:
        """Return the keys of all rows."""
        return list(self.numbers)

    def get(self, key: str) -> Row | None:
        """Return the row `key`, None when there is none."""
        number = self.numbers.get(key)
        return None if number is None else self._rows[number]

    def row(self, number: int) -> Row | None:
        """Return the row that has this number."""
        return self._rows[number]

    def put(self, row: Row) -> None:
        """Add `row` in place of the one with its key."""
        known = self.get(row.key)
        if known is not None and _texts(known) == _texts(row):
            self._rows[self.numbers[row.key]] = row
            return
        self.remove(row.key)
        number = self._free.pop() if self._free else self._grow()
        self.numbers[row.key] = number
        self._rows[number] = row
        for term, step in _terms(row):
            _insert(self._postings.setdefault(term, array("I")), number << 8 | step)

    def remove(self, key: str) -> None:
        """Remove the row `key`, if it is there."""
        number = self.numbers.pop(key, None)
        row = None if number is None else self._rows[number]
        if number is None or row is None:
            return
        self._rows[number] = None
        self._free.append(number)
        for term, step in _terms(row):
            postings = self._postings[term]
            del postings[bisect_left(postings, number << 8 | step)]
            if not postings:
                del self._postings[term]

    def match(self, phrase: str) -> WordScores:
        """Return the share of `phrase` in each row."""
        asked = [(self._rarity(term), weight, term) for term, weight in self._asked(phrase)]
        whole = sum(rarity * weight for rarity, weight, _ in asked) * _STEPS
        by_number: dict[int, float] = {}
        finalists: list[int] | None = None
        scanned = 0
        for rarity, weight, term in sorted(asked, reverse=True):
            postings = self._postings.get(term, _NONE)
            worth = rarity * weight / whole
            scanned += len(postings)
            if scanned <= _SCANNED or not by_number:
                _add_all(by_number, postings[:_SCANNED], worth)
                continue
            if finalists is None:
                finalists = nlargest(_FOUND, by_number, key=by_number.__getitem__)
            _add_to(finalists, by_number, postings, worth)
        return WordScores(self, by_number)

    def _asked(self, phrase: str) -> Iterator[tuple[str, float]]:
        for word, term in dict(_words(phrase)).items():
            if term in self._postings:
                yield term, 1.0
            else:
                trigrams = dict.fromkeys(_trigrams(word))
                yield from ((trigram, 1.0 / len(trigrams)) for trigram in trigrams)

    def _rarity(self, term: str) -> float:
        having = len(self._postings.get(term, ()))
        return math.log(1 + (len(self.numbers) - having + 0.5) / (having + 0.5))

    def _grow(self) -> int:
        self._rows.append(None)
        return len(self._rows) - 1


def terms_in(text: str) -> set[str]:
    """Return the terms of `text` for ranking: its words without stop words and endings."""
    return {term for _, term in _words(text)}


def _texts(row: Row) -> tuple[object, ...]:
    return row.name, row.aliases, row.description


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Yield each word of `text` that is not a stop word, and its term."""
    for found in _WORD.findall(fold(text)):
        if not _STOP.fullmatch(found):
            word = found[:_LONGEST_WORD]
            yield word, _DOUBLED.sub(r"\1", _ENDING.sub("", singular(word), count=1))


def _trigrams(word: str) -> list[str]:
    """Return the trigrams of `word` with its ends marked, which no word equals."""
    marked = f"^{word}$"
    return [f"~{marked[at : at + 3]}" for at in range(len(marked) - 2)]


def _terms(row: Row) -> list[tuple[str, int]]:
    """Return the terms of `row`, each with its weight in steps."""
    counts: defaultdict[str, float] = defaultdict(float)
    trigrams: set[str] = set()
    for weight, text in ((_NAME, row.name), *((_ALIAS, alias) for alias in row.aliases)):
        for word, term in dict(_words(text)).items():
            counts[term] += weight
            trigrams.update(_trigrams(word))
    for _, term in _words(row.description):
        counts[term] += _DESCRIPTION
    damp = _K1 * (1 - _B + _B * sum(counts.values()) / _USUAL_LENGTH)
    named = [(term, _step(count * _MOST / (count + damp))) for term, count in counts.items()]
    return named + [(trigram, _STEPS) for trigram in trigrams]


def _step(weight: float) -> int:
    return round(weight / _MOST * _STEPS)


def _insert(postings: array[int], posting: int) -> None:
    if postings and postings[-1] > posting:
        postings.insert(bisect_left(postings, posting), posting)
    else:
        postings.append(posting)


def _add_all(by_number: dict[int, float], postings: array[int], worth: float) -> None:
    get = by_number.get
    for posting in postings:
        number = posting >> 8
        by_number[number] = get(number, 0.0) + (posting & 0xFF) * worth


def _add_to(
    numbers: Iterable[int], by_number: dict[int, float], postings: array[int], worth: float
) -> None:
    for number in numbers:
        at = bisect_left(postings, number << 8)
        if at < len(postings) and postings[at] >> 8 == number:
            by_number[number] += (postings[at] & 0xFF) * worth
