"""Arguments of a tool call, read as a question as leniently as upstream reads them. Pure.

Upstream validates with zod; errors are worded as there, so that a model that can correct its calls
from zod's messages can do so here too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, cast

from context7_fabric.errors import ArgumentError
from context7_fabric.models import GET_DOCS, QUERY_DOCS, RESOLVE, Mode, Question

MAX_BYTES = 10_000
MAX_PAGE = 10
_MOST_BYTES_A_CHARACTER = 6  # a control character is written with six
_BYTES_AROUND = 6  # quotes, a colon or a comma and the space behind it, the braces
MODES = ("code", "info")

_QUESTION = ("query", "userQuery", "question")
_LIBRARY = ("libraryId", "context7CompatibleLibraryID", "libraryID", "libraryName")
_OLD_LIBRARY = ("context7CompatibleLibraryID", "libraryId", "libraryID", "libraryName")
_TOPIC = ("topic", *_QUESTION)

_Arguments = Mapping[str, Any]


def check_size(tool: str, arguments: _Arguments) -> None:
    """Reject arguments over `MAX_BYTES` of JSON.

    Raises:
        ArgumentError: They are too long.
    """
    if _is_small(arguments):
        return
    size = len(json.dumps(arguments, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise ArgumentError(
            tool, (f"Too big: expected at most {MAX_BYTES} bytes, received {size}",)
        )


def _is_small(arguments: _Arguments) -> bool:
    """Tell whether flat arguments stay under `MAX_BYTES` in any form of JSON."""
    texts = (*arguments, *arguments.values())
    if not all(isinstance(text, str) for text in texts):
        return False
    return sum(map(len, texts)) * _MOST_BYTES_A_CHARACTER + _BYTES_AROUND * len(texts) < MAX_BYTES


def look_up(arguments: _Arguments) -> Question:
    """Return the look-up of `resolve-library-id`; its text is empty without a question.

    Raises:
        ArgumentError: The name is missing, or an argument is not a string.
    """
    fields = _Fields(RESOLVE, arguments)
    question = fields.text(_QUESTION, required=False)
    name = fields.text(("libraryName",), required=True)
    fields.check()
    return Question(name, question)


def question(arguments: _Arguments) -> Question:
    """Return the question of `query-docs`.

    Raises:
        ArgumentError: The library or the question is missing or not a string.
    """
    fields = _Fields(QUERY_DOCS, arguments)
    library_id = fields.text(_LIBRARY, required=True)
    text = fields.text(_QUESTION, required=True)
    fields.check()
    return Question(library_id, text)


def topic_question(arguments: _Arguments) -> Question:
    """Return the question of `get-library-docs`, the older tool.

    Raises:
        ArgumentError: The library is missing, or an argument has the wrong type.
    """
    fields = _Fields(GET_DOCS, arguments)
    library_id = fields.text(_OLD_LIBRARY, required=True)
    text = fields.text(_TOPIC, required=False)
    mode = fields.choice("mode", MODES)
    page = fields.whole("page", most=MAX_PAGE) or 1
    max_tokens = fields.limit("tokens")
    fields.check()
    return Question(library_id, text, cast("Mode | None", mode), page, max_tokens)


class _Fields:
    """Reader of arguments that collects their errors in zod's words."""

    def __init__(self, tool: str, arguments: _Arguments) -> None:
        self.tool = tool
        self.arguments = arguments
        self.problems: list[str] = []

    def text(self, names: tuple[str, ...], *, required: bool) -> str:
        """Return the first present of `names`, the canonical one first."""
        name = next((name for name in names if name in self.arguments), None)
        if name is None:
            if required:
                self._wrong(names[0], "expected string, received undefined")
            return ""
        value = self.arguments[name]
        if not isinstance(value, str):
            self._wrong(names[0], f"expected string, received {_kind(value)}")
            return ""
        return value

    def choice(self, name: str, allowed: tuple[str, ...]) -> str | None:
        value = self.arguments.get(name)
        if value is None or value in allowed:
            return value
        options = "|".join(f'"{option}"' for option in allowed)
        self.problems.append(f"{name}: Invalid option: expected one of {options}")
        return None

    def whole(self, name: str, *, most: int) -> int | None:
        value = self.arguments.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._wrong(name, f"expected number, received {_kind(value)}")
        elif isinstance(value, float) and not value.is_integer():
            self._wrong(name, "expected int, received number")
        elif value < 1:
            self.problems.append(f"{name}: Too small: expected number to be >=1")
        elif value > most:
            self.problems.append(f"{name}: Too big: expected number to be <={most}")
        else:
            return int(value)
        return None

    def limit(self, name: str) -> int | None:
        """Return a usable bound, as text too: today's servers ignore any other."""
        value = self.arguments.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        return int(number) if 1 <= number < math.inf else None

    def check(self) -> None:
        if self.problems:
            raise ArgumentError(self.tool, tuple(self.problems))

    def _wrong(self, name: str, problem: str) -> None:
        self.problems.append(f"{name}: Invalid input: {problem}")


def _kind(value: object) -> str:
    """Return JavaScript's name of the type of `value`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        return "array"
    return "string" if isinstance(value, str) else "object"
