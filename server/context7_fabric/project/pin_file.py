"""Editing of a file of pins: one line is spliced in or out, and every other byte stays as it is."""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from context7_fabric.errors import PinFileError, UnreadableProjectFile
from context7_fabric.project.files import ProjectFolder
from context7_fabric.project.pins import LARGEST_FILE

_HEADER = re.compile(r"\s*\[\s*pins\s*\]\s*(?:#.*)?")
_ANY_HEADER = re.compile(r"\s*\[")
_PAIR = re.compile(
    r"(?P<key>\s*(?:\"[^\"\n]*\"|'[^'\n]*'|[\w-]+)\s*=\s*)(?P<value>\"[^\"\n]*\"|'[^'\n]*')"
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def with_pin(text: str, name: str, library_id: str) -> str:
    """Return the text of a file with the pin of `name`, in place of the one that it has.

    Raises:
        ValueError: The text is not TOML, or it has its pins in a form that cannot be edited.
    """
    expected = _pins(text) | {name: library_id}
    lines, begin, end = _table(text)
    if begin is None:
        gap = "" if not lines or not lines[-1].strip() else "\n"
        lines += [f"{gap}[pins]\n"]
        begin = end = len(lines)
    line = f"{_key(name)} = {json.dumps(library_id)}\n"
    at = _line_of(lines, name, begin, end)
    if at is not None:
        found = _PAIR.match(lines[at])
        rest = lines[at][found.end() :] if found else "\n"
        lines[at] = f"{found['key']}{json.dumps(library_id)}{rest}" if found else line
    else:
        while end > begin and not lines[end - 1].strip():
            end -= 1
        lines.insert(end, line)
    return _checked(text, lines, expected)


def without_pin(text: str, name: str) -> str:
    """Return the text of a file without the pin of `name`.

    Raises:
        ValueError: As `with_pin`.
    """
    expected = {each: value for each, value in _pins(text).items() if each != name}
    lines, begin, end = _table(text)
    at = None if begin is None else _line_of(lines, name, begin, end)
    if at is not None:
        del lines[at]
    return _checked(text, lines, expected)


def _pins(text: str) -> dict[str, Any]:
    pins = tomllib.loads(text).get("pins", {})
    if not isinstance(pins, dict):
        raise ValueError("its `pins` are not a table")  # noqa: TRY004  # as of TOML
    return pins


def _table(text: str) -> tuple[list[str], int | None, int]:
    """Return the lines of a text, and those of its table `pins`: the first, and the one behind."""
    lines = [f"{line}\n" for line in text.splitlines()]
    begin = next((at for at, line in enumerate(lines, 1) if _HEADER.fullmatch(line)), None)
    inside = range(begin or 0, len(lines))
    end = next((at for at in inside if _ANY_HEADER.match(lines[at])), len(lines))
    return lines, begin, end


def _line_of(lines: Sequence[str], name: str, begin: int, end: int) -> int | None:
    for at in range(begin, end):
        with suppress(tomllib.TOMLDecodeError):
            if name in tomllib.loads(lines[at]):
                return at
    return None


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _checked(before: str, lines: Sequence[str], expected: Mapping[str, Any]) -> str:
    """Return the edited text, which has to say what was wanted and else what it said before."""
    newline = "\r\n" if "\r\n" in before else "\n"
    text = "".join(lines).replace("\n", newline)
    if tomllib.loads(text) != tomllib.loads(before) | {"pins": expected} and expected:
        raise ValueError("its pins have another form than lines below `[pins]`")
    return text


def read_file(path: Path) -> str:
    """Return the text of a file of pins, empty where there is none; this blocks.

    Raises:
        PinFileError: It cannot be read.
    """
    if not os.path.lexists(path):
        return ""
    try:
        return ProjectFolder(path.parent).text(path.name, LARGEST_FILE)
    except UnreadableProjectFile as error:
        raise PinFileError(str(path), error.reason) from error


def edit_file(path: Path, name: str, library_id: str | None, *, is_private: bool) -> None:
    """Write the pin of `name` into a file, or without an id remove it; it is replaced at once.

    A new file that `is_private` can be read by this user alone. This blocks.

    Raises:
        PinFileError: The file cannot be read, edited or written; it stays as it was.
    """
    text = read_file(path)
    try:
        new = without_pin(text, name) if library_id is None else with_pin(text, name, library_id)
    except (ValueError, RecursionError) as error:
        advice = f"edit the line of {name!r} by hand"
        raise PinFileError(str(path), f"it cannot be edited: {error}; {advice}") from error
    try:
        _replace(Path(os.path.realpath(path)), new, 0o600 if is_private else 0o644)
    except OSError as error:
        raise PinFileError(str(path), error.strerror or str(error)) from error


def _replace(path: Path, text: str, mode: int) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else mode
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123  # a handle
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(mode)
        Path(draft).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(draft).unlink()
        raise
