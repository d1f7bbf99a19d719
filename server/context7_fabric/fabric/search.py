"""Search of contexts by their text: nearest vectors where there is a model, else shared words."""

from __future__ import annotations

import json
import logging
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from heapq import nlargest
from typing import Literal, NamedTuple, Protocol, TypeAlias

import anyio
from anyio import to_thread

from context7_fabric.embedding import AsyncEmbedder
from context7_fabric.errors import StoreError
from context7_fabric.fabric.context import Context, Json, Scope

log = logging.getLogger(__name__)

BATCH = 64
"""Contexts that are embedded at once; a batch takes about a fifth of a second."""

EMBEDDED_AT_MOST = 2000
"""Contexts that one search embeds; the next search embeds more."""

_WORD = re.compile(r"\w+")
_STEM = 4
"""Letters that two different words must share at their beginning to match."""

Vector: TypeAlias = list[float]
RankedBy = Literal["words", "vectors"]


@dataclass(frozen=True, slots=True)
class SearchMatch(Context):
    """A context with its similarity to the query (0 to 1) and the ranking that it comes from."""

    similarity: float = 0.0
    ranked_by: RankedBy = "words"


class SearchableContexts(Protocol):
    """The part of a fabric that a searcher reads."""

    def scan(self, prefix: str, scope: Scope | str = ...) -> AsyncIterator[list[Context]]:
        """Yield the contexts whose keys begin with `prefix`, page by page."""
        ...

    async def get_many(self, keys: Sequence[str], scope: Scope | str = ...) -> list[Context]:
        """Return the contexts under `keys`."""
        ...


class Searcher(Protocol):
    """Ranks contexts by their similarity to a query."""

    async def search(
        self, contexts: SearchableContexts, query: str, scope: Scope, limit: int
    ) -> list[SearchMatch]:
        """Return the contexts of `scope` most similar to `query`, the best first."""
        ...

    async def aclose(self) -> None:
        """Release all resources."""
        ...


class WordMatch:
    """Matches texts against the words of one phrase; rare words weigh more."""

    def __init__(self, phrase: str) -> None:
        """Start without texts; a phrase without words matches nothing."""
        self._asked = frozenset(_words(phrase))
        self._texts_with: Counter[str] = Counter()
        self._total = 0

    def shared(self, text: str) -> frozenset[str]:
        """Return the words of the phrase that `text` has, and count them for their rarity."""
        self._total += 1
        words = set(_words(text))
        shared = frozenset(word for word in self._asked if _has(words, word))
        self._texts_with.update(shared)
        return shared

    def similarity(self, shared: Iterable[str]) -> float:
        """Return the weight of the `shared` words in the phrase, 0 to 1."""
        whole = sum(map(self._rarity, self._asked))
        return sum(map(self._rarity, shared)) / whole if whole else 0.0

    def _rarity(self, word: str) -> float:
        having = self._texts_with[word]
        return math.log(1 + (self._total - having + 0.5) / (having + 0.5))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _has(words: set[str], asked: str) -> bool:
    if asked in words:
        return True
    return len(asked) >= _STEM and any(
        len(word) >= _STEM and (word.startswith(asked) or asked.startswith(word)) for word in words
    )


class WordSearch:
    """Reads the whole scope and ranks it by words, without an index."""

    async def search(
        self, contexts: SearchableContexts, query: str, scope: Scope, limit: int
    ) -> list[SearchMatch]:
        """Return the contexts that share words with `query`; among equals the newest first."""
        match, found = WordMatch(query), list[tuple[Context, frozenset[str]]]()

        def collect(page: list[Context]) -> None:
            for context in page:
                shared = match.shared(text_of(context))
                if shared:
                    found.append((context, shared))

        async for page in contexts.scan("", scope):
            await to_thread.run_sync(collect, page)
        scored = [(match.similarity(shared), context) for context, shared in found]
        best = nlargest(limit, scored, key=lambda each: (each[0], each[1].created_at))
        return [_matched(context, similarity, "words") for similarity, context in best]

    async def aclose(self) -> None:
        """Do nothing."""


def _matched(context: Context, similarity: float, ranked_by: RankedBy) -> SearchMatch:
    parts = {each.name: getattr(context, each.name) for each in fields(Context)}
    return SearchMatch(**parts, similarity=similarity, ranked_by=ranked_by)


def text_of(context: Context) -> str:
    """Return the text that a context is found by: its key, and its value as text or JSON."""
    return f"{context.key}\n{_text(context.value)}"


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class ContextWrite(NamedTuple):
    """One write of a key, identified by its `token`."""

    key: str
    token: str


class EmbeddedContext(NamedTuple):
    """A context and the vector of its text."""

    context: Context
    vector: Vector


class VectorHit(NamedTuple):
    """An embedded version of a context, and the cosine of its vector and the query's."""

    key: str
    version: int
    at: float
    cosine: float

    def is_of(self, context: Context | None) -> bool:
        """Return whether `context` is the version that was embedded."""
        return context is not None and (context.version, context.created_at) == (
            self.version,
            self.at,
        )


class VectorIndex(Protocol):
    """Vectors of contexts by scope. `model` is the identity of the embedding model.

    Every method raises `StoreError` when the medium fails.
    """

    async def lacking(self, scope: Scope, model: str, limit: int) -> list[ContextWrite]:
        """Return writes that `model` has not processed, the newest first."""
        ...

    async def take(
        self,
        scope: Scope,
        model: str,
        shown: Sequence[ContextWrite],
        embedded: Sequence[EmbeddedContext],
    ) -> None:
        """Mark the writes `shown` to `model` as processed, and add those that it `embedded`."""
        ...

    async def nearest(
        self, scope: Scope, model: str, vector: Vector, limit: int
    ) -> list[VectorHit]:
        """Return the hits nearest to `vector`, the nearest first; some may be out of date."""
        ...

    async def aclose(self) -> None:
        """Release the resources of the index itself."""
        ...


class VectorSearch:
    """Embeds new contexts, asks an index for the nearest, and reads their current values."""

    def __init__(
        self, index: VectorIndex, embedder: AsyncEmbedder, embedded_at_most: int = EMBEDDED_AT_MOST
    ) -> None:
        """Search `index` with vectors of `embedder`; both are closed with the search."""
        self._index = index
        self._embedder = embedder
        self._at_most = embedded_at_most
        self._embedding = anyio.Lock()
        self._words = WordSearch()

    async def search(
        self, contexts: SearchableContexts, query: str, scope: Scope, limit: int
    ) -> list[SearchMatch]:
        """Return the contexts of `scope` most similar to `query`, the best first.

        While the model is not on this machine, and when the index fails, words rank.

        Raises:
            ValueError: fastembed knows no such model, or its vectors have another size.
        """
        try:
            model = await self._embedder.identity()
            if model:
                await self._embed_new(contexts, scope, model)
                vector = await self._embedder.of_question(query)
                return await self._matches(contexts, scope, model, vector, limit)
        except StoreError as error:
            log.warning("%s: this search ranks by words", error)
        return await self._words.search(contexts, query, scope, limit)

    async def aclose(self) -> None:
        """Close index and embedder."""
        await self._index.aclose()
        await self._embedder.aclose()

    async def _embed_new(self, contexts: SearchableContexts, scope: Scope, model: str) -> None:
        left = self._at_most
        async with self._embedding:  # a second search finds nothing left to embed
            while shown := await self._index.lacking(scope, model, min(BATCH, left) or 1):
                if left <= 0:
                    log.info(
                        "more than %d contexts of %s are new to %s", self._at_most, scope, model
                    )
                    return
                found = await contexts.get_many([write.key for write in shown], scope)
                if not found:  # the store fails, or none of them can be read
                    return
                vectors = await self._embedder.of_texts([text_of(each) for each in found])
                embedded = [*map(EmbeddedContext, found, vectors)]
                await self._index.take(scope, model, shown, embedded)
                left -= len(embedded)

    async def _matches(
        self, contexts: SearchableContexts, scope: Scope, model: str, vector: Vector, limit: int
    ) -> list[SearchMatch]:
        """Return the nearest `limit` contexts that have not changed since they were embedded."""
        size = max(1, limit)
        while True:
            hits = await self._index.nearest(scope, model, vector, size)
            found = await contexts.get_many([hit.key for hit in hits], scope)
            matches = _current(hits, {context.key: context for context in found})
            if len(matches) >= limit or len(hits) < size:
                return matches[: max(0, limit)]
            size *= 2


def _current(hits: Sequence[VectorHit], contexts: Mapping[str, Context]) -> list[SearchMatch]:
    return [
        _matched(contexts[hit.key], min(1.0, max(0.0, hit.cosine)), "vectors")
        for hit in hits
        if hit.is_of(contexts.get(hit.key))
    ]
