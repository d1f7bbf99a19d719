"""What is known of a name without upstream: rows by exact name, then labelled suggestions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from context7_fabric.documents.libraries import Library, format_entry
from context7_fabric.models import Answer, Outcome, Tier
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row
from context7_fabric.registry.suggestions import Suggester
from context7_fabric.render import entries
from context7_fabric.services.subjects import LookUp

MOST_SUGGESTED = 5


class LocalKnowledge:
    """Answers look-ups from the registry alone."""

    def __init__(self, registry: Registry, suggester: Suggester) -> None:
        """Look into `registry`; what is in no row by name goes to `suggester`."""
        self._registry = registry
        self._suggester = suggester

    async def answer(self, look_up: LookUp) -> Answer | None:
        """Return what the registry says of a name, labelled; None when it says nothing."""
        await self._registry.loaded.wait()
        exact = self._registry.find(look_up.name, look_up.question)
        if exact is not None and exact.row.id and not exact.row.broken:
            return _known([exact.row])
        phrase = f"{look_up.name} {look_up.question}".strip()
        suggested = await self._suggester.suggest(phrase, MOST_SUGGESTED)
        rows = [each.row for each in suggested.candidates if each.row.id and not each.row.broken]
        return _suggested(rows, suggested.method) if rows else None


def _known(rows: Sequence[Row]) -> Answer:
    verified = all(row.last_verified for row in rows)
    source = "the registry" if verified else "the seed file and is unverified"
    return Answer(
        text=entries([library_of(row) for row in rows]),
        outcome=Outcome.OFFLINE,
        tier=Tier.SEED if not verified else Tier.LEARNED,
        library_id=rows[0].id,
        note=f"Context7 gave no answer; this comes from {source}.",
    )


def _suggested(rows: Sequence[Row], method: str) -> Answer:
    by = "meaning" if method == "vectors" else "the words they share"
    return Answer(
        text=entries([library_of(row) for row in rows]),
        outcome=Outcome.SUGGESTION,
        tier=Tier.LOCAL,
        note="Context7 gave no answer; these are suggestions from the local registry, not"
        f" verified, ranked by {by}.",
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
