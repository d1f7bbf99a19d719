"""Estimate of the tokens of a text, for pages that must not exceed a number of them."""

from __future__ import annotations

import re

_PIECE = re.compile(r"[^\W\d_]+|\d{1,3}|\s+|[^\w\s]+|_")
LETTERS_A_TOKEN = 6


def estimated_tokens(text: str) -> int:
    """Return about the number of o200k tokens of `text`, rather too many than too few."""
    return sum(
        1 + (len(piece) - 1) // LETTERS_A_TOKEN for piece in _PIECE.findall(text) if piece != " "
    )
