"""Which rows share words with a phrase: BM25 over names, aliases and descriptions, in memory.

Pure and incremental. A word that no row has is taken for a misspelt name and compared by its
three-letter pieces. What is ranked here is only ever suggested; it never decides what is meant.
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
"""How much a word counts by where it stands."""

_K1, _B, _USUAL_LENGTH = 1.2, 0.75, 12.0
_MOST = _K1 + 1
_STEPS = 255
"""In how many steps a word's weight in a row is kept: a posting is `number << 8 | step`."""

_SCANNED = 20_000
"""Postings looked at for one phrase before its commonest words only order what was found."""

_FOUND = 1_000
"""How many rows, the best so far, those commonest words are looked up for."""

_NONE = array("I")


class WordScores:
    """How much of one phrase each row shares: 1 when a row is about all its words, rare or not."""

    def __init__(self, index: WordIndex, by_number: Mapping[int, float]) -> None:
        self._index = index
        self._by_number = by_number

    def of(self, key: str) -> float:
        """Return the share of the row `key`, 0 where it has none."""
        return self._by_number.get(self._index.numbers.get(key, -1), 0.0)

    def best(self, limit: int) -> list[tuple[Row, float]]:
        """Return the rows that share most, the best first, equals in the order of their keys."""
        least = min(nlargest(limit, self._by_number.values()), default=0.0)
        found = (each for each in self._by_number.items() if each[1] >= least)
        rows = ((self._index.row(number), share) for number, share in islice(found, _FOUND))
        ranked = [(row, share) for row, share in rows if row is not None]
        return sorted(ranked, key=lambda each: (-each[1], each[0].key))[:limit]


class WordIndex:
    """Rows by key, and the words they are found by."""

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
        """Take `row` in, in the place of one with its key."""
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
        """Forget the row `key`, if it is there."""
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
        """Tell how much of `phrase` each row shares."""
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
                pieces = dict.fromkeys(_pieces(word))
                yield from ((piece, 1.0 / len(pieces)) for piece in pieces)

    def _rarity(self, term: str) -> float:
        having = len(self._postings.get(term, ()))
        return math.log(1 + (len(self.numbers) - having + 0.5) / (having + 0.5))

    def _grow(self) -> int:
        self._rows.append(None)
        return len(self._rows) - 1


def terms_in(text: str) -> set[str]:
    """Return what `text` is found by: its words without stop words and endings, for ranking."""
    return {term for _, term in _words(text)}


def _texts(row: Row) -> tuple[object, ...]:
    return row.name, row.aliases, row.description


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Give each word of `text` that says something, and the term that it is found by."""
    for found in _WORD.findall(fold(text)):
        if not _STOP.fullmatch(found):
            word = found[:_LONGEST_WORD]
            yield word, _DOUBLED.sub(r"\1", _ENDING.sub("", singular(word), count=1))


def _pieces(word: str) -> list[str]:
    """Return the three-letter pieces of `word` with its ends marked, which no word looks like."""
    marked = f"^{word}$"
    return [f"~{marked[at : at + 3]}" for at in range(len(marked) - 2)]


def _terms(row: Row) -> list[tuple[str, int]]:
    """Return what `row` is found by, each with its weight in steps."""
    counts: defaultdict[str, float] = defaultdict(float)
    pieces: set[str] = set()
    for weight, text in ((_NAME, row.name), *((_ALIAS, alias) for alias in row.aliases)):
        for word, term in dict(_words(text)).items():
            counts[term] += weight
            pieces.update(_pieces(word))
    for _, term in _words(row.description):
        counts[term] += _DESCRIPTION
    damp = _K1 * (1 - _B + _B * sum(counts.values()) / _USUAL_LENGTH)
    named = [(term, _step(count * _MOST / (count + damp))) for term, count in counts.items()]
    return named + [(piece, _STEPS) for piece in pieces]


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
