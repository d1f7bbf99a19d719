"""The examples of a Markdown document, run as its readers would run them."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import shlex
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any, cast

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{2,4} (.+)$", re.MULTILINE)
_SAID = re.compile(r"^ *print\(.*\)  # (.+)$", re.MULTILINE)
_PROMPT = "$ "


def examples(document: str, language: str = "python") -> dict[str, str]:
    """Return the blocks of `document` in a language by the heading above each.

    Further blocks under one heading are numbered: `Persistence`, `Persistence #2`.
    """
    found: dict[str, str] = {}
    for title, block_language, code in _blocks(document):
        if block_language == language:
            number = 1 + sum(each.partition(" #")[0] == title for each in found)
            found[title if number == 1 else f"{title} #{number}"] = code
    return found


def said(code: str) -> list[str]:
    """Return the lines that `code` prints by the comments behind its `print` calls."""
    return _SAID.findall(code)


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a console block, and the lines that stand below it."""

    words: list[str]
    printed: list[str]


def commands(block: str) -> list[Command]:
    """Return the commands of a console block, each begun by a `$`."""
    found: list[Command] = []
    for line in block.splitlines():
        if line.startswith(_PROMPT):
            found.append(Command(shlex.split(line.removeprefix(_PROMPT)), []))
        else:
            found[-1].printed.append(line)
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


def printed(code: str, names: dict[str, Any], *replaced: tuple[str, str]) -> list[str]:
    out = StringIO()
    with redirect_stdout(out):
        run(code, names, replaced)
    return out.getvalue().splitlines()
