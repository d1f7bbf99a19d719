"""The singular of an English word, well enough for ranking.

Only plain words have one: what has a digit, a sign or an accent is an identifier or not English,
and so is a compound that begins like a function's name, because `useQuery` and `useQueries` are
two things.
"""

from __future__ import annotations

import re

# Not plurals, though they end in "s"; without it some would be another word.
_SINGULAR = re.compile(
    "alias|atlas|bias|bus|canvas|corpus|https|lens|news|redis|series|species|status|this|virus"
    "|windows"
)
# Their plurals end like words that have none, or that end in "y" or a sibilant.
_PLAIN = re.compile(
    "api|cache|calorie|cli|cookie|cpu|db|die|emoji|gpu|gui|hoodie|id|lie|menu|movie|niche|pie|tie"
    "|uri|vm"
)
_FUNCTION = re.compile(
    r"(?:create|fetch|find(?!er|ing)|generate|get(?!away|ter)|set(?!back|t|up)|use(?!r))[a-z]{4,}"
)
_SIBILANT = ("ches", "shes", "sses", "xes")
_SHORTEST = 4


def singular(word: str) -> str:
    """Return the singular of `word`, which is in lower case; the word itself if it has none."""
    if not (word.endswith("s") and word.isascii() and word.isalpha()):
        return word
    if _PLAIN.fullmatch(word[:-1]):
        return word[:-1]
    if len(word) < _SHORTEST or _SINGULAR.fullmatch(word) or _FUNCTION.match(word):
        return word
    if word.endswith(_SIBILANT) or _SINGULAR.fullmatch(word[:-2]):
        return word[:-2]
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word if word.endswith(("ss", "us", "is")) else word[:-1]
