"""What is known of a name without upstream: rows by exact name, then labelled suggestions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import anyio

from context7_fabric.models import Answer, Outcome, Tier
from context7_fabric.parsing.libraries import Library, format_entry
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row
from context7_fabric.registry.suggestions import Suggester
from context7_fabric.render import entries
from context7_fabric.services.meanings import Meanings
from context7_fabric.services.subjects import LookUp

LOAD_SECONDS = 7.0
"""How long a name waits for the registry to be loaded that nobody else answers for: clients wait
a minute, and by then the look-up has waited three seconds."""

MOST_SUGGESTED = 5
CANDIDATES = 50
"""How many are ranked: those whose id nobody knows are of no use to a caller."""


class LocalKnowledge:
    """Answers look-ups from the registry alone."""

    def __init__(self, registry: Registry, suggester: Suggester, meanings: Meanings) -> None:
        """Look into `registry`, then into the lessons of `meanings`; phrases go to `suggester`."""
        self._registry = registry
        self._suggester = suggester
        self._meanings = meanings

    async def answer(self, look_up: LookUp, why: str) -> Answer | None:
        """Return what the registry says of a name, labelled with `why` upstream says nothing.

        None when the registry says nothing either.
        """
        with anyio.move_on_after(LOAD_SECONDS):
            await self._registry.loaded.wait()
        exact = self._registry.find(look_up.name, look_up.question)
        if exact and (rows := _usable([exact.row])):
            return replace(_known(rows, why), library_id=exact.row.id)
        if rows := _usable(self._registry.namesakes(look_up.name, look_up.question)):
            return _known(rows, why)
        lesson = await self._meanings.lesson(look_up)
        if lesson is not None:
            return replace(_known([lesson], why), library_id=lesson.id)
        if not _is_phrase(look_up.name):
            return None
        suggested = await self._suggester.suggest(look_up.name, CANDIDATES)
        rows = _usable([each.row for each in suggested.candidates])[:MOST_SUGGESTED]
        return _suggested(rows, suggested.method, why) if rows else None


def _usable(rows: Sequence[Row]) -> list[Row]:
    """Return the rows whose id upstream is believed to know."""
    return [row for row in rows if is_usable(row)]


def is_usable(row: Row) -> bool:
    """Tell whether the row has an id that upstream is believed to know."""
    return bool(row.id) and not row.broken


def _is_phrase(name: str) -> bool:
    """Tell a description from a name: whoever gives one word wants that and nothing like it."""
    return len(name.split()) > 1


def _known(rows: Sequence[Row], why: str) -> Answer:
    verified = all(row.last_verified for row in rows)
    source = "the registry" if verified else "the seed file and is unverified"
    return Answer(
        text=entries([library_of(row) for row in rows]),
        outcome=Outcome.OFFLINE,
        tier=Tier.LEARNED if verified else Tier.SEED,
        note=f"{why}; this comes from {source}.",
    )


def _suggested(rows: Sequence[Row], method: str, why: str) -> Answer:
    by = "meaning" if method == "vectors" else "the words they share"
    return Answer(
        text=entries([library_of(row) for row in rows]),
        outcome=Outcome.SUGGESTION,
        tier=Tier.LOCAL,
        note=f"{why}; these are suggestions from the local registry, not verified, ranked by {by}.",
    )


def library_of(row: Row) -> Library:
    """Return a row in the form of an entry of upstream's list."""
    bare = Library(
        id=row.id,
        title=row.title or row.name,
        description=row.description,
        snippets=row.snippets,
        reputation=row.reputation or "Unknown",
        trust_score=None,
        benchmark=row.score,
        versions=row.versions,
        source=None,
        text="",
    )
    return replace(bare, text=format_entry(bare))
