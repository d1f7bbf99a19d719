"""Front matter of Markdown: its title and description are used, the rest is left out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from context7_fabric.docsets.reading.outline import Outline

_KEY = re.compile(r"([\w.-]+)[ \t]*[:=][ \t]*(.*)")
_TITLES = ("title", "metaTitle", "sidebar_label", "name")
_DESCRIPTIONS = ("description", "metaDescription", "summary")
MOST_FRONT_MATTER = 500
"""Lines of front matter; a longer one is text."""


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """Title of a document by its front matter, and the line after it."""

    title: str = ""
    end: int = 0


def read_front_matter(lines: list[str], outline: Outline) -> FrontMatter:
    """Read front matter, if the document begins with any: the description becomes text."""
    start = next((at for at, line in enumerate(lines[:10]) if line.strip()), 0)
    mark = lines[start].rstrip()
    if mark not in ("---", "+++"):
        return FrontMatter()
    closing = (mark, "...") if mark == "---" else (mark,)
    span = range(start + 1, min(len(lines), start + MOST_FRONT_MATTER))
    end = next((at for at in span if lines[at].rstrip() in closing), None)
    if end is None or not any(_KEY.match(line) for line in lines[start:end]):
        return FrontMatter()
    return _used(lines, start, end, outline)


def _used(lines: list[str], start: int, end: int, outline: Outline) -> FrontMatter:
    values = _values(lines, start + 1, end)
    title = next((values[key] for key in _TITLES if key in values), None)
    description = next((values[key] for key in _DESCRIPTIONS if key in values), None)
    used = set[int]()
    if title and title[0]:
        used.update(title[1])
        outline.heading(1, title[0], title[1])
    if description and description[0]:
        used.update(description[1])
        outline.add_text(description[0], description[1])
    others = (at for at in range(start, end + 1) if lines[at].strip() and at not in used)
    outline.leave_out("front matter", others)
    return FrontMatter(title[0] if title else "", end + 1)


def _values(lines: list[str], start: int, end: int) -> dict[str, tuple[str, list[int]]]:
    """Return the texts of the top-level keys with their lines; nothing else of YAML or TOML."""
    values, key = dict[str, tuple[str, list[int]]](), ""
    for at in range(start, end):
        found = _KEY.match(lines[at])
        if found:
            key = found[1]
            values.setdefault(key, (_scalar(found[2]), [at]))
        elif key and lines[at].strip() and lines[at][0] in " \t" and not _is_item(lines[at]):
            text, numbers = values[key]
            values[key] = (f"{text} {lines[at].strip()}".strip(), [*numbers, at])
        else:
            key = "" if lines[at].strip() else key
    return values


def _is_item(line: str) -> bool:
    return line.lstrip().startswith("- ")


def _scalar(value: str) -> str:
    value = value.strip()
    if value in {">", "|", ">-", "|-", ">+", "|+"}:
        return ""
    if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]:
        return value[1:-1]
    return value
