"""Postings of terms: the snippets that hold a term, and its part of their BM25, worked out once.

FTS5 cuts text into terms and knows their places, but its `bm25()` works every score out anew from
the places of all terms. So each term has a row of its own: the numbers of its snippets, in order,
and a byte for each: `HEAD` if path, title or names hold the term, and in steps the part that it has
in the snippet's BM25 before its rarity (k1 = 1.2 and b = 0.75, as in `bm25()`).
"""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

HEAD, STEPS = 0x80, 0x7F
"""Bit of a term in path, title or names, and the bits that count the steps of its part."""

TOKENIZER = "porter unicode61"

SCHEMA = (
    "CREATE TABLE postings (term TEXT PRIMARY KEY, width INTEGER NOT NULL,"
    " numbers BLOB NOT NULL, parts BLOB NOT NULL) WITHOUT ROWID"
)

K1, B = 1.2, 0.75
GREATEST = K1 + 1
"""Part that a term has in BM25 at most, whatever its frequency."""

STEP = GREATEST / STEPS

_INSERT = "INSERT INTO postings VALUES (?, ?, ?, ?)"
_SELECT = (
    "SELECT term, width, numbers, parts FROM postings"
    " WHERE term IN (SELECT value FROM json_each(?))"
)
_TYPES = {2: "H", 4: "I"}


class Postings(NamedTuple):
    """Numbers of the snippets that hold a term, in order, and a byte for each."""

    numbers: Sequence[int] = ()
    parts: bytes = b""

    def part(self, number: int) -> int:
        """Return the byte of a snippet, 0 if it does not hold the term."""
        place = bisect_left(self.numbers, number)
        if place < len(self.numbers) and self.numbers[place] == number:
            return self.parts[place]
        return 0


def read_postings(database: sqlite3.Connection, tokens: Collection[str]) -> dict[str, Postings]:
    """Return the postings of those tokens that a snippet holds.

    Raise ValueError if a row is damaged.
    """
    rows = database.execute(_SELECT, (json.dumps([*tokens]),)).fetchall()
    return {term: _postings(width, numbers, parts) for term, width, numbers, parts in rows}


def _postings(width: int, stored: bytes, parts: bytes) -> Postings:
    numbers = array(_TYPES[width])
    numbers.frombytes(stored)
    if sys.byteorder == "big":
        numbers.byteswap()
    if len(numbers) != len(parts):
        raise ValueError("a list of snippets is damaged")
    return Postings(numbers, parts)


def together(postings: Sequence[Postings], numbers: Iterable[int]) -> Postings:
    """Return the postings of several tokens in a row, which stand so in `numbers`, in order."""
    found = list(numbers)
    return Postings(
        found, bytes(_least([each.part(number) for each in postings]) for number in found)
    )


def _least(parts: Sequence[int]) -> int:
    return min(part & STEPS for part in parts) | min(part & HEAD for part in parts)


def write_postings(
    database: sqlite3.Connection,
    lengths: Sequence[float],
    weights: Mapping[str, float],
    heads: Collection[str],
) -> None:
    """Fill the table from the FTS5 table `words`, of whose columns are `weights` and `heads`.

    `lengths` are those of the snippets, whose numbers are 1 and so on.
    """
    database.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, words, instance)")
    mean = sum(lengths) / len(lengths) if lengths else 1.0
    norms = [0.0, *(K1 * (1 - B + B * length / mean) for length in lengths)]
    found = _terms(database, weights, heads)
    database.executemany(
        _INSERT,
        (_row(term, numbers, _parts(numbers, norms, headed)) for term, numbers, headed in found),
    )
    database.execute("DROP TABLE temp.terms")


def write_numbers(database: sqlite3.Connection, term: str, numbers: Sequence[int]) -> None:
    """Store numbers of snippets under a name that is no token."""
    database.execute(_INSERT, _row(term, numbers, bytes(len(numbers))))


def _row(term: str, numbers: Collection[int], parts: bytes) -> tuple[str, int, bytes, bytes]:
    width = 2 if max(numbers, default=0) < 1 << 16 else 4
    stored = array(_TYPES[width], numbers)
    if sys.byteorder == "big":
        stored.byteswap()
    return term, width, stored.tobytes(), parts


def _terms(
    database: sqlite3.Connection, weights: Mapping[str, float], heads: Collection[str]
) -> Iterator[tuple[str, Mapping[int, float], Collection[int]]]:
    """Yield each term with the weighted frequency by snippet, and the snippets that it heads."""
    current, found, headed = "", defaultdict[int, float](float), set[int]()
    for term, number, column in database.execute("SELECT term, doc, col FROM temp.terms"):
        if term != current:
            if found:
                yield current, found, headed
            current, found, headed = term, defaultdict(float), set()
        found[number] += weights[column]
        if column in heads:
            headed.add(number)
    if found:
        yield current, found, headed


def _parts(
    frequencies: Mapping[int, float], norms: Sequence[float], headed: Collection[int]
) -> bytes:
    return bytes(
        max(1, round(GREATEST * each / (each + norms[number]) / STEP)) | HEAD * (number in headed)
        for number, each in frequencies.items()
    )


class Tokenizer:
    """Tokens of a text as FTS5 cuts them for the index; threads may share it."""

    def __init__(self) -> None:
        """Set up a table in memory."""
        self._turn = threading.Lock()
        self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._database.execute(
            f"CREATE VIRTUAL TABLE asked USING fts5(text, content='', tokenize='{TOKENIZER}')"
        )
        self._database.execute("CREATE VIRTUAL TABLE tokens USING fts5vocab(asked, instance)")

    def tokens(self, text: str) -> tuple[str, ...]:
        """Return the tokens of `text` in their order."""
        with self._turn:
            self._database.execute("INSERT INTO asked (rowid, text) VALUES (1, ?)", (text,))
            rows = self._database.execute("SELECT term FROM tokens ORDER BY offset").fetchall()
            self._database.execute("INSERT INTO asked (asked) VALUES ('delete-all')")
        return tuple(term for (term,) in rows)
