"""Characters that a reader does not see and a model does: taking them out of a text.

Zero-width and bidi controls, tag characters, smuggled variation selectors, fillers, terminal
escapes and other control characters. Those that a script or an emoji needs are ordinary text and
stay: joiners, direction marks beside right-to-left letters, hyphens within words.
"""

from __future__ import annotations

import re
from typing import Final
from unicodedata import bidirectional

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
"""Characters on either side of a direction mark in which a letter may be that it belongs to."""

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
    """Return `text` without hidden characters; the very same string when it has none."""
    shown = text
    # What is taken out may have been what another character belonged to.
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
    """Tell whether the nearest letter before or behind a place is written from the right."""
    before, behind = text[max(0, place - _NEAR) : place][::-1], text[place + 1 : place + 1 + _NEAR]
    nearest = (next(filter(str.isalpha, side), "") for side in (before, behind))
    return any(letter and bidirectional(letter) in _FROM_THE_RIGHT for letter in nearest)
