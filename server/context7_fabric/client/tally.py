"""What a client counts: hits, misses, and the tokens that hits have saved."""

from __future__ import annotations

from context7_fabric.client.source import Found
from context7_fabric.models import tokens


class Tally:
    """The counts since the client was made."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._hits = 0
        self._misses = 0
        self._tokens_saved = 0

    def hit(self, found: Found) -> None:
        """Count a hit: who asked reads an id in place of a list."""
        self._hits += 1
        self._tokens_saved += max(0, found.list_tokens - tokens(found.library.library_id))

    def miss(self) -> None:
        """Count a miss."""
        self._misses += 1

    def told(self, local_cache_size: int) -> dict[str, int | float]:
        """Return the counts by the names that users know them by."""
        total = self._hits + self._misses
        return {
            "cache_hits": self._hits,
            "cache_misses": self._misses,
            "hit_rate_percent": round(100 * self._hits / total, 2) if total else 0.0,
            "local_cache_size": local_cache_size,
            "estimated_tokens_saved": self._tokens_saved,
        }
