"""What depends on a text alone is found out once a process: it can never be out of date."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Generic, TypeVar, TypeVarTuple, cast

from context7_fabric.models import Clock
from context7_fabric.parsing.ids import parse_id
from context7_fabric.parsing.screening import screen

_Rest = TypeVarTuple("_Rest")
_T = TypeVar("_T")

MOST_TEXTS: Final = 128
LONGEST_TEXT: Final = 32_768
"""How many texts of Context7's, and of how many characters; nearly every answer is shorter."""

MOST_QUESTIONS: Final = 512
LONGEST_QUESTION: Final = 1_000
"""How many texts of callers, and of how many characters."""


def remembered(
    most: int, longest: int
) -> Callable[[Callable[[str, *_Rest], _T]], Callable[[str, *_Rest], _T]]:
    """Keep what a function returned for the `most` calls that were made last.

    Of a text with more than `longest` characters, its first argument, nothing is kept.
    """

    def decorate(
        work: Callable[[str, *_Rest], _T],
    ) -> Callable[[str, *_Rest], _T]:
        kept = cast("Callable[[str, *_Rest], _T]", lru_cache(most)(work))

        def looked_up(text: str, *rest: *_Rest) -> _T:
            return kept(text, *rest) if len(text) <= longest else work(text, *rest)

        return looked_up

    return decorate


screened = remembered(MOST_TEXTS, LONGEST_TEXT)(screen)
id_of = remembered(MOST_QUESTIONS, LONGEST_QUESTION)(parse_id)


MOST = 1024

V = TypeVar("V")


class TimedCache(Generic[V]):
    """Values that are remembered for some seconds; the oldest go when there are too many."""

    def __init__(self, clock: Clock, seconds: float, most: int = MOST) -> None:
        """Remember each value for `seconds`, and at most `most` of them."""
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._noted: OrderedDict[str, tuple[float, V]] = OrderedDict()

    def put(self, key: str, value: V) -> None:
        """Remember `value` under `key`, from now on."""
        self._noted.pop(key, None)
        self._noted[key] = (self._clock(), value)
        while len(self._noted) > self._most:
            self._noted.popitem(last=False)

    def get(self, key: str) -> V | None:
        """Return what is remembered under `key`, None when nothing is any more."""
        noted = self._noted.get(key)
        if noted is None:
            return None
        at, value = noted
        # A clock that was set back would keep a value for as long as it was ahead.
        return value if 0 <= self._clock() - at < self._seconds else None
