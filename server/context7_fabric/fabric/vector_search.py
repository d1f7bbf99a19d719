"""Searching contexts by meaning: nearest vectors first, while there is a model; else by words."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import anyio

from context7_fabric.errors import StoreError
from context7_fabric.fabric.context import Context, Scope
from context7_fabric.fabric.embedding import AsyncEmbedder, Vector
from context7_fabric.fabric.search import (
    SearchableContexts,
    SearchMatch,
    WordSearch,
    matched,
    text_of,
)

log = logging.getLogger(__name__)

BATCH = 64
"""Contexts that are embedded at once: about a fifth of a second."""

EMBEDDED_AT_MOST = 2000
"""Contexts that one search embeds; those that remain are left to the next."""


class ContextWrite(NamedTuple):
    """One write of a key; `token` tells it from every other."""

    key: str
    token: str


class EmbeddedContext(NamedTuple):
    """A context and the vector of its text."""

    context: Context
    vector: Vector


class VectorHit(NamedTuple):
    """What an index found: a context as it was when it was embedded, and its cosine."""

    key: str
    version: int
    at: float
    cosine: float

    def is_of(self, context: Context | None) -> bool:
        """Tell whether `context` is still the one that was embedded."""
        return context is not None and (context.version, context.created_at) == (
            self.version,
            self.at,
        )


class VectorIndex(Protocol):
    """Vectors of contexts by scope. `model` is the identity of the one that made them.

    Every method raises `StoreError` when the medium fails.
    """

    async def lacking(self, scope: Scope, model: str, limit: int) -> list[ContextWrite]:
        """Return writes whose texts `model` was not shown, the newest first."""
        ...

    async def take(
        self,
        scope: Scope,
        model: str,
        shown: Sequence[ContextWrite],
        embedded: Sequence[EmbeddedContext],
    ) -> None:
        """Note that `model` was `shown` these writes, and what it made of those that are there."""
        ...

    async def nearest(
        self, scope: Scope, model: str, vector: Vector, limit: int
    ) -> list[VectorHit]:
        """Return what is nearest to `vector`, the nearest first; perhaps what is no more."""
        ...

    async def aclose(self) -> None:
        """Let go of what is the index's own."""
        ...


class VectorSearch:
    """Embeds what is new, asks an index for the nearest, and reads what they are by now."""

    def __init__(
        self, index: VectorIndex, embedder: AsyncEmbedder, embedded_at_most: int = EMBEDDED_AT_MOST
    ) -> None:
        """Search `index` by what `embedder` makes of texts; both are closed with the search."""
        self._index = index
        self._embedder = embedder
        self._at_most = embedded_at_most
        self._embedding = anyio.Lock()
        self._words = WordSearch()

    async def search(
        self, contexts: SearchableContexts, query: str, scope: Scope, limit: int
    ) -> list[SearchMatch]:
        """Return the contexts of `scope` most similar to `query`, the best first.

        By words while the model is not on this machine, and when the index fails.

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
        """Let go of index and model."""
        await self._index.aclose()
        await self._embedder.aclose()

    async def _embed_new(self, contexts: SearchableContexts, scope: Scope, model: str) -> None:
        left = self._at_most
        async with self._embedding:  # whoever waits finds it done
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
        """Return the nearest `limit` of those that are still what they were."""
        size = max(1, limit)
        while True:
            hits = await self._index.nearest(scope, model, vector, size)
            found = await contexts.get_many([hit.key for hit in hits], scope)
            matches = _current(hits, {context.key: context for context in found})
            if len(matches) >= limit or len(hits) < size:
                return matches[: max(0, limit)]
            size *= 2


def _current(hits: Sequence[VectorHit], contexts: Mapping[str, Context]) -> list[SearchMatch]:
    """Return the matches of those hits whose contexts did not change since."""
    return [
        matched(contexts[hit.key], min(1.0, max(0.0, hit.cosine)), "vectors")
        for hit in hits
        if hit.is_of(contexts.get(hit.key))
    ]
