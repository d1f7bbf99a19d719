"""Documents into snippets: the form is chosen by the path, and every line is accounted for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from context7_fabric.docsets.models import DocSnippet
from context7_fabric.docsets.reading.asciidoc import AsciidocReader
from context7_fabric.docsets.reading.html_pages import read_html
from context7_fabric.docsets.reading.includes import (
    Expanded,
    Include,
    expand_asciidoc,
    expand_markdown,
    expand_rst,
)
from context7_fabric.docsets.reading.lines import FrontMatter, front_matter, split
from context7_fabric.docsets.reading.markdown import MarkdownReader
from context7_fabric.docsets.reading.notebooks import read_notebook
from context7_fabric.docsets.reading.outline import Outline
from context7_fabric.docsets.reading.rst import RstReader
from context7_fabric.docsets.reading.sections import DEFAULT_BOUNDS, Bounds, cut


@dataclass(frozen=True, slots=True)
class DocumentReading:
    """Snippets of one document, and an account of its lines.

    `lines` are those that are not blank; each is one of `kept`, which stand in a snippet, or
    counted in `left_out` by its kind.
    """

    snippets: tuple[DocSnippet, ...]
    left_out: Mapping[str, int]
    lines: int
    kept: int


def read_document(
    path: str, text: str, include: Include, bounds: Bounds = DEFAULT_BOUNDS
) -> DocumentReading:
    """Return the snippets of a document.

    `path` is its path within the source, with `/`; `include` returns the text of a file inside the
    source, given the document's path and a target relative to it.
    """
    outline = Outline()
    read = _WHOLE.get(PurePosixPath(path).suffix.lower())
    lines = split(text) if read is None else read(text, outline)
    included = _read_lines(path, lines, include, outline) if read is None else {}
    snippets, kept, dropped = cut(outline.sections, path, bounds)
    filled = {number for number, line in enumerate(lines) if line.strip()}
    return _account(snippets, filled, kept, (outline.left_out, dropped, included))


_WHOLE: Final[Mapping[str, Callable[[str, Outline], list[str]]]] = {
    ".ipynb": read_notebook,
    ".html": read_html,
    ".htm": read_html,
}
"""Readers of forms whose text is not read line by line, by the ending of the path."""


def _read_lines(
    path: str, lines: list[str], include: Include, outline: Outline
) -> Mapping[int, str]:
    """Read the lines of a form that includes files; return those left out with them."""
    form = _form(path, lines)
    front = front_matter(lines) if form.has_front_matter else FrontMatter()
    _begin(outline, front)
    expanded = form.expand(path, lines[front.end :], front.end, include)
    form.reader(expanded.lines, expanded.numbers, outline).read()
    return expanded.left_out


def _begin(outline: Outline, front: FrontMatter) -> None:
    """Begin a document with the title and the description of its front matter."""
    if front.title:
        outline.heading(0, front.title, front.title_lines)
    if front.description:
        outline.add_text(front.description, front.description_lines)
    outline.leave_out("front matter", front.lines)


def _account(
    snippets: tuple[DocSnippet, ...],
    filled: set[int],
    kept: set[int],
    left_out: Iterable[Mapping[int, str]],
) -> DocumentReading:
    """Return a reading whose counts are made of the lines themselves, each counted once."""
    kinds = dict[int, str]()
    for each in left_out:
        kinds = {**each, **kinds}
    counts = Counter(kinds[line] for line in kinds.keys() & filled - kept)
    return DocumentReading(snippets, counts, len(filled), len(kept & filled))


@dataclass(frozen=True, slots=True)
class _Form:
    """Form of documents that are read line by line, with their includes in place."""

    expand: Callable[[str, list[str], int, Include], Expanded]
    reader: type[MarkdownReader | RstReader | AsciidocReader]
    has_front_matter: bool = True


_MARKDOWN: Final = _Form(expand_markdown, MarkdownReader)
_RST: Final = _Form(expand_rst, RstReader, has_front_matter=False)
_ASCIIDOC: Final = _Form(expand_asciidoc, AsciidocReader)
_BY_SUFFIX: Final = {
    **dict.fromkeys((".md", ".mdx", ".markdown", ".mkd", ".qmd", ".rmd"), _MARKDOWN),
    **dict.fromkeys((".rst", ".rest"), _RST),
    **dict.fromkeys((".adoc", ".asciidoc", ".asc"), _ASCIIDOC),
}
_RST_DIRECTIVE: Final = re.compile(r"\.\. [\w-]+::|\.\. _[\w -]+:")


def _form(path: str, lines: list[str]) -> _Form:
    """Return the form of a document; other suffixes hold reStructuredText where it looks so."""
    form = _BY_SUFFIX.get(PurePosixPath(path).suffix.lower())
    if form is not None:
        return form
    return _RST if any(_RST_DIRECTIVE.match(line) for line in lines) else _MARKDOWN
