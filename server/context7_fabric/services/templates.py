"""Texts with `{placeholders}`, which are data from anybody: no expression in one is evaluated.

`{name}` is a placeholder where `name` is an identifier, `{{` is a brace, and `}}` closes one that
was opened so. Everything else, JSON for one, stands for itself. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_SIGN = re.compile(r"\{\{|\}\}|\{[A-Za-z_][A-Za-z0-9_]*\}")


def placeholders(text: str) -> tuple[str, ...]:
    """Return the names of the placeholders in `text`, each once, in their order."""
    signs = (sign for sign, is_sign in _parts(text) if is_sign)
    return tuple(dict.fromkeys(signs))


def filled(text: str, values: Mapping[str, str], most: int) -> str | None:
    """Return `text` with the values in place of their names, None when it gets too long.

    `most` is in characters. Braces in a value are left alone.

    Raises:
        KeyError: A placeholder has no value.
    """
    parts = [values[part] if is_sign else part for part, is_sign in _parts(text)]
    return "".join(parts) if sum(map(len, parts)) <= most else None


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the text piece by piece; True marks the name of a placeholder."""
    opened = end = 0
    for match in _SIGN.finditer(text):
        yield text[end : match.start()], False
        end, sign = match.end(), match[0]
        if sign == "{{":
            opened += 1
            yield "{", False
        elif sign == "}}":
            yield "}" if opened else sign, False
            opened = max(0, opened - 1)
        else:
            yield sign[1:-1], True
    yield text[end:], False
