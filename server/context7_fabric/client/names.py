"""The names that a client has looked up: a bounded cache in memory, those unused longest go."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from context7_fabric.client.source import Found

MOST_NAMES = 1_000


@dataclass(frozen=True, slots=True)
class _Kept:
    found: Found
    until: float


class NameCache:
    """What was found by normalised name; at most `limit` names."""

    def __init__(self, limit: int = MOST_NAMES) -> None:
        """Hold nothing."""
        self._limit = limit
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def __len__(self) -> int:
        """Return how many names are held, also those past their end."""
        return len(self._kept)

    def get(self, key: str, now: float) -> Found | None:
        """Return what was found by the name `key`, unless it has ended by `now`."""
        kept = self._kept.pop(key, None)  # and back as the newest, in steps that threads may share
        if kept is None or now > kept.until:
            return None
        self._kept[key] = kept
        return kept.found

    def put(self, key: str, found: Found, until: float) -> None:
        """Hold `found` until that time, in epoch seconds."""
        self._kept[key] = _Kept(found, until)
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Hold nothing."""
        self._kept.clear()
