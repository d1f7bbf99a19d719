"""Reader and writer of documentation as snippets.

Reading is a positive test: only a text that consists of snippets alone has any. The form: code
snippets joined by a rule of dashes, then one blank line, then info snippets joined by the same
rule.

A snippet begins at a heading with a source (`### title`, blank line, `Source: http…`) outside of
every fence. A fence that is never closed would swallow all following snippets. So a heading after
a rule, or after a closing fence, also counts inside a fence if the fences from there to the next
heading are balanced. Inside a fence that quotes documentation they are not, as its end is one too
many. After code the first heading without a rule begins the information; any later one is part of
a snippet's text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

_FENCE = re.compile(r"(`{3,}+)([^`]*)")

Fences = list[int]
"""Numbers of back-ticks of the open fences, outermost first."""


def open_fences(lines: Iterable[str], fences: Fences | None = None) -> Fences:
    """Return the fences that are open after `lines`.

    `fences`, those open before, is updated in place and returned: copies would make reading
    quadratic.
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
    """Return whether `line` is a bare fence, such as the last line of every code snippet."""
    fence = _FENCE.fullmatch(line)
    return fence is not None and not fence[2].strip()


def prose_lines(lines: Sequence[str]) -> list[str]:
    """Return `lines` with fences and the lines inside them blanked.

    The text after a fence that is never closed stays: an open fence must not hide text.
    """
    prose, shown = list[str](), 0
    fences: Fences = []
    for number, line in enumerate(lines, start=1):
        is_inside = bool(fences)
        _follow(line, fences)
        prose.append("" if is_inside or fences else line)
        shown = shown if fences else number
    return prose[:shown] + list(lines[shown:])


RULE = "-" * 32
OLD_RULE = "-" * 40
"""Rule between snippets, now and in the form before mid-2025."""

_TITLE = re.compile(r"### (.*\S.*)")
_SOURCE = re.compile(r"Source: (https?://\S.*)")
_OLD_BANNER = re.compile(r"=+\nCODE SNIPPETS\n=+\n\s*")
_OLD_BETWEEN = re.compile(rf"\n\n{OLD_RULE}\n\n(?=TITLE: )")
_OLD_HEAD = re.compile(
    r"TITLE: (?P<title>.*\S.*)\nDESCRIPTION: (?s:.*?)\nSOURCE: (?P<source>.*\S.*)\n"
    r"\nLANGUAGE: .*\nCODE:\n"
)

SnippetKind = Literal["code", "info"]


@dataclass(frozen=True, slots=True)
class Snippet:
    """Piece of documentation; `text` is all of it as sent, heading included."""

    kind: SnippetKind
    title: str
    source: str
    text: str


def parse_snippets(text: str) -> tuple[Snippet, ...]:
    """Return the snippets of `text` in order; empty if it is anything else."""
    lines = text.strip().split("\n")
    if lines[0].startswith(("TITLE: ", "===")):
        return _parse_old("\n".join(line.rstrip("\r") for line in lines))
    bare = [line.rstrip("\r") for line in lines]
    starts, turn = _split(bare, snippet_starts(bare))
    if not starts or starts[0]:
        return ()
    ends = [snippet_end(bare, start) for start in starts[1:]] + [len(lines)]
    spans = list(zip(starts, ends, strict=True))
    if not turn and all(_ends_in_fence(bare, end) for end in ends):
        turn = len(spans)
    return tuple(
        Snippet(
            kind="code" if number < turn else "info",
            title=bare[start].removeprefix("### ").strip(),
            source=bare[start + 2].removeprefix("Source: ").strip(),
            text="\n".join(lines[start:end]).rstrip("\r"),
        )
        for number, (start, end) in enumerate(spans)
    )


def snippet_starts(lines: Sequence[str]) -> list[int]:
    """Return the numbers of the lines with a heading and a source at which a snippet may begin.

    `lines` have no line ends. Text before the first one is ignored.
    """
    headings = [at for at in range(len(lines)) if _is_heading(lines, at)]
    starts, fences = list[int](), open_fences(lines[: headings[0]] if headings else ())
    for at, end in pairwise([*headings, len(lines)]):
        anew = open_fences(lines[at:end])
        if not fences or (not anew and (is_ruled(lines, at) or _ends_in_fence(lines, at))):
            starts.append(at)
            fences = anew
        else:
            fences = open_fences(lines[at:end], fences)
    return starts


def is_ruled(lines: Sequence[str], at: int) -> bool:
    """Return whether the rule between snippets, with blank lines around, precedes line `at`."""
    before = lines[max(0, at - 3) : at]
    return list(before) == ["", RULE, ""]


def _is_heading(lines: Sequence[str], at: int) -> bool:
    return bool(
        lines[at].startswith("### ")
        and lines[max(0, at - 1) : at] in ([], [""])
        and lines[at + 1 : at + 2] == [""]
        and _TITLE.fullmatch(lines[at])
        and _SOURCE.fullmatch("".join(lines[at + 2 : at + 3]))
    )


def _split(lines: Sequence[str], candidates: Sequence[int]) -> tuple[list[int], int]:
    """Return the starts of snippets, and the number of code snippets before info (0 if none)."""
    starts, turn = list(candidates[:1]), 0
    for at in candidates[1:]:
        if is_ruled(lines, at):
            starts.append(at)
        elif not turn and _ends_in_fence(lines, at):
            turn = len(starts)
            starts.append(at)
    return starts, turn


def snippet_end(lines: Sequence[str], next_start: int) -> int:
    """Return the line after a snippet, given the start of the next one."""
    return next_start - (3 if is_ruled(lines, next_start) else 1)


def _ends_in_fence(lines: Sequence[str], end: int) -> bool:
    """Return whether the last line before `end` that is not blank closes a fence."""
    before = (lines[at] for at in range(end - 1, -1, -1) if lines[at].strip())
    return closes_fence(next(before, ""))


def _parse_old(text: str) -> tuple[Snippet, ...]:
    """Read the form before mid-2025: fields in capitals, all of it code."""
    blocks = _OLD_BETWEEN.split(_OLD_BANNER.sub("", text, count=1))
    heads = [_OLD_HEAD.match(block) if block.endswith("\n```") else None for block in blocks]
    found = [Snippet("code", head["title"], head["source"], head.string) for head in heads if head]
    return tuple(found) if len(found) == len(blocks) else ()


def join_snippets(snippets: Sequence[Snippet]) -> str:
    """Write documentation of these snippets as upstream does: code first, then info."""
    rule = OLD_RULE if all(snippet.text.startswith("TITLE: ") for snippet in snippets) else RULE
    groups = [[each.text for each in snippets if each.kind == kind] for kind in ("code", "info")]
    return "\n\n".join(f"\n\n{rule}\n\n".join(group) for group in groups if group)
