"""Sections into snippets: long ones are cut at paragraphs, short ones joined with neighbours."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from zlib import crc32

from context7_fabric.docsets.models import DocSnippet
from context7_fabric.docsets.reading.outline import CONTENTS, MOST_NAMES, Block, Section

LINKS = "lists of links"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Lengths of snippets in characters.

    Pieces of a section have at most `most`; those below `least` join their neighbour. Code is
    whole up to `most_code`, about 2,500 tokens, so that any block fits into a page.
    """

    least: int = 300
    most: int = 1_500
    most_code: int = 8_000


DEFAULT_BOUNDS = Bounds()


@dataclass(slots=True)
class _Piece:
    """Snippet in the making; `path` names all headings that are joined in it, `own` the first."""

    path: tuple[str, ...]
    own: tuple[str, ...]
    anchor: str
    lines: set[int]
    blocks: list[Block] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    length: int = 0

    def add(self, block: Block) -> None:
        self.blocks.append(block)
        self.lines.update(block.lines)
        self.names.extend(block.names)
        self.length += _length(block)


def _length(block: Block) -> int:
    return len(block.text) + (10 if block.is_code else 2)


def cut(
    sections: Iterable[Section], path: str, bounds: Bounds = DEFAULT_BOUNDS
) -> tuple[tuple[DocSnippet, ...], set[int], dict[int, str]]:
    """Return the snippets of a document, the source lines in them, and the kinds of others.

    `path` is the document's, which names snippets that are below no heading.
    """
    pieces, dropped = list[_Piece](), list[tuple[str, Section]]()
    for section in sections:
        kind = _needless(section)
        if kind:
            dropped.append((kind, section))
        elif section.blocks or not section.goes_on:
            pieces.extend(_pieces(section, bounds))
    joined = _join(_without_empty(pieces), bounds)
    kept = {line for piece in joined for line in piece.lines}
    snippets = tuple(_snippet(piece, path) for piece in joined)
    return snippets, kept, _dropped_lines(dropped)


def _dropped_lines(dropped: Iterable[tuple[str, Section]]) -> dict[int, str]:
    return {
        line: kind
        for kind, section in dropped
        for lines in (section.lines, *(block.lines for block in section.blocks))
        for line in lines
    }


# --------------------------------------------------------------------------- Needless sections

_CONTENTS = re.compile(
    r"(?:table of )?contents|toc|on this page|in this (?:page|article|section|guide)|index",
    re.IGNORECASE,
)
_LINK_LINE = re.compile(
    r"\s*(?:(?:[-*+>]|\d+[.)])\s+)*(?:\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])[\s,;|·•&/]*)+[.:]?"
)
_LIST_LINE = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+.*")
FEWEST_LINKS = 3
"""Links from which on a section without other text is a list of links."""


def _needless(section: Section) -> str | None:
    """Return the reason to drop a section: a table of contents, or nothing but links."""
    lines = [line for block in section.blocks for line in block.text.split("\n") if line.strip()]
    if not lines or any(block.is_code for block in section.blocks):
        return None
    links = sum(1 for line in lines if "]" in line and _LINK_LINE.fullmatch(line[:2_000]))
    heading = section.path[-1] if section.path else ""
    if _CONTENTS.fullmatch(heading.strip(" :#")) and links * 2 >= len(lines):
        return CONTENTS
    return LINKS if links == len(lines) >= FEWEST_LINKS else None


# --------------------------------------------------------------------------- Cutting


def _pieces(section: Section, bounds: Bounds) -> Iterator[_Piece]:
    """Yield a section in pieces of at most the bound and of about equal length."""
    blocks = list(_bounded(section.blocks, bounds))
    total = sum(map(_length, blocks))
    target = total / max(1, math.ceil(total / bounds.most))
    piece = _begin(section)
    for block in blocks:
        if piece.blocks and _is_full(piece, block, target, bounds):
            moved = _introduction(piece) if block.is_code else []
            yield piece
            piece = _begin(section)
            for each in moved:
                piece.add(each)
        piece.add(block)
    yield piece


def _begin(section: Section) -> _Piece:
    return _Piece(
        section.path, section.path, section.anchor, set(section.lines), names=list(section.names)
    )


def _is_full(piece: _Piece, block: Block, target: float, bounds: Bounds) -> bool:
    """Return whether a piece ends before `block`: by length, or as another side begins."""
    length, added = piece.length, _length(block)
    if length < bounds.least:
        return length + added > bounds.most
    is_other_side = piece.blocks[-1].side != block.side
    return is_other_side or length + added > bounds.most or length + added / 2 > target


def _introduction(piece: _Piece) -> list[Block]:
    """Take the last paragraph off a piece if it introduces the code that follows."""
    last = piece.blocks[-1]
    text = last.text.strip()
    introduces = text.endswith(":") or (text.startswith("**") and text.endswith("**"))
    if len(piece.blocks) == 1 or last.is_code or not introduces or len(text) > LONGEST_INTRODUCTION:
        return []
    piece.blocks.pop()
    piece.length -= _length(last)
    return [last]


LONGEST_INTRODUCTION = 400
"""Characters of a paragraph that goes with the code below it."""


def _bounded(blocks: Iterable[Block], bounds: Bounds) -> Iterator[Block]:
    """Yield blocks none of which exceeds its bound."""
    for block in blocks:
        most = bounds.most_code if block.is_code else bounds.most
        if len(block.text) <= most:
            yield block
            continue
        lines = block.lines
        for text in _portions(block.text, most, is_code=block.is_code):
            yield replace(block, text=text, lines=lines)
            lines = ()  # counted with the first portion; all of them are kept


def _portions(text: str, most: int, *, is_code: bool) -> Iterator[str]:
    """Yield a long text in portions cut at lines, else at sentences or words, else anywhere."""
    head = "" if is_code else _table_head(text, most)
    portion, length = list[str](), 0
    for line in _short_lines(text, most):
        if portion and length + len(line) + 1 > most:
            yield "\n".join(portion)
            portion, length = ([head], len(head)) if head else ([], 0)
        portion.append(line)
        length += len(line) + 1
    if portion:
        yield "\n".join(portion)


def _table_head(text: str, most: int) -> str:
    """Return the head of a table, which is repeated on each of its portions."""
    head = _TABLE_HEAD.match(text)
    return head[1] if head and len(head[1]) * 3 < most else ""


_TABLE_HEAD = re.compile(r"([ \t]*\|[^\n]*\n[ \t|:-]+)\n")


def _short_lines(text: str, most: int) -> Iterator[str]:
    for line in text.split("\n"):
        start = 0
        while len(line) - start > most:
            end = _break(line, start, start + most)
            yield line[start:end].rstrip()
            start = end
        yield line[start:]


def _break(line: str, start: int, end: int) -> int:
    """Return a place in the second half of `line[start:end]` at which it may be cut."""
    middle = (start + end) // 2
    for mark in (". ", ", ", " "):
        at = line.rfind(mark, middle, end)
        if at >= 0:
            return at + len(mark)
    return end


# --------------------------------------------------------------------------- Joining


def _without_empty(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Return the pieces without headings that stand in the path of the next piece anyway."""
    after = [*pieces[1:], _Piece((), (), "", set())]
    return [
        piece
        for piece, following in zip(pieces, after, strict=False)
        if piece.blocks or (piece.path and not _is_above(piece, following))
    ]


def _is_above(piece: _Piece, after: _Piece) -> bool:
    return piece.lines <= after.lines and after.path[: len(piece.path)] == piece.path


def _join(pieces: Sequence[_Piece], bounds: Bounds) -> list[_Piece]:
    """Return the pieces, those below the least length joined with their neighbour."""
    joined = list[_Piece]()
    for piece in pieces:
        if _belongs_to_earlier(joined, piece):
            _join_back(joined, bounds)
        if joined and joined[-1].length < bounds.least and _may_join(joined[-1], piece, bounds):
            _append(joined[-1], piece)
            continue
        _join_back(joined, bounds)
        joined.append(piece)
    _join_back(joined, bounds)
    return joined


def _belongs_to_earlier(joined: list[_Piece], after: _Piece) -> bool:
    """Return whether the last piece shares more headings with the one before than with `after`."""
    if len(joined) < 2:  # noqa: PLR2004
        return False
    before, last = joined[-2].path, joined[-1].path
    return _shared(before, last) > _shared(last, after.path)


def _join_back(joined: list[_Piece], bounds: Bounds) -> None:
    """Join the last piece with the one before if it is short."""
    if len(joined) > 1 and joined[-1].length < bounds.least:
        last = joined.pop()
        if _may_join(joined[-1], last, bounds):
            _append(joined[-1], last)
        else:
            joined.append(last)


def _may_join(first: _Piece, second: _Piece, bounds: Bounds) -> bool:
    sides = {block.side for piece in (first, second) for block in piece.blocks}
    return first.length + second.length <= bounds.most and len(sides - {""}) <= 1


def _append(first: _Piece, second: _Piece) -> None:
    """Append a piece to another; its heading goes into the text, and into the path if it fits."""
    if second.path != first.path:
        shared = _shared(first.path, second.path)
        inner = second.own[_shared(first.path, second.own) :] or second.own[-1:]
        if inner:
            first.add(Block("#### " + " > ".join(inner), sorted(second.lines)[:1]))
        first.path = _joined_path(first.path, second.path, shared)
    for block in second.blocks:
        first.add(block)
    first.lines |= second.lines
    first.names += [name for name in second.names if name not in first.names[:MOST_NAMES]]
    first.anchor = first.anchor or second.anchor


def _shared(first: Sequence[str], second: Sequence[str]) -> int:
    same = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        same += 1
    return same


LONGEST_JOINED = 120
"""Characters of the joint part of a title."""


def _joined_path(first: tuple[str, ...], second: tuple[str, ...], shared: int) -> tuple[str, ...]:
    if shared == len(first):
        return second
    if shared == len(second):
        return first
    both = f"{' > '.join(first[shared:])} / {' > '.join(second[shared:])}"
    return (*first[:shared], both) if len(both) <= LONGEST_JOINED else first


# --------------------------------------------------------------------------- Snippets


def _snippet(piece: _Piece, path: str) -> DocSnippet:
    headings = piece.path or (_name(path),)
    text = "\n\n".join(_tidy(block.markdown()) for block in piece.blocks)
    is_code = any(block.is_code for block in piece.blocks)
    return DocSnippet(
        title=" > ".join(headings),
        text=text or headings[-1],
        path=path,
        anchor=piece.anchor,
        kind="code" if is_code else "info",
        language=_language(piece.blocks),
        names=tuple(dict.fromkeys(piece.names))[:MOST_NAMES],
    )


def _name(path: str) -> str:
    """Return a title for a document without headings: its name, or its folder's for an index."""
    parts = [part for part in path.split("/") if part]
    stems = [part.rsplit(".", 1)[0] or part for part in parts]
    if len(stems) > 1 and stems[-1].lower() in {"index", "readme", "_index"}:
        stems.pop()
    return _SEPARATORS.sub(" ", stems[-1]).strip() or path if stems else path


_SEPARATORS = re.compile(r"[-_.\s]+")


def _tidy(text: str) -> str:
    return text.strip("\n").rstrip()


def _language(blocks: Sequence[Block]) -> str:
    """Return the side of the page, else the language that most of the code is written in."""
    sides = {block.side for block in blocks if block.side}
    if len(sides) == 1:
        return next(iter(sides))
    sizes = Counter[str]()
    for block in blocks:
        if block.is_code and block.language:
            sizes[block.language] += len(block.text)
    return sizes.most_common(1)[0][0] if sizes else ""


# --------------------------------------------------------------------------- Near-duplicates

SHINGLE = 4
BUCKETS = 6
SIMILAR = 0.8
"""Words in a shingle, smallest shingles by which snippets meet, share of shingles in common.

Measured on 4,863 snippets of several libraries: a second, and a tenth of TanStack's found.
"""

SHORT = 100
"""Words below which snippets with other numbers are never near-duplicates: entries of a list of
questions, of limits or of error codes may differ in nothing else."""

MOST_COMPARED = 30
"""Earlier snippets of one bucket that a snippet is compared with."""


def near_duplicates(snippets: Sequence[DocSnippet]) -> list[int]:
    """Return the positions of the snippets that nearly repeat an earlier one, in order."""
    buckets, kept, repeated = dict[int, list[int]](), dict[int, _Compared](), list[int]()
    for position, snippet in enumerate(snippets):
        compared = _compared(snippet.text)
        smallest = sorted(compared.shingles)[:BUCKETS]
        near = {each for key in smallest for each in buckets.get(key, ())[:MOST_COMPARED]}
        if any(compared.repeats(kept[each]) for each in near):
            repeated.append(position)
            continue
        kept[position] = compared
        for key in smallest:
            buckets.setdefault(key, []).append(position)
    return repeated


class _Compared(NamedTuple):
    """Shingles of a text, and the numbers of a short one."""

    shingles: frozenset[int]
    numbers: tuple[str, ...]

    def repeats(self, other: _Compared) -> bool:
        shared = len(self.shingles & other.shingles) / len(self.shingles | other.shingles)
        return shared >= SIMILAR and self.numbers == other.numbers


def _compared(text: str) -> _Compared:
    words = text.lower().split()
    numbers = re.findall(r"\d+", text) if len(words) < SHORT else ()
    return _Compared(_shingles(words), tuple(numbers))


def _shingles(words: Sequence[str]) -> frozenset[int]:
    runs = (" ".join(words[at : at + SHINGLE]) for at in range(max(1, len(words) - SHINGLE + 1)))
    return frozenset(crc32(run.encode(errors="surrogatepass")) for run in runs)
