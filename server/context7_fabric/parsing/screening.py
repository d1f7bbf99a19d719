"""Screening of texts from outside for injected orders, promotions and hidden characters.

Texts are screened before admission, and each time a stored one is served. Hidden characters and
separate promotions are removed; everything else is only flagged. Text in code fences is searched
for hidden characters only.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final
from unicodedata import bidirectional

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
    """Lines from `start` up to `end` of a text, between blank lines.

    `says` is its prose, in lower case, with single spaces and without emphasis: empty if it is all
    code. `opens_as_code` is True if its first line belongs to a fence.
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
class WithoutPromotions:
    """Text without its notices; `left` is True if a snippet still contains one."""

    text: str
    notices: tuple[str, ...]
    left: bool


@dataclass(frozen=True, slots=True)
class _Body:
    """Paragraphs of a snippet or of a list; before number `least` none can be a notice."""

    parts: Sequence[Paragraph]
    end: int
    least: int
    is_about_provider: bool


def cut_notices(text: str) -> WithoutPromotions:
    """Cut the notices off documentation or a list of libraries; any other text stays unchanged."""
    raw = text.split("\n")
    lines = [line.rstrip("\r") for line in raw]
    parts = paragraphs(lines)
    bodies = _bodies(lines, parts)
    tails = [(body, _first_of_notice(lines, body)) for body in bodies]
    spans = _lead(lines, parts, bodies[0].parts[0].start) if bodies else []
    spans += [(body.parts[at - 1].end, body.end) for body, at in tails if at < len(body.parts)]
    left = any(_names_provider(part, body) for body, at in tails for part in body.parts[:at])
    notices = ("\n".join(raw[start:end]).strip() for start, end in spans)
    return WithoutPromotions(_without(raw, spans) if spans else text, tuple(notices), left)


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
    """Return the number of the first paragraph of a closing notice; without one, the count."""
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
    # Upstream puts no prose after a rule, nor after the code of a snippet.
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
    """Return whether a paragraph may continue a notice that begins before it."""
    shown = "\n".join(lines[part.start : part.end]).lower()
    return part.says.startswith(">") or _is_divider(part) or bool(_PROVIDER.search(shown))


def _is_divider(part: Paragraph) -> bool:
    return _DIVIDER.fullmatch(part.says) is not None


_INVISIBLE = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # control characters, except tab and line ends
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction
    "\u00ad\u034f\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f"  # zero width
    "\ufeff\ufff0-\ufffb\ufdd0-\ufdef\ufffe\uffff"
    "\u115f\u1160\u3164\uffa0"  # fillers of Hangul
    "\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"  # of shorthand and music
    "\U000e0000-\U000e0fff"  # tags, variants of ideographs, and what is reserved beside them
)
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_IDEOGRAPHS = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Arabic, Syriac, N'Ko, the scripts of India and Sri Lanka, Tibetan, Myanmar, Khmer and Mongolian:
# there a joiner behind a letter shapes it.
_JOINING = (
    "\u0620-\u0669\u066e-\u06d3\u06d5-\u06ef\u06fa-\u06ff\u0700-\u077f\u07c0-\u07fa\u08a0-\u0dff"
    "\u0f00-\u109f\u1780-\u17b3\u17b6-\u17ff\u1820-\u18af\ufb50-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc"
)
# Thai, Lao, Tibetan, Myanmar and Khmer put no blanks between words, but a place to break a line.
_UNSPACED = "\u0e01-\u0e5b\u0e81-\u0edf\u0f00-\u109f\u1780-\u17b3\u17b6-\u17ff"
_JAMO = "\u1100-\u115e\u1161-\u11ff\ua960-\ua97c\ud7b0-\ud7fb"
_PICTURES = "\u203c-\u27bf\u2934-\u2b55\u3030\u303d\u3297\u3299\ufe0f\U0001f000-\U0001faff"
_MARKS: Final = "\u061c\u200e\u200f"
_FROM_THE_RIGHT: Final = ("R", "AL")
_NEAR: Final = 8
"""Characters on either side of a direction mark in which its letter may be."""

_SUSPECT = re.compile(f"[{_INVISIBLE}{_SELECTORS}]")
_HIDDEN = re.compile(
    rf"(?P<kept>(?<=[{_JOINING}])[\u200c\u200d]"
    rf"|(?<=[{_PICTURES}])\u200d(?=[{_PICTURES}])"
    rf"|(?<=[{_IDEOGRAPHS}])[\U000e0100-\U000e01ef]"
    # A keycap, a slashed zero, a picture, an ideograph: letters of ASCII have no variants.
    rf"|(?<=[0-9#*]|[^\x00-\x7f{_INVISIBLE}{_SELECTORS}])[\ufe00-\ufe0f]"
    r"|(?<=[^\W\d_])\u00ad(?=[^\W\d_])"
    rf"|(?<=[{_UNSPACED}])\u200b(?=[{_UNSPACED}])"
    rf"|(?<=[\u1820-\u18aa])[\u180b-\u180f]|[\u115f\u1160](?=[{_JAMO}])|(?<=[{_JAMO}])[\u115f\u1160]"
    r"|(?<=[\u0300-\u034e\u0350-\u036f\u0591-\u05f4])\u034f"
    # The flags of England, Scotland and Wales are spelled in tags.
    "|(?<=\U0001f3f4)[\U000e0061-\U000e007a]{5}\U000e007f)"
    rf"|(?P<mark>(?<![{_MARKS}])[{_MARKS}](?![{_MARKS}]))"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # a terminal's colours and cursor movements
    # Its titles, links and other strings
    r"|\x1b[]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)"
    rf"|[{_INVISIBLE}{_SELECTORS}]"
)


def reveal(text: str) -> str:
    """Return `text` without hidden characters; the same object if it has none."""
    shown = text
    # A removed character may have been the one that another belonged to.
    while _SUSPECT.search(shown):
        again = _HIDDEN.sub(_kept, shown)
        if again == shown:
            break
        shown = again
    return text if shown == text else shown


def _kept(found: re.Match[str]) -> str:
    if found["mark"] and _is_beside_rtl(found.string, found.start()):
        return found[0]
    return found["kept"] or ""


def _is_beside_rtl(text: str, place: int) -> bool:
    """Return whether the nearest letter before or after a place is written from the right."""
    before, after = text[max(0, place - _NEAR) : place][::-1], text[place + 1 : place + 1 + _NEAR]
    nearest = (next(filter(str.isalpha, side), "") for side in (before, after))
    return any(letter and bidirectional(letter) in _FROM_THE_RIGHT for letter in nearest)


_MODELS = r"(?:assistants?|llms?|ais?|(?:ai|llm|coding|language) (?:assistants?|agents?|models?))"
_EARLIER = r"(?:previous|prior|above|earlier|preceding|existing|original|system)"
_ALL_OF = r"(?: (?:all|any|every|everything|of|the|these|those|your|my)){0,4}"
_RULES = r"(?:instructions?|prompts?|guidelines)\b"
_ABOUT_THIS = r"(?: (?:about|of) (?:this|these|it|that)\b| that (?:you|this|these)\b|[.,;:!)]|$)"
_FETCH = r"(?:read|run|execute|open|fetch|send|upload|cat|print|visit|curl|include)\b"
_CONFIDENCE = (
    r"(?:~/\.(?:ssh|aws)\b|/etc/passwd\b|\.env\b|\bid_rsa\b|\b(?:credential|password|secret)s?\b)"
)
_QUESTION = r"(?: the user| (?:this|the|any) question)?"
# Searched in a paragraph's prose: lower case, single spaces, straight apostrophes.
_SIGNS = (
    # Against earlier instructions
    rf"(?:ignore|disregard|forget){_ALL_OF} {_EARLIER}(?: \w+)? {_RULES}",
    rf"(?:ignore|disregard|forget)(?: all)?(?: of)? your(?: \w+)? (?:{_RULES}|rules\b|training\b)",
    r"supersedes?(?: all| any)? (?:previous|prior|earlier|your)(?: \w+)? instructions\b",
    r"you are now (?:dan\b|in \w+ mode\b|an? (?:unrestricted|unfiltered|uncensored)\b)",
    r"(?:reveal|print|repeat|output) your (?:system prompt|(?:hidden |initial )?instructions)\b",
    # Claims of another speaker
    r"<\|(?:im_start|im_end|system|assistant|user)\|>",
    r"</?(?:system|assistant|system[-_](?:reminder|prompt|message))>",
    r"<</?sys>>",
    r"^\[(?:system|assistant|inst)\] \w",
    r"^(?:system|assistant) (?:override|notice|alert) ?:",
    r"^new (?:system )?instructions? ?:",
    # Commands to the model
    rf"(?:background|note|notice|important) (?:for|to) (?:the |any |all )?{_MODELS} ?[:)\]]",
    rf"(?:as|if you are) an? {_MODELS}\b[^.]{{0,40}}\byou (?:must|have to)\b",
    r"you must (?:now|immediately) (?:run|execute|download|install)\b",
    rf"before (?:you )?answer(?:ing)?{_QUESTION},? (?:\w+ ){{0,6}}?{_FETCH}",
    rf"before (?:you )?(?:respond|reply)(?:ing)? to the user,? (?:\w+ ){{0,6}}?{_FETCH}",
    # Restrictions of what the user may know
    r"(?:tell|instruct|urge|advise) the user to (?:run|execute|paste)\b",
    r"(?:please relay|relay (?:this|the following|the above))\b",
    rf"(?:do not|don't|never|without) (?:tell|inform)(?:ing)? the user{_ABOUT_THIS}",
    rf"(?:do not|don't|never) (?:mention|reveal|disclose) (?:this|these) (?:notice|{_RULES})",
    # Requests for secrets
    (
        rf"(?:read|cat|open|print|copy|send|post|upload|include|paste)\b.{{0,60}}{_CONFIDENCE}.{{0,80}}"
        r"\bin your (?:answer|reply|next (?:message|response))\b"
    ),
)
# Text in inline code or quotation marks is an example and not an order to the model.
_EXAMPLE = re.compile(
    r"`[^`]*`"
    r'|"[^"]*"'
    r"|\u201c[^\u201c\u201d]{0,2000}\u201d|\u201e[^\u201c-\u201e]{0,2000}[\u201c\u201d]"
    r"|\u00ab[^\u00ab\u00bb]{0,2000}\u00bb|\u300c[^\u300c\u300d]{0,2000}\u300d"
    r"|(?<!\w)'[^']{0,2000}(?:(?<=\w)'(?=\w)[^']{0,2000}){0,50}'(?!\w)"
)
# A quotation may also go on in the next paragraph.
_BEGIN = "(?<![\\w\"'`\u201c\u2018])"
_ORDER = re.compile(f"{_BEGIN}(?:{'|'.join(_SIGNS)})")


def is_order(says: str) -> bool:
    """Return whether a paragraph's prose gives orders to the model that reads it."""
    return _ORDER.search(_EXAMPLE.sub("''", says)) is not None


ORDERS = "orders"
"""Flag of a text that gives orders to the model that reads it."""

NOTICE = "notice"
"""Flag of a text with a provider's notice inside a snippet, where it was left."""

HIDDEN = "hidden"
"""Flag of a text whose hidden characters were removed."""


@dataclass(frozen=True, slots=True)
class Screening:
    """Result of screening: `flags` of findings, the `notices` that were cut off, the clean text."""

    flags: tuple[str, ...]
    notices: tuple[str, ...]
    clean: str


def screen(text: str) -> Screening:
    """Screen documentation, a list of libraries, or any other text of upstream's.

    `clean` is `text` itself if nothing had to be removed.
    """
    shown = reveal(text)
    cut = cut_notices(shown)
    lines = [line.rstrip("\r") for line in cut.text.split("\n")]
    found = {
        ORDERS: any(is_order(paragraph.says) for paragraph in paragraphs(lines)),
        NOTICE: cut.left,
        HIDDEN: shown is not text,
    }
    return Screening(tuple(flag for flag in found if found[flag]), cut.notices, cut.text)
