"""A text's paragraphs, and what they say outside of code fences.

The common ground of `notices` and `orders`: both judge paragraphs by what they say, not by how it
is typeset. What a paragraph means belongs there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from context7_fabric.parsing.snippets import prose_lines, snippet_starts

_PLAIN = str.maketrans({"\u2018": "'", "\u2019": "'", "*": None, "\u00ad": None})


@dataclass(frozen=True, slots=True)
class Paragraph:
    """The lines from `start` up to `end` of a text, which has a blank line on either side.

    `says` is its prose, in lower case, with single spaces and without emphasis: empty when it is
    all code. `opens_as_code` tells that its first line belongs to a fence.
    """

    start: int
    end: int
    says: str
    opens_as_code: bool


def paragraphs(lines: Sequence[str]) -> list[Paragraph]:
    """Return the paragraphs of a text given as lines without line ends."""
    edges = [0, *snippet_starts(lines), len(lines)]
    prose = [line for start, end in pairwise(edges) for line in prose_lines(lines[start:end])]
    return [
        Paragraph(start, end, _plain(prose[start:end]), opens_as_code=not prose[start])
        for start, end in _spans(lines)
    ]


def _spans(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    for is_blank, run in groupby(range(len(lines)), key=lambda at: not lines[at].strip()):
        if not is_blank:
            numbers = list(run)
            yield numbers[0], numbers[-1] + 1


def _plain(prose: Sequence[str]) -> str:
    folded = unicodedata.normalize("NFKC", " ".join(prose)).lower().translate(_PLAIN)
    return " ".join(folded.split())
