"""Reader of AsciiDoc, line by line: headings, listings, lists, tables and usual inline marks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from context7_fabric.docsets.reading.lines import Search
from context7_fabric.docsets.reading.outline import Outline, identifiers, plain

ATTRIBUTES: Final = "attributes and conditions"
COMMENT: Final = "comments"
LAYOUT: Final = "layout"
IMAGES: Final = "images"
PASSED_THROUGH: Final = "markup that is passed through"

_HEADING = re.compile(r"(?P<level>={1,6}|#{1,6})[ \t]+(?P<title>\S.*)")
_ATTRIBUTE = re.compile(r":!?(?P<name>[\w-]+)!?:[ \t]*(?P<value>.*)")
_CONDITION = re.compile(r"(?:ifdef|ifndef|ifeval|endif|tag|end)::.*\[.*\]")
_BLOCK_LINE = re.compile(r"\[(?P<list>[^\[\]]*)\]|\[\[(?P<id>[^\[\],]+)(?:,[^\[\]]*)?\]\]")
_ID = re.compile(r"(?:^|,)[^,#]*#(?P<id>[\w:.-]+)|\bid=\"?(?P<named>[\w:.-]+)")
_LISTING = re.compile(r"-{4,}|\.{4,}|`{3,}(?P<language>[\w+#.-]*)")
_ENVELOPE = re.compile(r"={4,}|\*{4,}|_{4,}|--|!?[|,:!]={3,}")
_LAYOUT_LINES = frozenset({"+", "'''", "<<<"})
_MACRO = re.compile(r"(?:image|video|audio|toc|icon)::.*\[.*\]")
_LIST = re.compile(r"[ \t]*(?P<mark>\*{1,5}|\.{1,5}|-|<\.>|<\d+>|\d+\.)[ \t]+(?P<text>.*)")
_TERM = re.compile(r"[ \t]*(?P<term>\S.{0,200}?)(?P<mark>:{2,4}|;;)(?:[ \t]+(?P<text>.*))?")
_BLOCK_TITLE = re.compile(r"\.(?P<title>[^\s.].*)")
_ADMONITION = re.compile(r"(?:NOTE|TIP|IMPORTANT|WARNING|CAUTION)")
_LINK = re.compile(
    r"(?:link:|xref:|mailto:)?(?P<to>[\w:/.#@%?&=~+-]{1,500})\[(?P<text>[^\]]{0,500})\]"
)
_CROSS = re.compile(r"<<(?P<to>[^<>,]{1,200})(?:,(?P<text>[^<>]{1,200}))?>>")
_MONO = re.compile(
    r"(?<!\w)\+(?P<text>[^\s+](?:[^+]{0,200}[^\s+])?)\+(?!\w)|``(?P<both>[^`]{1,200})``"
)
_REFERENCE = re.compile(r"\{(?P<name>[\w-]+)\}")
MOST_VALUE: Final = 200
"""Characters of an attribute that stand in for its name; a longer one would outweigh the text."""


class AsciidocReader:
    """One reading of one document; `read` fills the outline."""

    def __init__(self, lines: list[str], numbers: Sequence[int], outline: Outline) -> None:
        self._lines = lines
        self._numbers = numbers
        self._out = outline
        self._find = Search(lines)
        self._at = 0
        self._anchor = ""
        self._language = ""
        self._is_source = False
        self._values: dict[str, str] = {}

    def read(self) -> None:
        """Read all lines into the outline."""
        while self._at < len(self._lines):
            line = self._lines[self._at].rstrip()
            if not line:
                self._out.blank()
                self._at += 1
            elif not (self._is_about_blocks(line) or self._is_block(line)):
                self._text(line)
        self._out.blank()

    def _skip(self, kind: str, end: int | None = None) -> bool:
        """Leave out the lines up to `end`, or this one."""
        after = self._at + 1 if end is None else end
        self._out.leave_out(kind, self._numbers[self._at : after])
        self._at = after
        return True

    # ----------------------------------------------------------------------- Lines about lines

    def _is_about_blocks(self, line: str) -> bool:
        """Read a line that says something of the document or of the next block."""
        if line.startswith("//"):
            return self._comment(line)
        if (found := _BLOCK_LINE.fullmatch(line)) is not None:
            return self._about_next(found)
        kind = self._needless(line)
        return kind is not None and self._skip(kind)

    def _needless(self, line: str) -> str | None:
        """Return the kind of a line that says nothing; note the value of an attribute."""
        if attribute := _ATTRIBUTE.fullmatch(line):
            self._values[attribute["name"]] = attribute["value"][:MOST_VALUE]
            return ATTRIBUTES
        if _CONDITION.fullmatch(line):
            return ATTRIBUTES
        if line in _LAYOUT_LINES:
            self._out.blank()
            return LAYOUT
        return IMAGES if _MACRO.fullmatch(line) else None

    def _comment(self, line: str) -> bool:
        if re.fullmatch(r"/{4,}", line):
            end = self._find(line, self._at + 1, lambda each: each.rstrip() == line)
            return self._skip(COMMENT, None if end is None else end + 1)
        return self._skip(COMMENT)

    def _about_next(self, found: re.Match[str]) -> bool:
        words = found["list"] or ""
        named = _ID.search(words)
        self._anchor = found["id"] or (named and (named["id"] or named["named"])) or self._anchor
        parts = [part.strip() for part in words.split(",")]
        style = parts[0].partition("%")[0].partition("#")[0]
        if style in {"source", "listing", ""} and len(parts) > 1 and "=" not in parts[1]:
            self._language = parts[1]
        self._is_source = style in {"source", "listing", "literal"}
        if _ADMONITION.fullmatch(style):
            self._out.blank()
            self._out.add_text(f"**{style.title()}**", [self._numbers[self._at]])
            self._at += 1
            return True
        return self._skip(LAYOUT)

    # ----------------------------------------------------------------------- Blocks

    def _is_block(self, line: str) -> bool:
        heading = _HEADING.fullmatch(line)
        if heading is not None:
            return self._heading(heading)
        if listing := _LISTING.fullmatch(line):
            return self._listing(line, listing["language"])
        if re.fullmatch(r"\+{4,}", line):
            end = self._find(line, self._at + 1, lambda each: each.rstrip() == line)
            return self._skip(PASSED_THROUGH, None if end is None else end + 1)
        if _ENVELOPE.fullmatch(line):
            self._out.blank()
            return self._skip(LAYOUT)
        if self._is_source and not self._out.is_in_paragraph:
            return self._source_paragraph()
        return False

    def _heading(self, heading: re.Match[str]) -> bool:
        title = plain(self._inline(heading["title"]))
        names = identifiers(title, is_code="`" in heading["title"])
        number = self._numbers[self._at]
        self._out.heading(len(heading["level"]), title, [number], self._anchor, names)
        self._anchor = self._language = ""
        self._at += 1
        return True

    def _listing(self, line: str, language: str | None) -> bool:
        closing = line[:3] if line.startswith("```") else line
        end = self._find(closing, self._at + 1, lambda each: each.rstrip() == closing)
        if end is None:
            return False
        self._out.leave_out(LAYOUT, (self._numbers[self._at], self._numbers[end]))
        self._code(self._at + 1, end, language or self._language)
        self._at = end + 1
        return True

    def _source_paragraph(self) -> bool:
        """Read code without delimiters, which ends with a blank line."""
        end = self._find("", self._at, lambda each: not each.strip())
        end = len(self._lines) if end is None else end
        self._code(self._at, end, self._language)
        self._at = end
        return True

    def _code(self, start: int, end: int, language: str) -> None:
        filled = [at for at in range(start, end) if self._lines[at].strip()]
        code = [self._lines[at] for at in range(start, end)]
        self._out.code(code, [self._numbers[at] for at in filled], language)
        self._language, self._is_source = "", False

    # ----------------------------------------------------------------------- Text

    def _text(self, line: str) -> None:
        number = self._numbers[self._at]
        self._at += 1
        self._is_source = False
        if title := _BLOCK_TITLE.fullmatch(line):
            self._out.blank()
            self._out.text(f"**{self._inline(title['title'])}**", number)
        elif item := _LIST.fullmatch(line):
            self._out.text(_mark(item["mark"]) + self._inline(item["text"]), number)
        elif (term := _TERM.fullmatch(line)) and not line.lstrip().startswith("|"):
            self._term(term, number)
        else:
            self._out.text(self._inline(line.removesuffix(" +")), number)

    def _term(self, found: re.Match[str], number: int) -> None:
        term = self._inline(found["term"])
        text = f" {self._inline(found['text'])}" if found["text"] else ""
        self._out.text(f"**{term}**:{text}", number, identifiers(plain(term), is_code="`" in term))

    def _inline(self, text: str) -> str:
        text = _REFERENCE.sub(lambda found: self._values.get(found["name"], found[0]), text)
        text = _CROSS.sub(lambda found: found["text"] or found["to"], text)
        text = _LINK.sub(lambda found: found["text"].partition("^")[0] or found["to"], text)
        return _MONO.sub(lambda found: f"`{found['text'] or found['both']}`", text)


def _mark(mark: str) -> str:
    """Return the mark of a list in Markdown, indented by its depth."""
    if mark.startswith("<") or mark[0].isdigit():
        return f"{mark.strip('<>.') or '1'}. "
    return "  " * (len(mark) - 1) + ("1. " if mark.startswith(".") else "- ")
