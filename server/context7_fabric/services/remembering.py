"""What depends on a text alone is found out once a process: it can never be out of date."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeVar, TypeVarTuple, cast

from context7_fabric.parsing.ids import parse_id
from context7_fabric.parsing.screening.screen import screen

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
