"""Reader of Jupyter notebooks: text cells as Markdown, code in its language, short text outputs.

The lines of a notebook are those of its cells and outputs, not those of the JSON around them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from context7_fabric.docsets.reading.lines import split
from context7_fabric.docsets.reading.markdown import MarkdownReader
from context7_fabric.docsets.reading.outline import Outline, dedent

OUTPUTS: Final = "long, rich or failed outputs"
RAW: Final = "raw cells"
UNREADABLE: Final = "notebook without cells that can be read"
MAGIC: Final = "commands of the notebook"

LONGEST_OUTPUT: Final = 500
"""Characters of a text output that are kept; more of it is seldom read."""


def read_notebook(text: str, outline: Outline) -> list[str]:
    """Read a notebook into the outline; return its lines. One that is no notebook is left out."""
    cells = _cells(_loaded(text))
    if not cells:
        lines = split(text)
        outline.leave_out(UNREADABLE, range(len(lines)))
        return lines
    reader = _NotebookReader(outline)
    for cell in cells:
        reader.read(cell)
    return reader.lines


@dataclass(frozen=True, slots=True)
class _Cell:
    kind: str
    source: str
    language: str
    outputs: tuple[tuple[str, bool], ...]
    """Text of each output, and the state of being plain text of an untroubled run."""


def _loaded(text: str) -> dict[str, Any]:
    """Return the object of a notebook, an empty one if the text is none."""
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return notebook if isinstance(notebook, dict) else {}


def _cells(notebook: Mapping[str, Any]) -> list[_Cell]:
    """Return the cells of the formats 4 and, below `worksheets`, 3."""
    sheets = notebook.get("worksheets")
    holders = sheets if isinstance(sheets, list) else [notebook]
    found = [
        cell for holder in holders if isinstance(holder, dict) for cell in _list(holder, "cells")
    ]
    language = _language(notebook)
    return [_cell(each, language) for each in found if isinstance(each, dict)]


def _cell(cell: Mapping[str, Any], language: str) -> _Cell:
    kind = str(cell.get("cell_type", "raw"))
    source = _joined(cell.get("source", cell.get("input", "")))
    if kind == "heading":  # of format 3
        level = cell.get("level")
        kind, source = "markdown", "#" * (level if isinstance(level, int) else 1) + " " + source
    return _Cell(kind, source, language, tuple(_outputs(cell)))


def _outputs(cell: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    for output in _list(cell, "outputs"):
        if not isinstance(output, dict):
            continue
        data = output.get("data", output)
        bundle = data if isinstance(data, dict) else {}
        text = _joined(bundle.get("text/plain", bundle.get("text", output.get("text", ""))))
        is_rich = any(str(name).startswith(("image", "application")) for name in bundle)
        is_failed = (
            output.get("output_type") in {"error", "pyerr"} or output.get("name") == "stderr"
        )
        yield text or _joined(output.get("traceback", "")), not (is_rich or is_failed)


def _language(notebook: Mapping[str, Any]) -> str:
    metadata = notebook.get("metadata")
    for group, name in (("language_info", "name"), ("kernelspec", "language")):
        holder = metadata.get(group) if isinstance(metadata, dict) else None
        if isinstance(holder, dict) and isinstance(holder.get(name), str):
            return str(holder[name])
    return "python"


def _list(holder: Mapping[str, Any], name: str) -> list[Any]:
    value = holder.get(name)
    return value if isinstance(value, list) else []


def _joined(value: object) -> str:
    """Return a text that the format holds whole or as a list of lines."""
    if isinstance(value, list):
        return "".join(each for each in value if isinstance(each, str))
    return value if isinstance(value, str) else ""


@dataclass(slots=True)
class _NotebookReader:
    """One reading of one notebook; `lines` are those of its cells so far."""

    outline: Outline
    lines: list[str] = field(default_factory=list)

    def read(self, cell: _Cell) -> None:
        numbers = self._add(cell.source)
        if cell.kind == "markdown":
            # A reader of its own, so that an unclosed fence ends with its cell.
            MarkdownReader(split(cell.source), numbers, self.outline).read()
        elif cell.kind == "code":
            self._code(cell, numbers)
        else:
            self.outline.leave_out(RAW, numbers)
        for text, is_plain in cell.outputs:
            self._output(text, is_plain=is_plain)

    def _add(self, text: str) -> range:
        start = len(self.lines)
        self.lines += split(text)
        return range(start, len(self.lines))

    def _code(self, cell: _Cell, numbers: range) -> None:
        lines = split(cell.source)
        magic = [at for at, line in enumerate(lines) if line.startswith(("%", "!"))]
        self.outline.leave_out(MAGIC, (numbers[at] for at in magic))
        kept = [at for at in range(len(lines)) if at not in set(magic)]
        code = [lines[at] for at in kept]
        self.outline.code(code, [numbers[at] for at in kept], cell.language)

    def _output(self, text: str, *, is_plain: bool) -> None:
        numbers = self._add(text)
        if is_plain and len(text) <= LONGEST_OUTPUT and text.strip():
            self.outline.code(dedent(split(text)), numbers, "text")
        else:
            self.outline.leave_out(OUTPUTS, numbers)
