"""Reader of rendered pages: HTML of documentation, as site generators write it.

Only the main part of a page is read. Navigation, scripts and the marks that generators put beside
headings are left out; definition lists of Sphinx become sections, as in its sources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from typing import Final

from context7_fabric.docsets.reading.lines import split
from context7_fabric.docsets.reading.outline import Block, Outline, dedent, defined_in, identifiers

NAVIGATION: Final = "navigation, scripts and styles"
MARKUP: Final = "markup"
OUTSIDE: Final = "outside of the page's main part"

NO_HEADING: Final = (0, "")
DEEPEST_TAGS: Final = 256
"""Elements in each other whose ends are looked for; deeper ones only count as text."""

_VOID: Final = frozenset(
    {
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param"),
        *("source", "track", "wbr"),
    }
)
_SKIPPED: Final = frozenset(
    {
        *("nav", "script", "style", "noscript", "template", "svg", "form", "button", "iframe"),
        *("select", "aside", "dialog", "head"),
    }
)
_SKIPPED_CLASS: Final = re.compile(
    r"(?:^|\s)(?:headerlink|hash-link|anchor-link|anchorjs-link|viewcode-link|breadcrumbs?"
    r"|pagination(?:-nav)?|table-of-contents|theme-doc-toc[\w-]*|toc|toctree-wrapper|linenos?"
    r"|linenodiv|gutter|skip-?link|sr-only|visually-hidden|sphinxsidebar|related|copybtn"
    r"|theme-edit-this-page|md-source-file|prev-next-area)(?:\s|$)"
)
_DOMAINS: Final = [[name] for name in ("py", "c", "cpp", "js", "std", "rst")]
_BLOCKS: Final = frozenset(
    {
        *(
            "address",
            "article",
            "blockquote",
            "body",
            "br",
            "caption",
            "dd",
            "details",
            "div",
            "dl",
        ),
        *("dt", "fieldset", "figcaption", "figure", "footer", "header", "hr", "html", "li", "main"),
        *("ol", "p", "section", "summary", "table", "tbody", "thead", "tr", "ul"),
    }
)
_ENDED_BY: Final = {
    "li": (("li",), ("ul", "ol")),
    "dt": (("dt", "dd"), ("dl",)),
    "dd": (("dt", "dd"), ("dl",)),
    "tr": (("tr",), ("table",)),
    "td": (("td", "th"), ("tr", "table")),
    "th": (("td", "th"), ("tr", "table")),
}
"""Elements that the start of one ends without a tag, and those that they are looked for within."""
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_CODE: Final = frozenset({"code", "tt", "kbd", "samp"})
_MAIN: Final = (
    (re.compile(r"<main[\s>]", re.IGNORECASE), lambda tag, _: tag == "main"),
    (
        re.compile(r"role=[\"']?main\b", re.IGNORECASE),
        lambda _, attributes: attributes.get("role") == "main",
    ),
    (re.compile(r"<article[\s>]", re.IGNORECASE), lambda tag, _: tag == "article"),
    (re.compile(r"<body[\s>]", re.IGNORECASE), lambda tag, _: tag == "body"),
)
_TITLE: Final = re.compile(r"<title[^>]{0,200}>([^<]{1,1000})</title>", re.IGNORECASE)
_TITLE_END: Final = re.compile(r"\s+(?:[|\u2014\u2013·•]|-)\s+")
_LANGUAGE: Final = re.compile(
    r"(?:^|\s)(?:language|lang|highlight(?:-source)?|brush:?)[-: ]([\w+#.]+)"
)
_NO_LANGUAGE: Final = frozenset({"default", "none", "notranslate", "plaintext"})
_SPACES: Final = re.compile(r"\s+")
_MARK_OF_LINK: Final = re.compile(r"[\s¶§#🔗]+$")


def read_html(text: str, outline: Outline) -> list[str]:
    """Read a page into the outline; return its lines."""
    lines = split(text)
    page = "\n".join(lines)
    title = _TITLE.search(page)
    if title and not re.search(r"<h1[\s>]", page, re.IGNORECASE):
        number = page.count("\n", 0, title.start(1))
        outline.heading(0, _TITLE_END.split(unescape(title[1]).strip())[0].strip(), [number])
    reader = _HtmlReader(page, outline)
    reader.feed(page)
    reader.finish()
    outline.leave_out(MARKUP, range(len(lines)))
    return lines


@dataclass(slots=True)
class _Element:
    """Open element; the flags are those that it brought."""

    tag: str
    is_skipped: bool = False
    is_main: bool = False
    is_definition: bool = False


@dataclass(slots=True)
class _Run:
    """Text in the making with the lines that it stands on."""

    parts: list[str] = field(default_factory=list)
    lines: dict[int, None] = field(default_factory=dict)

    def add(self, text: str, line: int) -> None:
        self.parts.append(text)
        for offset, part in enumerate(text.split("\n")):
            if part.strip():
                self.lines[line + offset] = None

    def take(self) -> tuple[str, list[int]]:
        taken = "".join(self.parts), list(self.lines)
        self.parts, self.lines = [], {}
        return taken


class _HtmlReader(HTMLParser):
    """One reading of one page; the parser calls it for tags and texts in their order.

    The parser is fed once and not closed: what an unclosed tag or comment begins at the end is left
    out, as closing would search through it once for every sign.
    """

    def __init__(self, page: str, outline: Outline) -> None:
        super().__init__(convert_charrefs=True)
        self._out = outline
        self._is_main = next((fits for mark, fits in _MAIN if mark.search(page)), None)
        self._open: list[_Element] = []
        self._skipped = self._main = 0
        self._run = _Run()
        self._paragraph: list[str] = []
        self._paragraph_lines: dict[int, None] = {}
        self._lists: list[str] = []
        self._mark = ""
        self._code: str | None = None
        self._language = ""
        self._heading: tuple[int, str] = NO_HEADING
        self._section_id = ""
        self._is_row = False
        self._columns = 0
        self._level = 0
        self._names: list[str] = []

    # ------------------------------------------------------------------------- Tags

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        attributes = {name: value or "" for name, value in attrs}
        if tag in _VOID:
            self._void(tag)
            return
        self._end_implied(tag)
        element = self._opened(tag, attributes)
        if self._is_read():
            self._begin(tag, attributes, element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take `<br/>`; other elements that close themselves hold nothing."""
        del attrs
        self._void(tag)

    def _end_implied(self, tag: str) -> None:
        """End what the start of an element ends, such as the list item before it."""
        ended, within = _ENDED_BY.get(tag, ((), ()))
        for each in reversed(self._open):
            if each.tag in ended:
                self.handle_endtag(each.tag)
            if each.tag in ended or each.tag in within:
                return

    def _opened(self, tag: str, attributes: Mapping[str, str]) -> _Element:
        element = _Element(
            tag,
            is_skipped=tag in _SKIPPED
            or "hidden" in attributes
            or bool(_SKIPPED_CLASS.search(attributes.get("class", "")[:500])),
            is_main=bool(self._is_main and self._is_main(tag, attributes)),
        )
        if len(self._open) < DEEPEST_TAGS:
            self._open.append(element)
            self._skipped += element.is_skipped
            self._main += element.is_main
        return element

    def _is_read(self) -> bool:
        return not self._skipped and (self._is_main is None or self._main > 0)

    def _void(self, tag: str) -> None:
        if tag == "br" and self._is_read():
            self._run.add("\n" if self._code is not None else " ", self.getpos()[0])

    def _begin(self, tag: str, attributes: Mapping[str, str], element: _Element) -> None:
        if self._code is not None:
            self._language = self._language or _language(attributes)
            return
        if tag in _BLOCKS or tag in _HEADINGS or tag == "pre":
            self._flush()
        if tag in _HEADINGS:
            self._end_paragraph()
            self._heading = _HEADINGS[tag], attributes.get("id") or self._section_id
        elif tag == "pre":
            self._end_paragraph()
            self._code, self._language = "", self._language or _language(attributes)
        elif tag in _CODE and self._heading == NO_HEADING:
            self._run.add("`", self.getpos()[0])
        else:
            self._begin_block(tag, attributes, element)

    def _begin_block(self, tag: str, attributes: Mapping[str, str], element: _Element) -> None:
        if tag in {"section", "div"}:
            self._section_id = attributes.get("id", "") or self._section_id
            self._language = _language(attributes) or self._language
        elif tag in {"ul", "ol"}:
            self._lists.append("- " if tag == "ul" else "1. ")
        elif tag == "li":
            self._mark = "  " * (len(self._lists) - 1) + (self._lists[-1] if self._lists else "- ")
        elif tag == "tr":
            self._is_row, self._columns = True, 0
        elif tag == "dl":
            element.is_definition = attributes.get("class", "").split()[:1] in _DOMAINS
        elif tag == "dt" and "sig" in attributes.get("class", "").split():
            self._end_paragraph()
            depth = sum(each.is_definition for each in self._open)
            self._heading = self._level + max(1, depth), attributes.get("id", "")
            self._names = [attributes["id"]] if attributes.get("id") else []

    def handle_endtag(self, tag: str) -> None:
        """End an element, and those that were left open within it."""
        at = next(
            (at for at in range(len(self._open) - 1, -1, -1) if self._open[at].tag == tag), -1
        )
        if at < 0:
            return
        is_read = self._is_read()
        closed, self._open = self._open[at:], self._open[:at]
        for each in closed:
            self._skipped -= each.is_skipped
            self._main -= each.is_main
        for each in reversed(closed if is_read else []):
            self._end(each.tag, each)

    def _end(self, tag: str, element: _Element) -> None:
        if self._code is not None:
            if tag == "pre":
                self._end_code()
            return
        if tag in _CODE and self._heading == NO_HEADING:
            self._run.add("`", self.getpos()[0])
        elif tag in _HEADINGS or (tag == "dt" and self._heading != NO_HEADING):
            self._end_heading()
        elif tag in {"td", "th"} and self._is_row:
            self._run.add(" | ", self.getpos()[0])
            self._columns += tag == "th"
        elif tag in _BLOCKS:
            self._end_block(tag, element)

    def _end_block(self, tag: str, element: _Element) -> None:
        if tag == "dt" and self._run.parts:
            self._run.parts[:0] = ["**"]
            self._run.parts.append("**")
        self._flush()
        if tag == "tr":
            self._end_row()
        elif tag in {"ul", "ol"} and self._lists:
            self._lists.pop()
        if tag == "dl" and element.is_definition:
            self._end_paragraph()
            self._out.leave(self._level + 1 + sum(each.is_definition for each in self._open))
        is_whole = tag in {"p", "table", "blockquote", "section", "div", "dd"} and not self._lists
        if is_whole or (tag in {"ul", "ol"} and not self._lists):
            self._end_paragraph()

    # ------------------------------------------------------------------------- Texts

    def handle_data(self, data: str) -> None:
        """Take a text, which may stand on several lines."""
        line = self.getpos()[0] - 1
        if not self._is_read():
            kind = NAVIGATION if self._skipped else OUTSIDE
            filled = (at for at, part in enumerate(data.split("\n"), line) if part.strip())
            self._out.leave_out(kind, filled)
            return
        self._run.add(data, line)

    def _flush(self) -> None:
        """Put the open text into the paragraph, below the mark of its list."""
        text, lines = self._run.take()
        text = _SPACES.sub(" ", text).strip()
        if self._is_row and text:
            text = "| " + text.removesuffix("|").rstrip() + " |"
        if not text.strip("`*| "):
            return
        indent = "  " * len(self._lists) if self._lists and not self._mark else ""
        self._paragraph.append(f"{self._mark or indent}{text}")
        self._paragraph_lines |= dict.fromkeys(lines)
        self._mark = self._language = ""

    def _end_row(self) -> None:
        """End a row of a table; Markdown underlines the first one if it names the columns."""
        if self._columns > 1 and len(self._paragraph) == 1:
            self._paragraph.append("|" + " --- |" * self._columns)
        self._is_row = False

    def _end_paragraph(self) -> None:
        self._flush()
        if self._paragraph:
            self._out.add_text("\n".join(self._paragraph), list(self._paragraph_lines))
        self._paragraph, self._paragraph_lines = [], {}

    def _end_heading(self) -> None:
        level, anchor = self._heading
        text, lines = self._run.take()
        title = _MARK_OF_LINK.sub("", _SPACES.sub(" ", text).strip())
        names = self._names or identifiers(title)
        if title:
            self._out.heading(level, title, lines, anchor, names)
            self._level = level if not self._names else self._level
        self._heading, self._section_id, self._names = NO_HEADING, "", []

    def _end_code(self) -> None:
        text, lines = self._run.take()
        code = "\n".join(dedent(text.split("\n"))).strip("\n")
        if code.strip():
            names = defined_in(code)
            self._out.add(
                Block(code, lines, is_code=True, language=self._language.lower(), names=names)
            )
        self._code, self._language = None, ""

    def finish(self) -> None:
        """End what the page left open."""
        if self._heading != NO_HEADING:
            self._end_heading()
        if self._code is not None:
            self._end_code()
        self._end_paragraph()


def _language(attributes: Mapping[str, str]) -> str:
    found = _LANGUAGE.search(attributes.get("class", "")[:500])
    return "" if found is None or found[1] in _NO_LANGUAGE else found[1]
