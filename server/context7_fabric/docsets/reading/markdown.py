"""Reader of Markdown and MDX, line by line.

The rules are those that agree with CommonMark on plain documents and do better on pages of
components: a fence is a fence at any indentation, `#` is a heading at any indentation outside of
fences, and a tag never hides what follows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from context7_fabric.docsets.reading import lines as reading_lines
from context7_fabric.docsets.reading import mdx
from context7_fabric.docsets.reading.lines import TAB, Fence, Search, width, without_columns
from context7_fabric.docsets.reading.outline import CONTENTS, Outline, identifiers, plain

_HEADING = re.compile(r"(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")
_HEADING_ID = re.compile(r"\s*\{\s*#(?P<id>[\w.:-]+)[^}]*\}\s*$|\s*\[#(?P<id2>[\w-]+)\]\s*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_RULE = re.compile(r"[ \t>]*(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,}|=+[ \t]*)")
_LIST = re.compile(r"(?:[-*+]|\d{1,9}[.)])(?:[ \t]+|$)")
_OPTION = re.compile(r" {4}(?:type|open|attrs|new|select):[ \t].*")
_LINK_DEFINITION = re.compile(r" {0,3}\[[^\]\[]+\]:[ \t]*\S+.*")
_SHORTCODE = re.compile(r"\{\{[<%].*[>%]\}\}|\{%.*%\}|\{\{\s*\"[\w-]+\":.*\}\}")
_SHORTCODE_LABEL = re.compile(
    r"(?:title|label|name|tabName|header)=\"([^\"]*)\"|\btab \"([^\"]*)\""
)
_ADDED = re.compile(r"\s*(?:added|deprecated|introduced_in)\s*[:=].*|\s*-\s*v?\d[\w.]*\s*")
_DIRECTIVE = re.compile(r"\{(?P<name>[\w:+-]+)\}[ \t]*(?P<argument>.*)")
_CODE_DIRECTIVES = {"code-block", "code", "code-cell", "sourcecode", "ipython", "doctest", "math"}
_LANGUAGE = re.compile(r"[\w+#.-]+")
_LABEL = re.compile(r"(?:title|file|filename)=[\"'{]*([^\"'{}]+)|\[([^\]\s]+\.\w+)\]")
_EXPORTED = re.compile(r"export const (title|description) *= *([\"'`])(.*)\2;?")
_INDEX_NOTE = re.compile(r"[ \t>]*#*\s*Documentation Index\s*", re.IGNORECASE)


class MarkdownReader:
    """One reading of one document; `read` fills the outline."""

    def __init__(self, lines: list[str], numbers: Sequence[int], outline: Outline) -> None:
        self._lines = lines
        self._numbers = numbers
        self._out = outline
        self._find = Search(lines)
        self._at = 0
        self._indents: list[int] = []
        self._depth = 0
        self._data_depth = 0
        self._is_in_list = False
        self._after_blank = True
        self._spans = mdx.Spans(lines)
        self._by_mark: dict[str, Callable[[str], bool]] = {
            "#": self._heading,
            "<": self._tag,
            ":": self._colons,
            "!": self._indented_admonition,
            "?": self._indented_admonition,
            "=": self._equals,
            "-": self._rule,
            "*": self._rule,
            "_": self._rule,
            "/": self._slashes,
            "{": self._braces,
            "}": self._closing_braces,
            "[": self._link_definition,
            "i": self._statement,
            "e": self._statement,
            ">": self._quote,
        }

    def read(self) -> None:
        """Read all lines into the outline."""
        while self._at < len(self._lines):
            raw = self._lines[self._at]
            if raw.strip():
                self._read_line(self._dedented(raw))
            else:
                self._out.blank()
                self._after_blank = True
                self._at += 1
        self._out.blank()

    def _number(self) -> int:
        return self._numbers[self._at]

    def _filled(self, end: int) -> list[int]:
        """Numbers of the lines from the current one up to `end` that are not blank."""
        return [self._numbers[at] for at in range(self._at, end) if self._lines[at].strip()]

    def _dedented(self, raw: str) -> str:
        """Return a line without the indentation of the admonitions around it."""
        if not self._indents:
            return raw
        columns = width(raw)
        while self._indents and columns < self._indents[-1]:
            self._indents.pop()
            self._is_in_list = False
        return without_columns(raw, self._indents[-1]) if self._indents else raw

    def _read_line(self, line: str) -> None:
        fence = reading_lines.opening(line)
        if fence is not None:
            self._fence(fence)
            return
        if self._is_indented_code(line):
            self._indented_code()
            return
        stripped = line.lstrip()
        handler = self._by_mark.get(stripped[0])
        if handler is None or not handler(line):
            self._text(line)
        self._after_blank = False

    # ----------------------------------------------------------------------- Text

    def _text(self, line: str) -> None:
        if ("<!--" in line or "{/*" in line) and self._comment(line):
            return
        text = mdx.text_of(line)
        self._depth = max(0, self._depth + mdx.depth_change(line)) if "<" in line else self._depth
        if not text.strip():
            self._skip("layout")
            return
        self._follow_list(text)
        is_indented = self._is_in_list or text.lstrip()[0] == "|"
        names = mdx.field_names(line) if "<" in line else ()
        self._put(text if is_indented else text.strip(), names)
        self._at += 1

    def _put(self, text: str, names: Sequence[str] = ()) -> None:
        self._out.text(text.rstrip(), self._number(), names)

    def _follow_list(self, text: str) -> None:
        is_item = _LIST.match(text.lstrip()) is not None
        if is_item:
            self._is_in_list = True
        elif self._after_blank and text[0] not in " \t":
            self._is_in_list = False

    def _skip(self, kind: str) -> None:
        self._out.leave_out(kind, [self._number()])
        self._at += 1

    def _bold(self, text: str) -> None:
        self._out.blank()
        self._out.text(f"**{text}**", self._number())
        self._out.blank()
        self._at += 1

    # ----------------------------------------------------------------------- Code

    def _fence(self, fence: Fence) -> None:
        """Read a fence to its closing line, or to the end of its quote or of the document."""
        is_quoted = ">" in fence.marks
        end = self._at + 1
        if is_quoted:
            end, is_closed = self._quoted_fence_end(fence)
        else:
            found = self._find(f"fence{fence.key}", end, fence.is_closed_by)
            end, is_closed = (len(self._lines), False) if found is None else (found + 1, True)
        body = self._lines[self._at + 1 : end - is_closed]
        if is_quoted:
            body = [_QUOTE_MARK.sub("", line) for line in body]
        self._code(fence.info, body, self._filled(end))
        self._at = end
        self._after_blank = True

    def _quoted_fence_end(self, fence: Fence) -> tuple[int, bool]:
        end = self._at + 1
        while end < len(self._lines) and self._lines[end].lstrip().startswith(">"):
            end += 1
            if fence.is_closed_by(self._lines[end - 1]):
                return end, True
        return end, False

    def _code(self, info: str, body: list[str], numbers: list[int]) -> None:
        directive = _DIRECTIVE.match(info)
        if directive and directive["name"] not in _CODE_DIRECTIVES:
            self._directive(directive, body, numbers)
            return
        label = _LABEL.search(info)
        if label:
            self._out.add_text(f"**{label[1] or label[2]}**", numbers[:1])
        language = directive["argument"] if directive else info
        found = _LANGUAGE.match(language)
        self._out.code(body, numbers, found[0] if found else "")

    def _directive(self, directive: re.Match[str], body: list[str], numbers: list[int]) -> None:
        """Add the content of a MyST directive, which is Markdown, or leave out lists of pages."""
        if directive["name"] in {"toctree", "contents"}:
            self._out.leave_out(CONTENTS, numbers)
            return
        title = directive["argument"] or directive["name"].title()
        self._out.blank()
        self._out.text(f"**{title}**", numbers[0])
        self._out.blank()
        for number, line in zip(
            numbers[1:-1], (line for line in body if line.strip()), strict=False
        ):
            self._out.text(line, number)
        self._out.text("", numbers[-1])
        self._out.blank()

    def _is_indented_code(self, line: str) -> bool:
        is_possible = self._after_blank and not (self._is_in_list or self._depth)
        return is_possible and width(line) >= TAB

    def _indented_code(self) -> None:
        end, last = self._at, self._at
        while end < len(self._lines):
            line = self._lines[end]
            if line.strip():
                base = self._indents[-1] if self._indents else 0
                if width(line) < base + TAB:
                    break
                last = end
            end += 1
        span = range(self._at, last + 1)
        body = [self._lines[n] for n in span]
        self._out.code(body, [self._numbers[n] for n in span if self._lines[n].strip()])
        self._at = last + 1
        self._after_blank = True

    # ----------------------------------------------------------------------- Headings and rules

    def _heading(self, line: str) -> bool:
        found = _HEADING.fullmatch(line.strip())
        if found is None:
            return False
        if not (found[2] or "").strip():
            self._skip("rules")
            return True
        self._begin_section(len(found[1]), found[2], [self._number()])
        self._at += 1
        return True

    def _begin_section(self, level: int, raw: str, numbers: Sequence[int]) -> None:
        named = _HEADING_ID.search(raw) if "#" in raw else None
        anchor = (named["id"] or named["id2"]) if named else ""
        text = raw[: named.start()] if named else raw
        title = plain(mdx.text_of(_COMMENT.sub("", text)) if "<" in text or "{/" in text else text)
        is_code = text.strip().startswith("`")
        self._is_in_list = False
        self._after_blank = True
        self._out.heading(level, title, numbers, anchor, identifiers(title, is_code=is_code))

    def _rule(self, line: str) -> bool:
        underline = _UNDERLINE.fullmatch(line)
        if underline and self._is_setext():
            (text,), numbers = self._out.take_paragraph()
            level = 1 if underline[1][0] == "=" else 2
            self._begin_section(level, text, [*numbers, self._number()])
            self._at += 1
            return True
        if _RULE.fullmatch(line):
            self._out.blank()
            self._skip("rules")
            self._after_blank = True
            return True
        return False

    def _is_setext(self) -> bool:
        """Return whether the open paragraph is one plain line, a heading if underlined."""
        paragraph = self._out.paragraph
        if len(paragraph) != 1 or self._is_in_list:
            return False
        return paragraph[0].lstrip()[:1] not in tuple("-+*>|<:") and not paragraph[0].endswith(":")

    def _equals(self, line: str) -> bool:
        return self._rule(line) or self._indented_admonition(line)

    # ----------------------------------------------------------------------- Admonitions

    def _indented_admonition(self, line: str) -> bool:
        bold = mdx.indented_admonition(line.strip())
        if bold is None:
            return False
        base = self._indents[-1] if self._indents else 0
        self._indents.append(base + width(line) + TAB)
        self._bold(bold)
        self._after_blank = True
        self._is_in_list = False
        return True

    def _colons(self, line: str) -> bool:
        found = mdx.container(line.strip())
        if found is None:
            return False
        self._out.blank()
        if found.is_side:
            self._out.side = found.side
        if found.bold:
            self._bold(found.bold)
        else:
            self._skip("layout")
        self._after_blank = True
        return True

    def _slashes(self, line: str) -> bool:
        bold = mdx.slashed_block(line.strip())
        if bold is None:
            return False
        self._out.blank()
        if not bold:
            self._skip("layout")
            return True
        self._bold(bold)
        while self._at < len(self._lines) and _OPTION.fullmatch(self._lines[self._at]):
            self._skip("layout")
        return True

    def _quote(self, line: str) -> bool:
        """Read a quoted line: a heading in it is bold text, an index for agents is left out."""
        bare = line.lstrip("> \t").rstrip()
        if _INDEX_NOTE.fullmatch(line):
            self._skip_quote()
            return True
        alert, heading = mdx.alert(bare), _HEADING.fullmatch(bare)
        if alert:
            self._put(f"> **{alert}**")
        elif heading and heading[2]:
            self._put(f"> **{plain(heading[2])}**")
        elif not bare:
            self._out.leave_out("layout", [self._number()])
        else:
            return False
        self._at += 1
        return True

    def _skip_quote(self) -> None:
        self._out.blank()
        while self._at < len(self._lines) and self._lines[self._at].lstrip().startswith(">"):
            self._skip("index for agents")

    # ----------------------------------------------------------------------- Comments

    def _comment(self, line: str) -> bool:
        """Read a line with a comment; True if the comment and its lines are dealt with."""
        cleared = _COMMENT.sub("", line)
        if cleared != line:
            self._read_cleared(cleared)
            return True
        start = line.find("<!--")
        mark, start = ("-->", start) if start >= 0 else ("*/}", line.find("{/*"))
        end = self._find(mark, self._at + 1, lambda each: mark in each)
        if end is None:
            self._read_cleared(line.replace("<!--", "").replace("{/*", ""))
            return True
        if line[:start].strip():
            self._put(mdx.text_of(line[:start]).strip())
            self._at += 1
        rest = self._lines[end].split(mark, 1)[1]
        self._comment_lines(end + (not rest.strip()))
        if rest.strip():
            self._lines[end] = rest
        return True

    def _read_cleared(self, line: str) -> None:
        """Read the current line as it is without comments."""
        if line.strip():
            self._lines[self._at] = line
            self._read_line(line)
        else:
            self._comment_lines(self._at + 1)

    def _comment_lines(self, end: int) -> None:
        """Leave out the lines up to `end`, but the versions that Node's comments carry."""
        is_node = "YAML" in self._lines[self._at]
        while self._at < end:
            line = self._lines[self._at]
            if is_node and _ADDED.fullmatch(line):
                self._put(line.strip())
                self._at += 1
            elif line.strip():
                self._skip("comments")
            else:
                self._at += 1

    # ----------------------------------------------------------------------- Tags and statements

    def _tag(self, line: str) -> bool:
        if "<!--" in line:
            return self._comment(line)
        name = line.lstrip()[1:].split(maxsplit=1)[0].rstrip("/>") if line.strip() != "<" else ""
        hidden = next((each for each in mdx.HIDDEN if name.startswith(each)), None)
        if hidden and self._hidden(hidden, line):
            return True
        if mdx.opened(line) is None:
            return False
        end = self._spans.tag_end(self._at)
        if end is None:
            return False
        self._tag_lines(end)
        return True

    def _hidden(self, name: str, line: str) -> bool:
        closing = f"</{name}"
        if closing in line or line.rstrip().endswith("/>"):
            return False
        end = self._find(closing, self._at + 1, lambda each: closing in each)
        if end is None:
            return False
        self._out.leave_out(f"{name} of the page", self._filled(end + 1))
        self._at = end + 1
        return True

    def _tag_lines(self, end: int) -> None:
        """Keep what a tag over several lines holds: labels, and properties that are data."""
        lines = [self._lines[at] for at in range(self._at, end + 1)]
        has_data = any(mdx.DATA.search(line) for line in lines) and not mdx.is_style(lines)
        self._out.blank()
        base = min((width(line) for line in lines[1:] if mdx.is_property(line)), default=0)
        for line in lines:
            self._tag_line(line, base if has_data else None)
        self._out.blank()
        if not lines[-1].rstrip().endswith("/>"):
            self._depth += 1
        self._after_blank = False

    def _tag_line(self, line: str, base: int | None) -> None:
        """Keep a line of a tag; `base` are the columns of its outermost data, None without."""
        if not line.strip():
            self._at += 1
            return
        if base is None:
            text = mdx.labels("Tag", line) if mdx.has_label(line) else ""
        else:
            if mdx.is_property(line):
                self._data_depth = max(0, width(line) - base) // TAB
            text = mdx.data_line(line, self._data_depth)
        if text.strip():
            self._put(text)
            self._at += 1
        else:
            self._skip("layout")

    def _braces(self, line: str) -> bool:
        stripped = line.strip()
        if stripped.startswith("{/*"):
            return self._comment(line)
        if _SHORTCODE.fullmatch(stripped):
            label = _SHORTCODE_LABEL.search(stripped)
            if label:
                self._bold(label[1] or label[2] or "")
            else:
                self._skip("layout")
            return True
        return self._closing_braces(line)

    def _closing_braces(self, line: str) -> bool:
        if _NO_TEXT.fullmatch(line.strip()):
            self._skip("layout")
            return True
        return False

    def _link_definition(self, line: str) -> bool:
        if self._out.is_in_paragraph or not _LINK_DEFINITION.fullmatch(line):
            return False
        self._skip("link definitions")
        return True

    def _statement(self, line: str) -> bool:
        """Leave out an `import` or `export` of MDX with the lines of its brackets."""
        if self._out.is_in_paragraph or not mdx.STATEMENT.match(line):
            return False
        exported = _EXPORTED.fullmatch(line.strip())
        if exported:
            self._put(exported[3])
            self._out.blank()
            self._at += 1
            return True
        end = self._spans.statement_end(self._at)
        self._out.leave_out("imports and exports", self._filled(end))
        self._at = end
        return True


_COMMENT = re.compile(r"<!--.*?-->|\{/\*.*?\*/\}")
_QUOTE_MARK = re.compile(r"[ \t]*>[ \t]?")
_NO_TEXT = re.compile(r"[{}()\[\];,\s]*(?:[\"'`]\s*[\"'`])?[{}()\[\];,\s]*")
