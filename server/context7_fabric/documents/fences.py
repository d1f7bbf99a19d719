"""Which lines of a Context7 text stand inside a code fence.

Only the bookkeeping of fences belongs here; what a line outside of them means is `snippets`' and
`screening`'s business. Upstream puts every fence of its own at the start of a line, so indented
or quoted back-ticks never count. A fence line with a language always opens a fence, also inside
another one (an APIDOC block with a nested example); a bare one closes the innermost. A nested
fence without a language thus seems to close the outer one, but its own end opens it again: after
a whole block the count is right either way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_FENCE = re.compile(r"(`{3,}+)([^`]*)")

Fences = list[int]
"""The open fences, outermost first: how many back-ticks each was opened with."""


def open_fences(lines: Iterable[str], fences: Fences | None = None) -> Fences:
    """Return the fences that are open behind `lines`.

    `fences`, those open before them, is carried on in place and returned: a copy a call would
    make reading quadratic.
    """
    now = [] if fences is None else fences
    for line in lines:
        _follow(line, now)
    return now


def _follow(line: str, fences: Fences) -> None:
    fence = _FENCE.fullmatch(line) if line.startswith("```") else None
    if fence is None:
        return
    if fence[2].strip() or not fences:
        fences.append(len(fence[1]))
    elif len(fence[1]) >= fences[-1]:
        fences.pop()


def closes_fence(line: str) -> bool:
    """Tell whether `line` is a bare fence, as the last line of every code snippet is."""
    fence = _FENCE.fullmatch(line)
    return fence is not None and not fence[2].strip()


def prose_lines(lines: Sequence[str]) -> list[str]:
    """Return `lines` with those inside a fence, and the fences themselves, blanked.

    What follows a fence that is never closed stays: an open fence must not hide text.
    """
    prose, shown = list[str](), 0
    fences: Fences = []
    for number, line in enumerate(lines, start=1):
        is_inside = bool(fences)
        _follow(line, fences)
        prose.append("" if is_inside or fences else line)
        shown = shown if fences else number
    return prose[:shown] + list(lines[shown:])
