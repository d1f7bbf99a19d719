"""Searching contexts by what they say, and the way that works on every backend: by words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields
from heapq import nlargest
from typing import Literal, Protocol

from anyio import to_thread

from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.words import WordMatch

RankedBy = Literal["words", "vectors"]


@dataclass(frozen=True, slots=True)
class Match(Context):
    """A context that was found, how similar it is to the query (0 to 1), and what tells so."""

    similarity: float = 0.0
    ranked_by: RankedBy = "words"


class Contexts(Protocol):
    """What a searcher reads: a fabric."""

    def scan(self, prefix: str, scope: Scope | str = ...) -> AsyncIterator[list[Context]]:
        """Yield what lives under keys that begin with `prefix`, page by page."""
        ...

    async def get_many(self, keys: Sequence[str], scope: Scope | str = ...) -> list[Context]:
        """Return what lives under `keys`."""
        ...


class Searcher(Protocol):
    """A way to find contexts by what they say."""

    async def search(self, contexts: Contexts, query: str, scope: Scope, limit: int) -> list[Match]:
        """Return the contexts of `scope` most similar to `query`, the best first."""
        ...

    async def aclose(self) -> None:
        """Let go of what searching needed."""
        ...


class WordSearch:
    """Reads the whole scope and ranks it by words: no index, and nothing to keep in step."""

    async def search(self, contexts: Contexts, query: str, scope: Scope, limit: int) -> list[Match]:
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


def matched(context: Context, similarity: float, ranked_by: RankedBy) -> Match:
    """Return `context` as a match."""
    parts = {each.name: getattr(context, each.name) for each in fields(Context)}
    return Match(**parts, similarity=similarity, ranked_by=ranked_by)


def text_of(context: Context) -> str:
    """Return what a context is found by: its key and its value, without JSON's signs."""
    return f"{context.key}\n{_text(context.value)}"


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
