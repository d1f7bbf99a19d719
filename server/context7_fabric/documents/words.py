"""Folding of text in which only the spelling of a word may differ."""

from __future__ import annotations

import unicodedata

_APOSTROPHES = str.maketrans("\u2018\u2019", "''")


def fold(text: str) -> str:
    """Return `text` with compatible characters, letter case and apostrophes made one."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.translate(_APOSTROPHES)
