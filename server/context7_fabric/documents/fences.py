"""Which lines of a Context7 text stand inside a code fence.

Only the bookkeeping of fences belongs here; what a line outside of them means is `snippets`' and
`screening`'s business. Upstream puts every fence of its own at the start of a line, so indented
or quoted back-ticks never count. A fence line with a language always opens a fence, also inside
another one (an APIDOC block with a nested example), a bare one closes the innermost. A nested
fence without a language thus seems to close the outer one, but its own end opens it again: after
a whole block the count is right either way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_FENCE = re.compile(r"(`{3,}+)([^`]*)")


def fence_depths(lines: Sequence[str]) -> list[int]:
    """Return how many fences are open before each line, and as the last item after all of them."""
    depths, open_fences = [0], list[int]()
    for line in lines:
        if line.startswith("```") and (fence := _FENCE.fullmatch(line)):
            _count(open_fences, ticks=len(fence[1]), has_language=bool(fence[2].strip()))
        depths.append(len(open_fences))
    return depths


def _count(open_fences: list[int], *, ticks: int, has_language: bool) -> None:
    if has_language or not open_fences:
        open_fences.append(ticks)
    elif ticks >= open_fences[-1]:
        open_fences.pop()


def settled(depths: Sequence[int]) -> int:
    """Return the last line before which no fence is open.

    It is the number of lines when all fences are closed in the end; otherwise a fence opened on
    that line is never closed, and the depths behind it tell nothing.
    """
    return len(depths) - 1 - next(at for at, depth in enumerate(reversed(depths)) if depth == 0)


def closes_fence(line: str) -> bool:
    """Tell whether `line` is a bare fence, as the last line of every code snippet is."""
    fence = _FENCE.fullmatch(line)
    return fence is not None and not fence[2].strip()


def prose_lines(lines: Sequence[str]) -> list[str]:
    """Return `lines` with those inside a fence, and the fences themselves, blanked.

    What follows a fence that is never closed stays: an open fence must not hide text.
    """
    depths = fence_depths(lines)
    end = settled(depths)
    inside = (at < end and (depths[at] or depths[at + 1]) for at in range(len(lines)))
    return ["" if hidden else line for line, hidden in zip(lines, inside, strict=True)]
