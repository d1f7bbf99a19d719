"""JSON as other programs write it, repaired where strict readers refuse it. Pure."""

from __future__ import annotations

import json
import re

HEAD_BYTES = 4096
"""Bytes at the start of an unreadable message in which its id is looked for."""

_LONGEST_NUMBER = 4000
"""Digits of an integer; JavaScript reads a longer one as infinite, and Python refuses it."""

_GREATEST_WHOLE = 2**53
"""Greatest number up to which JavaScript's numbers are exact."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[][{}]', re.DOTALL)
_ID = re.compile(rb'\s*:\s*(-?[0-9]{1,15}(?=\s*[,}])|"(?:[^"\\]|\\.)*"(?=\s*[,}]))', re.DOTALL)


def readable(text: str) -> str:
    """Return `text` with U+FFFD in place of each half of a surrogate pair."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def mended(data: bytes) -> bytes | None:
    """Return `data` as JSON that strict readers take, None if nothing can be made of it.

    A byte order mark is removed; bytes that are not UTF-8 and half surrogate pairs become U+FFFD.
    """
    try:
        text = data.decode("utf-8-sig", "replace")
        value = json.loads(text, strict=False, parse_int=_integer)
        return readable(json.dumps(value, ensure_ascii=False)).encode()
    except (ValueError, RecursionError):
        return None


def id_in(data: bytes) -> int | str | None:
    """Return the id of the message that `data` begins with, None if its head has none."""
    head, depth = data[:HEAD_BYTES], 0
    for token in _TOKEN.finditer(head):
        if token[0] in b"{[":
            depth += 1
        elif token[0] in b"}]":
            depth -= 1
        elif depth == 1 and token[0] == b'"id"' and (found := _ID.match(head, token.end())):
            return _value(found[1])
    return None


def as_id(value: object) -> object:
    """Return an id as it is answered: readable text, and a whole number without a fraction."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= _GREATEST_WHOLE:
        return int(value)
    return value


def _value(written: bytes) -> int | str | None:
    try:
        value = json.loads(written.decode("utf-8", "replace"), strict=False)
    except ValueError:
        return None
    return readable(value) if isinstance(value, str) else int(value)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONGEST_NUMBER else float(digits)
