"""Outline of a document: its sections with their blocks, and the lines that were left out."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

LONGEST_TITLE = 200
LONGEST_ANCHOR = 200
"""Characters of a heading's anchor; a longer one would outweigh the text in every page."""
"""Characters of a heading that become a title; a longer heading is also kept as text."""

CONTENTS = "tables of contents"
"""Kind of lines that list the pages or headings around them."""

DEEPEST = 12
"""Headings in a path, those of definitions included."""


@dataclass(slots=True)
class Block:
    """Paragraph, list, table or code of a document.

    `text` is Markdown without fences; `lines` are the numbers of the source lines that stand in
    it. `side` is the language of the side of the page that it belongs to (`:::python`), `names`
    are what it defines.
    """

    text: str
    lines: Sequence[int]
    is_code: bool = False
    language: str = ""
    side: str = ""
    names: Sequence[str] = ()

    def markdown(self) -> str:
        """The text, code in a fence that is longer than any inside."""
        if not self.is_code:
            return self.text
        longest = max((len(run) for run in _BACKTICKS.findall(self.text)), default=0)
        fence = "`" * max(3, longest + 1)
        return f"{fence}{self.language}\n{self.text}\n{fence}"


_BACKTICKS = re.compile(r"`{3,}")


@dataclass(slots=True)
class Section:
    """Heading with the blocks up to the next heading.

    `path` are the headings down to this one, `lines` their source lines; `names` are what the
    heading defines.
    """

    path: tuple[str, ...]
    lines: tuple[int, ...]
    anchor: str = ""
    blocks: list[Block] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    goes_on: bool = False
    """It goes on below a section within it, such as a definition."""


@dataclass(slots=True)
class _Level:
    level: int
    title: str
    lines: tuple[int, ...]
    anchor: str


class Outline:
    """Collector of what a reader finds, in the order of the document."""

    def __init__(self) -> None:
        self.sections = [Section((), ())]
        self.left_out: dict[int, str] = {}
        self.side = ""
        self._levels: list[_Level] = []
        self._anchors: Counter[str] = Counter()
        self._open: list[str] = []
        self._open_names: list[str] = []
        self._open_lines: list[int] = []

    def heading(
        self,
        level: int,
        title: str,
        lines: Sequence[int],
        anchor: str = "",
        names: Iterable[str] = (),
    ) -> None:
        """Begin a section; `title` is plain text and may be empty.

        Level 0 is the title of the document; a first heading that repeats it adds nothing.
        """
        self.blank()
        self._leave(level)
        if not title or len(self._levels) >= DEEPEST:
            self.add(Block(title or "---", lines))
            return
        link = (anchor or slug(title))[:LONGEST_ANCHOR]
        short = title if len(title) <= LONGEST_TITLE else title[:LONGEST_TITLE] + "…"
        self._levels.append(_Level(level, short, tuple(lines), self._unique(link)))
        self._begin()
        self.define(names)
        if short != title:
            self.add(Block(title, lines))

    def leave(self, level: int) -> None:
        """Return to the section above `level`, such as after a definition."""
        self.blank()
        if self._leave(level):
            self._begin(goes_on=True)

    def _leave(self, level: int) -> bool:
        before = len(self._levels)
        while self._levels and self._levels[-1].level >= level:
            self._levels.pop()
        return len(self._levels) < before

    def _begin(self, *, goes_on: bool = False) -> None:
        lines = tuple(line for each in self._levels for line in each.lines)
        path = tuple(
            each.title
            for each, above in zip(self._levels, [None, *self._levels], strict=False)
            if above is None or not _are_same(each.title, above.title)
        )
        anchor = self._levels[-1].anchor if self._levels else ""
        self.sections.append(Section(path, lines, anchor, goes_on=goes_on))

    def _unique(self, anchor: str) -> str:
        self._anchors[anchor] += 1
        count = self._anchors[anchor]
        return anchor if count == 1 else f"{anchor}-{count - 1}"

    def text(self, text: str, line: int, names: Iterable[str] = ()) -> None:
        """Append a line, which may define names, to the open paragraph."""
        self._open.append(text)
        self._open_names.extend(names)
        self._open_lines.append(line)

    @property
    def is_in_paragraph(self) -> bool:
        """State of having an open paragraph."""
        return bool(self._open)

    @property
    def is_begun(self) -> bool:
        """State of having a heading or text already."""
        return len(self.sections) > 1 or bool(self.sections[0].blocks)

    @property
    def paragraph(self) -> list[str]:
        """Lines of the open paragraph."""
        return self._open

    def take_paragraph(self) -> tuple[list[str], list[int]]:
        """Return the open paragraph and its line numbers, and drop it here."""
        taken = self._open, self._open_lines
        self._open, self._open_lines = [], []
        return taken

    def blank(self) -> None:
        """End the open paragraph."""
        if self._open:
            names, self._open_names = self._open_names, []
            text, lines = self.take_paragraph()
            self.add(Block("\n".join(text), lines, names=names))

    def code(self, code: Sequence[str], lines: Sequence[int], language: str = "") -> None:
        """Add a block of code without its fences."""
        self.blank()
        text = "\n".join(dedent(code)).strip("\n")
        if text.strip():
            names = defined_in(text)
            self.add(Block(text, lines, is_code=True, language=language.lower(), names=names))
        else:
            self.leave_out("empty code", lines)

    def add_text(self, text: str, lines: Sequence[int]) -> None:
        """Add a paragraph that several source lines hold."""
        self.blank()
        self.add(Block(text, lines))

    def add(self, block: Block) -> None:
        """Add a block as it is."""
        block.side = self.side
        self.sections[-1].blocks.append(block)

    def define(self, names: Iterable[str]) -> None:
        """Add names that the current heading defines."""
        self.sections[-1].names.extend(names)

    def leave_out(self, kind: str, lines: Iterable[int]) -> None:
        """Note lines that stand in no snippet; the first kind of a line counts."""
        for line in lines:
            self.left_out.setdefault(line, kind)


def _are_same(title: str, other: str) -> bool:
    return _NOT_A_LETTER.sub("", title).lower() == _NOT_A_LETTER.sub("", other).lower()


_NOT_A_LETTER = re.compile(r"\W+")


def dedent(lines: Sequence[str]) -> list[str]:
    """Return `lines` without the indentation that all of them share, tabs expanded where mixed."""
    full = [line for line in lines if line.strip()]
    width = min((len(line) - len(line.lstrip(" \t")) for line in full), default=0)
    if not width:
        return list(lines)
    return [line[width:] if line.strip() else "" for line in lines]


# --------------------------------------------------------------------------- Titles and anchors

_CODE_SPAN = re.compile(r"(`+)(.+?)\1")
_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^()\s]*(?:\s[^()]*)?\)|\[[^\[\]]*\])")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_EMPHASIS = re.compile(r"(\*{1,3}|(?<![A-Za-z0-9_])_{1,3})(?=\S)(.+?)(?<=\S)\1(?![A-Za-z0-9_])")
_NOT_IN_SLUG = re.compile(r"[^\w\- ]")


_MARK = re.compile(r"[`*_\[\\&]")
LONGEST_MARKED = 1_000
"""Characters of a heading above which its marks stay."""


def plain(title: str) -> str:
    """Return a heading without Markdown marks: links, emphasis, code spans, escapes."""
    if len(title) > LONGEST_MARKED:
        return title
    if not _MARK.search(title):
        return " ".join(title.split())
    parts, end = list[str](), 0
    for span in _CODE_SPAN.finditer(title):
        parts += [_plain(title[end : span.start()]), span[2].strip()]
        end = span.end()
    return " ".join("".join([*parts, _plain(title[end:])]).split())


def _plain(text: str) -> str:
    text = _LINK.sub(r"\1", _LINK.sub(r"\1", text))
    text = _EMPHASIS.sub(r"\2", text)
    return html.unescape(_ESCAPE.sub(r"\1", text))


def slug(title: str) -> str:
    """Return the anchor that GitHub and most site generators give to a heading."""
    return _NOT_IN_SLUG.sub("", title.lower()).strip().replace(" ", "-")


# --------------------------------------------------------------------------- Names

_WORD = r"[A-Za-z_$][\w$]*"
_IDENTIFIER = re.compile(
    r"(?:(?:async|class|method|property|event|function|static|def|const|type|interface|param|option)"
    r"\b:? +)*"
    rf"(?P<name>[@.#]?{_WORD}(?:(?:\.|::|#|->){_WORD}|\[[\w.$@]+\])*)\s*(?P<call>\(.*\)?)?\??"
)
_IS_CODE_LIKE = re.compile(r"[a-z0-9][A-Z]|[_.$@#]|::|->|\d\w*$")
_DEFINITION = re.compile(
    rf"^[ \t]*(?:(?:export|default|declare|public|private|protected|internal|static|final|abstract"
    rf"|async|pub|open|override|virtual|sealed)[ \t]+)*"
    rf"(?:def|class|function\*?|const|let|var|interface|type|enum|struct|trait|protocol|fn|func|macro)"
    rf"[ \t]+({_WORD})",
    re.MULTILINE,
)
MOST_NAMES = 50
"""Names of one snippet."""


def defined_in(code: str) -> list[str]:
    """Return the names that a piece of code defines, each once, in order."""
    return list(dict.fromkeys(_DEFINITION.findall(code)))[:MOST_NAMES]


def identifiers(title: str, *, is_code: bool = False) -> list[str]:
    """Return the identifier that a heading consists of, if any, as a list.

    `is_code` says that the heading was written as code; otherwise a plain English word is none.
    """
    found = _IDENTIFIER.fullmatch(title.strip()[:LONGEST_TITLE])
    if found is None:
        return []
    name = found["name"].lstrip(".#")
    is_named = is_code or found["call"] is not None or _IS_CODE_LIKE.search(found["name"])
    return [name] if is_named else []
