"""The examples of a Markdown document, run as its readers would run them."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{2,4} (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Example:
    """One fenced block: the headings it stands below, its language and its text."""

    title: str
    language: str
    code: str


def examples(document: str, language: str = "python") -> list[Example]:
    """Return the blocks of `document` in a language, each named for the heading above it.

    Further blocks under one heading are numbered: `Persistence`, `Persistence 2`.
    """
    found: list[Example] = []
    for title, block_language, code in _blocks(document):
        if block_language == language:
            number = 1 + sum(each.title.partition(" #")[0] == title for each in found)
            name = title if number == 1 else f"{title} #{number}"
            found.append(Example(name, language, code))
    return found


def _blocks(document: str) -> Iterator[tuple[str, str, str]]:
    for fence in _FENCE.finditer(document):
        # A `#` at the beginning of a line inside of a block is a comment, not a heading.
        before = _FENCE.sub("", document[: fence.start()])
        title = _HEADING.findall(before)[-1]
        yield title.strip(), fence[1], fence[2]


def run(code: str, names: dict[str, Any], replaced: Iterable[tuple[str, str]] = ()) -> None:
    """Run `code` with `names` in sight, each `replaced` text in it changed; names are added.

    `await` may stand outside of functions, as in an interactive session.
    """
    for old, new in replaced:
        assert old in code
        code = code.replace(old, new)
    compiled = compile(code, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if compiled.co_flags & inspect.CO_COROUTINE:
        asyncio.run(cast("Coroutine[Any, Any, None]", eval(compiled, names)))  # noqa: S307  # ours
    else:
        exec(compiled, names)  # noqa: S102  # the documents are the project's own
