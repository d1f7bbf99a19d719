"""The words of the project: docstrings name the thing, and some words are used nowhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHON_FILES = sorted(
    path for folder in ("server", "tests") for path in (ROOT / folder).rglob("*.py")
)
TEXTS = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "Makefile"})
QUESTION_WORDS = ("what", "how", "who", "whom", "whose", "which", "where", "when", "why", "whether")
# In parts, so that this file does not carry them.
UNCLEAR = [
    " ".join("".join(parts) for parts in words)
    for words in (
        [("no", "body")],
        [("who", "ever")],
        [("some", "body")],
        [("every", "body")],
        [("to", "ld")],
        [("te", "lls"), ("of",)],
        [("as",), ("fa", "r"), ("as",)],
        [("he", "eds")],
        [("be",), ("it",)],
    )
]
WIRE_NAME = '"' + UNCLEAR[4] + '"'
"""Key of `doctor --json`, which stays."""

FOUND = re.compile(rf"(?<![a-z])({'|'.join(UNCLEAR)})(?![a-z])", re.IGNORECASE)


def test_first_docstring_lines_name_the_thing() -> None:
    asking = {path: list(filter(_asks, _first_lines(path))) for path in PYTHON_FILES}
    assert {path: lines for path, lines in asking.items() if lines} == {}


def test_unclear_words_are_nowhere() -> None:
    texts = {path: path.read_text("utf-8").splitlines() for path in (*PYTHON_FILES, *TEXTS)}
    unclear = {path: list(filter(_is_unclear, lines)) for path, lines in texts.items()}
    assert {path: lines for path, lines in unclear.items() if lines} == {}


def _asks(line: str) -> bool:
    return line.split(maxsplit=1)[0].lower() in QUESTION_WORDS


def _is_unclear(line: str) -> bool:
    return FOUND.search(line.replace(WIRE_NAME, "").replace("_", " ")) is not None


def _first_lines(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield docstring.splitlines()[0]
