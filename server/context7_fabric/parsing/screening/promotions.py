"""Notices that a provider puts among the documentation: sign in, upgrade, tell the user.

They are told from documentation about the same matters by where they stand. Before the first
snippet nothing else may stand; at the end of one, only what names the provider and its terms, or
speaks to the assistant about its user, is a notice; and no snippet is left without a text.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from context7_fabric.parsing.libraries import list_start
from context7_fabric.parsing.snippets import (
    RULE,
    closes_fence,
    prose_lines,
    snippet_end,
    snippet_starts,
)

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


_PROVIDER = re.compile(r"context7|ctx7")
_ADDRESSED = re.compile(
    r"\bnotice for the user\b|\bbackground for the assistant\b|\busing context7 anonymously\b"
    r"|\b(?:tell|ask|urge|advise) the user to\b.{0,80}\b(?:context7|ctx7)\b"
)
_PROMOTION = re.compile(
    r"\W*(?:(?:heads up|note|notice|tip|important)\W+)?(?:please )?(?:"
    r"(?:create|get|generate|claim) (?:a|an|your) (?:free )?(?:context7 )?(?:api key|account)\b"
    r"|upgrade (?:to|your)\b|subscribe (?:to|for)\b|(?:sign|log) ?(?:in|up)\b.{0,200}\b(?:to|for)\b"
    r"|(?:monthly |daily |free )?(?:quota|rate limit)\b|rate[ -]limited\b"
    r"|you(?:'ve| have|'re| are)? (?:reached|hit|exceeded|close to|out of|running (?:low|out))\b"
    r"|(?:tell|ask|urge|advise) the user to\b)"
)
_TERMS = re.compile(r"\b(?:free|limits?|plan|pro|quota|requests)\b")
_MORE = re.compile(r"\b(?:higher|increased|more|unlimited) (?:rate )?(?:limits?|requests|usage)\b")
_DIVIDER = re.compile(r"-{3,}|_{3,}")


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice, as it stood in the text."""

    text: str


@dataclass(frozen=True, slots=True)
class Cut:
    """A text without its notices; `left` says that one stands inside of a snippet still."""

    text: str
    notices: tuple[Notice, ...]
    left: bool


@dataclass(frozen=True, slots=True)
class _Body:
    """A snippet's paragraphs, or a whole list's; before number `least` none can be a notice."""

    parts: Sequence[Paragraph]
    end: int
    least: int
    is_about_provider: bool


def cut_notices(text: str) -> Cut:
    """Cut the notices off documentation or a list of libraries; any other text stays whole."""
    raw = text.split("\n")
    lines = [line.rstrip("\r") for line in raw]
    parts = paragraphs(lines)
    bodies = _bodies(lines, parts)
    tails = [(body, _first_of_notice(lines, body)) for body in bodies]
    spans = _lead(lines, parts, bodies[0].parts[0].start) if bodies else []
    spans += [(body.parts[at - 1].end, body.end) for body, at in tails if at < len(body.parts)]
    left = any(_names_provider(part, body) for body, at in tails for part in body.parts[:at])
    notices = (Notice("\n".join(raw[start:end]).strip()) for start, end in spans)
    return Cut(_without(raw, spans) if spans else text, tuple(notices), left)


def _without(raw: Sequence[str], spans: Sequence[tuple[int, int]]) -> str:
    edges = [0, *(edge for span in spans for edge in span), len(raw)]
    kept = (raw[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))
    return "\n".join(line for lines in kept for line in lines).removesuffix("\r")


def _bodies(lines: list[str], parts: Sequence[Paragraph]) -> list[_Body]:
    starts = snippet_starts(lines)
    ends = [snippet_end(lines, start) for start in starts[1:]] + [len(lines)]
    if starts:
        return [_snippet(_within(parts, *span), span[1]) for span in zip(starts, ends, strict=True)]
    start = list_start(lines)
    if start is None:
        return []
    return [_Body(_within(parts, start, len(lines)), len(lines), 1, is_about_provider=False)]


def _snippet(parts: Sequence[Paragraph], end: int) -> _Body:
    """Return a snippet's body: title, source, and at least one paragraph of its own."""
    is_about_provider = any(_PROVIDER.search(part.says) for part in parts[:2])
    return _Body(parts, end, 3, is_about_provider)


def _within(parts: Sequence[Paragraph], start: int, end: int) -> Sequence[Paragraph]:
    first = bisect_right(parts, start, key=lambda part: part.end)
    last = bisect_left(parts, end, key=lambda part: part.start)
    return parts[first:last]


def _lead(lines: list[str], parts: Sequence[Paragraph], first: int) -> list[tuple[int, int]]:
    """Return the span before line `first` if all of it is a notice."""
    before = _within(parts, 0, first)
    promoted = [_promotes(part) for part in before]
    said = (yes or _continues(lines, part) for yes, part in zip(promoted, before, strict=True))
    return [(0, first)] if any(promoted) and all(said) else []


def _first_of_notice(lines: list[str], body: _Body) -> int:
    """Return the number of the paragraph at which a closing notice begins; of none, the count."""
    first = len(body.parts)
    for at in range(first - 1, body.least - 1, -1):
        if _begins_notice(lines, body, at):
            first = at
        elif not _continues(lines, body.parts[at]):
            break
    divided = body.least < first < len(body.parts) and _is_divider(body.parts[first - 1])
    return first - divided


def _begins_notice(lines: list[str], body: _Body, at: int) -> bool:
    part, before = body.parts[at], body.parts[at - 1]
    # Neither behind a rule nor behind the code of a snippet does upstream put prose.
    behind_rule = lines[before.start : before.end] == [RULE]
    behind_code = closes_fence(lines[before.end - 1]) and _MORE.search(part.says)
    return _names_provider(part, body) or (_promotes(part) and bool(behind_rule or behind_code))


def _names_provider(part: Paragraph, body: _Body) -> bool:
    if not _promotes(part):
        return False
    named = _PROVIDER.search(part.says) and _TERMS.search(part.says)
    return bool((named and not body.is_about_provider) or _ADDRESSED.search(part.says))


def _promotes(part: Paragraph) -> bool:
    says = "" if part.opens_as_code else part.says
    return bool(_ADDRESSED.search(says) or _PROMOTION.match(says))


def _continues(lines: list[str], part: Paragraph) -> bool:
    """Tell whether a paragraph may be part of a notice that begins before it."""
    shown = "\n".join(lines[part.start : part.end]).lower()
    return part.says.startswith(">") or _is_divider(part) or bool(_PROVIDER.search(shown))


def _is_divider(part: Paragraph) -> bool:
    return _DIVIDER.fullmatch(part.says) is not None
