"""Lines that were purged from a docset, by their digests, so that a refresh leaves them out too.

A line is kept as a digest, as it may be a secret. A line with the purged text is in no snippet
without that text, so nothing else is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from context7_fabric.docsets.models import DocSnippet

PURGED = "snippets: purged"
"""Reason for which purged snippets are counted among what a docset leaves out."""

MOST_PURGED = 10_000
"""Digests that a docset keeps, the newest; a purge of more lines is of text that is everywhere."""

_LENGTH = 16


def digests_of(snippet: DocSnippet, holds: Callable[[str], bool]) -> Iterator[str]:
    """Yield the digests of a purged snippet: of each line that `holds` the text, else of all."""
    found = [line for line in snippet.whole.split("\n") if holds(line)]
    yield from map(_digest, found or [snippet.whole])


def kept(before: Sequence[str], new: Iterable[str]) -> tuple[str, ...]:
    """Return the digests of a docset with new ones, each once, no more than `MOST_PURGED`."""
    return tuple(dict.fromkeys((*before, *new)))[-MOST_PURGED:]


def without_purged(snippets: Sequence[DocSnippet], purged: Collection[str]) -> Sequence[DocSnippet]:
    """Return the snippets that hold no purged line."""
    digests = frozenset(purged)
    return [each for each in snippets if not digests or digests.isdisjoint(_digests(each))]


def _digests(snippet: DocSnippet) -> Iterator[str]:
    return map(_digest, (*snippet.whole.split("\n"), snippet.whole))


def _digest(line: str) -> str:
    plain = " ".join(line.split()).encode("utf-8", "surrogatepass")
    return hashlib.sha256(plain).hexdigest()[:_LENGTH]
