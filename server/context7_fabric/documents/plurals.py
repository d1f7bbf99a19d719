"""The singular of an English word, well enough that both spellings of a question meet.

Only plain words have one: what has a digit, a sign or an accent is an identifier or not English,
and so is a compound that begins like a function's name, because `useQuery` and `useQueries` are
two things.
"""

from __future__ import annotations

import re

# Not plurals, though they end in "s"; some would turn into a word with another meaning.
_SINGULAR = frozenset(
    "alias atlas bias bus canvas corpus https lens news redis series species status this virus"
    " windows".split()
)
_ENDS_IN_E = frozenset("cache calorie cookie die hoodie lie movie niche pie rookie tie".split())
_ENDS_IN_I_OR_U = frozenset("api cli cpu emoji gpu gui menu tpu uri".split())
_FUNCTION = re.compile(
    r"(?:create|fetch|find(?!er|ing)|generate|get(?!away|ter)|set(?!back|t|up)|use(?!r))[a-z]{4,}"
)
_SIBILANT = re.compile(r"(?:ch|sh|ss|x)es")
_SHORTEST = 4


def singular(word: str) -> str:
    """Return the singular of `word`, which is in lower case; the word itself if it has none."""
    plain = word.isascii() and word.isalpha() and len(word) >= _SHORTEST
    if not plain or not word.endswith("s") or word in _SINGULAR or _FUNCTION.fullmatch(word):
        return word
    if word[:-1] in _ENDS_IN_E or word[:-1] in _ENDS_IN_I_OR_U:
        return word[:-1]
    if word[:-2] in _SINGULAR or _SIBILANT.fullmatch(word[-4:]) or _SIBILANT.fullmatch(word[-3:]):
        return word[:-2]
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word if word.endswith(("ss", "us", "is")) else word[:-1]
