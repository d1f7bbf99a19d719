"""Lines of a document: line ends, front matter, fences, searches that stay linear."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

TAB = 4


def split(text: str) -> list[str]:
    """Return the lines of a text with any line ends, without byte order mark and NUL."""
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        text = text.replace("\0", "")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.split("\n")


def width(line: str) -> int:
    """Return the columns of white space that a line begins with."""
    spaces = len(line) - len(line.lstrip(" "))
    if line[spaces : spaces + 1] != "\t":
        return spaces
    columns = 0
    for character in line:
        if character == " ":
            columns += 1
        elif character == "\t":
            columns += TAB - columns % TAB
        else:
            break
    return columns


def without_columns(line: str, columns: int) -> str:
    """Return `line` without up to `columns` columns of its white space at the start."""
    if line[:columns].isspace() and "\t" not in line[:columns]:
        return line[columns:]
    rest = max(0, width(line) - columns)
    return " " * rest + line.lstrip(" \t")


# --------------------------------------------------------------------------- Fences

_MARKS = r"(?P<marks>[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*+)"
_OPENING = re.compile(_MARKS + r"(?P<fence>`{3,}+(?=[^`]*$)|~{3,}+)(?P<info>.*)")


class Fence:
    """Opening line of a fence; `marks` are the quote and list marks before it."""

    __slots__ = ("_closing", "info", "key", "marks")

    def __init__(self, opening: re.Match[str]) -> None:
        fence = opening["fence"]
        self.marks = opening["marks"]
        self.info = opening["info"].strip()
        self.key = fence
        self._closing = re.compile(rf"[ \t>]*{re.escape(fence[0])}{{{len(fence)},}}+[ \t]*")

    def is_closed_by(self, line: str) -> bool:
        """Return whether `line` ends the fence."""
        return self.key in line and self._closing.fullmatch(line) is not None


def opening(line: str) -> Fence | None:
    """Return the fence that `line` opens, if any."""
    if "```" not in line and "~~~" not in line:
        return None
    found = _OPENING.fullmatch(line)
    return Fence(found) if found else None


# --------------------------------------------------------------------------- Front matter

_KEY = re.compile(r"([\w.-]+)[ \t]*[:=][ \t]*(.*)")
_TITLES = ("title", "metaTitle", "sidebar_label", "name")
_DESCRIPTIONS = ("description", "metaDescription", "summary")
MOST_FRONT_MATTER = 500
"""Lines of front matter; a longer one is text."""


_CLOSING = {"---": ("---", "..."), "+++": ("+++",)}


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """Title and description in the front matter of a document, with their lines.

    `lines` are those that hold nothing else of use; the document goes on at `end`.
    """

    title: str = ""
    title_lines: tuple[int, ...] = ()
    description: str = ""
    description_lines: tuple[int, ...] = ()
    lines: tuple[int, ...] = ()
    end: int = 0


def front_matter(lines: Sequence[str]) -> FrontMatter:
    """Return the front matter that a document begins with, in YAML or TOML; an empty one if none.

    Only texts of top-level keys are read, so that broken YAML costs nothing but its title.
    """
    start = next((at for at, line in enumerate(lines[:10]) if line.strip()), 0)
    mark = lines[start].rstrip()
    closing = _CLOSING.get(mark)
    if closing is None:
        return FrontMatter()
    span = range(start + 1, min(len(lines), start + MOST_FRONT_MATTER))
    end = next((at for at in span if lines[at].rstrip() in closing), None)
    if end is None or not any(_KEY.match(line) for line in lines[start:end]):
        return FrontMatter()
    values = _values(lines, start + 1, end)
    title, title_lines = _first_of(values, _TITLES)
    description, description_lines = _first_of(values, _DESCRIPTIONS)
    used = {*title_lines, *description_lines}
    others = tuple(at for at in range(start, end + 1) if lines[at].strip() and at not in used)
    return FrontMatter(title, title_lines, description, description_lines, others, end + 1)


def _first_of(
    values: dict[str, tuple[str, list[int]]], keys: Sequence[str]
) -> tuple[str, tuple[int, ...]]:
    found = next((values[key] for key in keys if values.get(key, ("", []))[0]), ("", []))
    return found[0], tuple(found[1])


def _values(lines: Sequence[str], start: int, end: int) -> dict[str, tuple[str, list[int]]]:
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


# --------------------------------------------------------------------------- Searches


class Search:
    """Search for the next line that fits, remembered per kind once there is none.

    A document of a thousand unclosed comments is read once, not a thousand times.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._none_from: dict[str, int] = {}

    def __call__(self, kind: str, start: int, fits: Callable[[str], bool]) -> int | None:
        """Return the number of the first line from `start` on that fits."""
        if start >= self._none_from.get(kind, len(self._lines)):
            return None
        for at in range(start, len(self._lines)):
            if fits(self._lines[at]):
                return at
        self._none_from[kind] = start
        return None
