"""What a text from outside carries that it should not: orders, notices, hidden characters.

Screening comes before admission and each time a stored text is served. It changes as little as it
can: hidden characters and notices that stand by themselves are taken out, everything else is only
flagged. Text inside of code fences is shown, not said, and is searched for hidden characters only.
"""

from __future__ import annotations

from dataclasses import dataclass

from context7_fabric.parsing.screening.injection import is_order
from context7_fabric.parsing.screening.invisible import reveal
from context7_fabric.parsing.screening.promotions import Notice, cut_notices, paragraphs

__all__ = ["HIDDEN", "NOTICE", "ORDERS", "Notice", "Screening", "screen"]

ORDERS = "orders"
"""Flag: the text gives the model that reads it orders."""

NOTICE = "notice"
"""Flag: a provider's notice stands inside of a snippet, and was left there."""

HIDDEN = "hidden"
"""Flag: hidden characters were taken out."""


@dataclass(frozen=True, slots=True)
class Screening:
    """What was found (`flags`), what was cut off (`notices`), and the text to go on with."""

    flags: tuple[str, ...]
    notices: tuple[Notice, ...]
    clean: str


def screen(text: str) -> Screening:
    """Screen documentation, a list of libraries, or any other text of upstream's.

    `clean` is `text` itself where nothing had to be taken out.
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
