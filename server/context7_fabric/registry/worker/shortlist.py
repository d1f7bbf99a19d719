"""Which rows the index holds: all, or the most used where there is not room for all. Pure."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

_STALE = 4
"""How many entries of the heap a held row may cause before it is made anew."""


class Shortlist:
    """The keys of the rows used most, at most `bound` of them."""

    def __init__(self, bound: int | None) -> None:
        """Hold `bound` keys; None for no bound."""
        self._bound = bound
        self._used: dict[str, int] = {}
        self._least: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._used)

    def __contains__(self, key: str) -> bool:
        return key in self._used

    def keys(self) -> list[str]:
        """Return the keys held."""
        return list(self._used)

    def offer(self, key: str, used: int) -> str | None:
        """Hold `key` if it is used enough; return the key that has no place then, if any."""
        self._used[key] = used
        if self._bound is None:
            return None
        heappush(self._least, (used, key))
        self._tidy()
        return self._drop_least() if len(self._used) > self._bound else None

    def drop(self, key: str) -> bool:
        """Let go of `key`; tell whether it was held."""
        return self._used.pop(key, None) is not None

    def _drop_least(self) -> str:
        while True:
            used, key = heappop(self._least)
            if self._used.get(key) == used:
                del self._used[key]
                return key

    def _tidy(self) -> None:
        """Forget entries that later ones took the place of, once there are many."""
        if self._bound is not None and len(self._least) > _STALE * self._bound:
            self._least = [(used, key) for key, used in self._used.items()]
            heapify(self._least)
