"""Characters that a reader does not see and a model does: taking them out of a text.

Zero-width and bidi controls, tag characters, smuggled variation selectors, terminal escapes and
other control characters. Joiners that a script or an emoji needs are ordinary text and stay.
"""

from __future__ import annotations

import re

_INVISIBLE = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f"  # control characters, except tab and line ends
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction
    "\u180e\u200b-\u200d\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb"  # zero width
    "\U000e0000-\U000e007f"  # tags
    "\U000e0100-\U000e01ef"  # variants of ideographs
)
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_IDEOGRAPHS = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Arabic, Syriac, N'Ko, the scripts of India and Sri Lanka, Tibetan, Myanmar, Khmer and Mongolian:
# there a joiner behind a letter shapes it.
_JOINING = (
    "\u0620-\u0669\u066e-\u06d3\u06d5-\u06ef\u06fa-\u06ff\u0700-\u077f\u07c0-\u07fa\u08a0-\u0dff"
    "\u0f00-\u109f\u1780-\u17ff\u1820-\u18af\ufb50-\ufdff\ufe70-\ufefc"
)
_PICTURES = "\u203c-\u27bf\u2934-\u2b55\u3030\u303d\u3297\u3299\ufe0f\U0001f000-\U0001faff"

_SUSPECT = re.compile(f"[{_INVISIBLE}{_SELECTORS}]")
_HIDDEN = re.compile(
    rf"(?P<kept>(?<=[{_JOINING}])[\u200c\u200d]"
    rf"|(?<=[{_PICTURES}])\u200d(?=[{_PICTURES}])"
    rf"|(?<=[{_IDEOGRAPHS}])[\U000e0100-\U000e01ef]"
    # The flags of England, Scotland and Wales are spelled in tags.
    "|(?<=\U0001f3f4)[\U000e0061-\U000e007a]{5}\U000e007f)"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # a terminal's colours and cursor movements
    r"|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # its titles and links
    rf"|[{_INVISIBLE}]|(?<=[{_SELECTORS}])[{_SELECTORS}]"
)


def reveal(text: str) -> str:
    """Return `text` without hidden characters; the very same string when it has none."""
    if not _SUSPECT.search(text):
        return text
    shown = _HIDDEN.sub(lambda found: found["kept"] or "", text)
    return text if shown == text else shown
