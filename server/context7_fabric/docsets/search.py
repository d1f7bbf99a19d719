"""Search of an index: the snippets that may answer a question, with their BM25.

Terms are taken from the rarest on, while few postings are read altogether; common terms only order
what the rare ones found. All parts of BM25 are in the postings, so a score is a sum.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import accumulate
from typing import NamedTuple

from context7_fabric.docsets.postings import (
    HEAD,
    STEP,
    STEPS,
    Postings,
    Tokenizer,
    read_postings,
    together,
)
from context7_fabric.docsets.retrieval import rarity
from context7_fabric.docsets.words import Word, expression

OPENINGS = " "
"""Name under which the numbers of the first snippets of documents are stored; no token."""

POOL, LEADS = 80, 30
"""Candidates that are ranked for a question, and how many more of those that open a document."""

HEADED = 0.5
"""Part of a term's rarity that counts more for one in a heading, when candidates are chosen."""

MOST_ROWS = 4000
"""Postings that are read to choose candidates: more are of terms too common to find anything by."""

MOST_TOKENIZED = 4096
"""Terms whose tokens are remembered."""

_WORTH = [STEP * (byte & STEPS) + HEADED * (byte >= HEAD) for byte in range(HEAD + STEPS + 1)]
"""Worth of each byte of a posting for a term of rarity 1, when candidates are chosen."""

_PHRASE = "SELECT rowid FROM words WHERE words MATCH ?"
_PLACED = "{path title names text}"


class Hit(NamedTuple):
    """Snippet that shares terms with a question; `score` is BM25, greater is better."""

    score: float
    held: frozenset[str]
    headed: frozenset[str]


NO_HIT = Hit(0.0, frozenset(), frozenset())


class Found(NamedTuple):
    """Number of snippets that hold each term, and the hits by the number of the snippet."""

    counts: Mapping[str, int]
    hits: Mapping[int, Hit]


def search(database: sqlite3.Connection, snippets: int, words: Sequence[Word]) -> Found:
    """Return what the index in `database`, of so many snippets, has for the words of a question.

    Raise ValueError if the index is damaged.
    """
    terms = {term: _tokens(term) for word in words for term in word.terms}
    postings = _postings(database, terms)
    counts = {term: len(each.numbers) for term, each in postings.items()}
    searched = [term for word in words for term in word.searched if counts[term]]
    if not searched:
        return Found(counts, {})
    leads = _openings(database)
    pool = _pool(leads, snippets, {term: postings[term] for term in _rare(searched, counts)})
    rated = {term: rarity(snippets, counts[term]) for term in dict.fromkeys(searched)}
    return Found(counts, _hits(pool, postings, rated))


def _postings(
    database: sqlite3.Connection, terms: Mapping[str, Sequence[str]]
) -> dict[str, Postings]:
    """Return the postings of each term; several tokens have to stand in a row."""
    known = read_postings(database, {token for tokens in terms.values() for token in tokens})
    found = dict[str, Postings]()
    for term, tokens in terms.items():
        parts = [known.get(token, Postings()) for token in tokens]
        if len(parts) > 1 and all(each.numbers for each in parts):
            rows = database.execute(_PHRASE, (f"{_PLACED} : {expression(term)}",))
            found[term] = together(parts, [number for (number,) in rows.fetchall()])
        else:
            found[term] = parts[0] if len(parts) == 1 else Postings()
    return found


def _openings(database: sqlite3.Connection) -> Collection[int]:
    return read_postings(database, [OPENINGS]).get(OPENINGS, Postings()).numbers


@lru_cache(maxsize=MOST_TOKENIZED)
def _tokens(term: str) -> tuple[str, ...]:
    return _tokenizer().tokens(term)


@cache
def _tokenizer() -> Tokenizer:
    return Tokenizer()


def _rare(terms: Collection[str], counts: Mapping[str, int]) -> list[str]:
    """Return the rarest terms, at least one, of which few postings altogether have to be read."""
    ordered = sorted(set(terms), key=lambda term: (counts[term], term))
    rows = accumulate(counts[term] for term in ordered)
    few = [term for term, total in zip(ordered, rows, strict=True) if total <= MOST_ROWS]
    return few or ordered[:1]


def _pool(leads: Collection[int], snippets: int, postings: Mapping[str, Postings]) -> set[int]:
    """Return the numbers of the best snippets by rare terms, and of the best opening ones.

    Raise ValueError if a number is of no snippet.
    """
    found = set[int]().union(*(each.numbers for each in postings.values()))
    if max(found) > snippets:
        raise ValueError("a list of snippets is damaged")
    scores = _added(snippets, postings.values())
    opening = found.intersection(leads)
    return {*_best(found, scores, POOL), *_best(opening, scores, LEADS)}


def _added(snippets: int, postings: Iterable[Postings]) -> list[float]:
    """Return the sum of the worth of all postings of each snippet, by its number."""
    scores = [0.0] * (snippets + 1)
    for each in postings:
        weight = rarity(snippets, len(each.numbers))
        worth = [weight * part for part in _WORTH]
        for number, part in zip(each.numbers, each.parts, strict=True):
            scores[number] += worth[part]
    return scores


def _best(numbers: Iterable[int], scores: Sequence[float], most: int) -> list[int]:
    return sorted(sorted(numbers), key=scores.__getitem__, reverse=True)[:most]


def _hits(
    pool: Iterable[int], postings: Mapping[str, Postings], rated: Mapping[str, float]
) -> dict[int, Hit]:
    """Return the hits; every term counts for the words, the rated ones for the score."""
    numbers = sorted(pool)
    scores, held, headed = [0.0] * len(numbers), [0] * len(numbers), [0] * len(numbers)
    for place, (term, each) in enumerate(postings.items()):
        step, bit = STEP * rated.get(term, 0.0), 1 << place
        for at, part in _parts(numbers, each):
            scores[at] += step * (part & STEPS)
            held[at] |= bit
            headed[at] |= bit if part & HEAD else 0
    terms = {bits: _chosen(postings, bits) for bits in {*held, *headed}}
    rows = zip(numbers, scores, held, headed, strict=True)
    return {number: Hit(score, terms[one], terms[two]) for number, score, one, two in rows}


def _parts(wanted: Sequence[int], postings: Postings) -> Iterator[tuple[int, int]]:
    """Yield the place in `wanted` of each number that is posted, and its byte; both are sorted."""
    numbers, parts = postings
    place, end = 0, len(numbers)
    for at, number in enumerate(wanted):
        place = bisect_left(numbers, number, place)
        if place == end:
            return
        if numbers[place] == number:
            yield at, parts[place]


def _chosen(terms: Iterable[str], bits: int) -> frozenset[str]:
    return frozenset(term for place, term in enumerate(terms) if bits >> place & 1)
