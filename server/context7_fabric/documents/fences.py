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

Fences = tuple[int, ...]
"""The open fences, outermost first: how many back-ticks each was opened with."""


def open_fences(lines: Iterable[str], before: Fences = ()) -> Fences:
    """Return the fences that are open behind `lines`, given those `before` them."""
    fences = before
    for line in lines:
        fences = _behind(line, fences)
    return fences


def _behind(line: str, fences: Fences) -> Fences:
    fence = _FENCE.fullmatch(line) if line.startswith("```") else None
    if fence is None:
        return fences
    if fence[2].strip() or not fences:
        return (*fences, len(fence[1]))
    return fences[:-1] if len(fence[1]) >= fences[-1] else fences


def closes_fence(line: str) -> bool:
    """Tell whether `line` is a bare fence, as the last line of every code snippet is."""
    fence = _FENCE.fullmatch(line)
    return fence is not None and not fence[2].strip()


def prose_lines(lines: Sequence[str]) -> list[str]:
    """Return `lines` with those inside a fence, and the fences themselves, blanked.

    What follows a fence that is never closed stays: an open fence must not hide text.
    """
    prose, shown = [], 0
    fences: Fences = ()
    for number, line in enumerate(lines, start=1):
        inside, fences = fences, _behind(line, fences)
        prose.append("" if inside or fences else line)
        shown = shown if fences else number
    return prose[:shown] + list(lines[shown:])
