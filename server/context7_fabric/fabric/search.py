"""Searching contexts by what they say, and the way that works on every backend: by words."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, fields
from heapq import nlargest
from typing import Literal, Protocol

from anyio import to_thread

from context7_fabric.fabric.context import Context, Json, Scope

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


RankedBy = Literal["words", "vectors"]


@dataclass(frozen=True, slots=True)
class SearchMatch(Context):
    """A context that was found, how similar it is to the query (0 to 1), and what tells so."""

    similarity: float = 0.0
    ranked_by: RankedBy = "words"


class SearchableContexts(Protocol):
    """What a searcher reads: a fabric."""

    def scan(self, prefix: str, scope: Scope | str = ...) -> AsyncIterator[list[Context]]:
        """Yield what lives under keys that begin with `prefix`, page by page."""
        ...

    async def get_many(self, keys: Sequence[str], scope: Scope | str = ...) -> list[Context]:
        """Return what lives under `keys`."""
        ...


class Searcher(Protocol):
    """A way to find contexts by what they say."""

    async def search(
        self, contexts: SearchableContexts, query: str, scope: Scope, limit: int
    ) -> list[SearchMatch]:
        """Return the contexts of `scope` most similar to `query`, the best first."""
        ...

    async def aclose(self) -> None:
        """Let go of what searching needed."""
        ...


class WordSearch:
    """Reads the whole scope and ranks it by words: no index, and nothing to keep in step."""

    async def search(
        self, contexts: SearchableContexts, query: str, scope: Scope, limit: int
    ) -> list[SearchMatch]:
        """Return the contexts that share words with `query`; among equals the newest first."""
        match, found = WordMatch(query), list[tuple[Context, frozenset[str]]]()

        def look(page: list[Context]) -> None:
            for context in page:
                shared = match.shared(text_of(context))
                if shared:
                    found.append((context, shared))

        async for page in contexts.scan("", scope):
            await to_thread.run_sync(look, page)
        scored = [(match.similarity(shared), context) for context, shared in found]
        best = nlargest(limit, scored, key=lambda each: (each[0], each[1].created_at))
        return [matched(context, similarity, "words") for similarity, context in best]

    async def aclose(self) -> None:
        """Do nothing."""


def matched(context: Context, similarity: float, ranked_by: RankedBy) -> SearchMatch:
    """Return `context` as a match."""
    parts = {each.name: getattr(context, each.name) for each in fields(Context)}
    return SearchMatch(**parts, similarity=similarity, ranked_by=ranked_by)


def text_of(context: Context) -> str:
    """Return what a context is found by: its key and its value, without JSON's signs."""
    return f"{context.key}\n{_text(context.value)}"


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
