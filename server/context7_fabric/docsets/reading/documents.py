"""Documents into snippets: the form is chosen by the path, and every line is accounted for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from context7_fabric.docsets.models import DocSnippet
from context7_fabric.docsets.reading.includes import Include, expand_markdown, expand_rst
from context7_fabric.docsets.reading.lines import FrontMatter, front_matter, split
from context7_fabric.docsets.reading.markdown import MarkdownReader
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
    lines = split(text)
    outline = Outline()
    is_rst = _is_rst(path, lines)
    front = FrontMatter() if is_rst else front_matter(lines)
    _begin(outline, front)
    expand = expand_rst if is_rst else expand_markdown
    expanded = expand(path, lines[front.end :], front.end, include)
    (RstReader if is_rst else MarkdownReader)(expanded.lines, expanded.numbers, outline).read()
    snippets, kept, dropped = cut(outline.sections, path, bounds)
    filled = {number for number, line in enumerate(lines) if line.strip()}
    return _account(snippets, filled, kept, (outline.left_out, dropped, expanded.left_out))


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


_RST_DIRECTIVE = re.compile(r"\.\. [\w-]+::|\.\. _[\w -]+:")
_RST_SUFFIXES = (".rst", ".rest")
_MARKDOWN_SUFFIXES = (".md", ".mdx", ".markdown", ".mkd", ".qmd", ".rmd")


def _is_rst(path: str, lines: list[str]) -> bool:
    """Return whether a document is reStructuredText, which other suffixes may also hold."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in _MARKDOWN_SUFFIXES:
        return False
    return suffix in _RST_SUFFIXES or any(_RST_DIRECTIVE.match(line) for line in lines)
