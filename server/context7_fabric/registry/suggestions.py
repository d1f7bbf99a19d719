"""Suggestions: stand-by, until the ranking stands here."""

from __future__ import annotations

from dataclasses import dataclass

from context7_fabric.registry.rows import Row


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row and how well it fits."""

    row: Row
    score: float


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Candidates, best first, and how they were ranked."""

    candidates: tuple[Candidate, ...]
    method: str


class NoSuggestions:
    """Suggests nothing."""

    async def suggest(self, text: str, limit: int = 5) -> Suggestions:  # noqa: ARG002
        """Return no candidates."""
        return Suggestions((), "words")
