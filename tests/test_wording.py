"""The words of the project: docstrings name the thing, and some words are used nowhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_first_docstring_lines_name_the_thing(path: Path) -> None:
    asking = [line for line in _first_lines(path) if line.lower().startswith(QUESTION_WORDS)]
    assert [line for line in asking if line.split()[0].lower() in QUESTION_WORDS] == []


@pytest.mark.parametrize(
    "path", [*PYTHON_FILES, *TEXTS], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_unclear_words_are_nowhere(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    assert [line for line in lines if _is_unclear(line)] == []


def _is_unclear(line: str) -> bool:
    return FOUND.search(line.replace(WIRE_NAME, "").replace("_", " ")) is not None


def _first_lines(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield docstring.splitlines()[0]
