"""The lines that the serving process and its worker exchange: bounded JSON objects, one a line.

A request has an `id` and says in `do` what is wanted; its reply has the same `id` and either what
was asked for or an `error`. Vectors travel as base64 of little-endian 32-bit floats.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from context7_fabric.registry.rows import Row

LONGEST_LINE = 4 * 2**20
"""Most bytes of a line; whoever would write a longer one has to split it."""

Message = dict[str, Any]
_ROW_FIELDS = tuple(field.name for field in fields(Row))


class LineTooLong(ValueError):
    """A message does not fit into one line."""


def encode(message: Mapping[str, Any]) -> bytes:
    """Return `message` as a line.

    Raises:
        LineTooLong: It has more than `LONGEST_LINE` bytes.
    """
    line = json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"
    if len(line) > LONGEST_LINE:
        raise LineTooLong(f"a line of {len(line)} bytes")
    return line


def decode(line: bytes | None) -> Message:
    """Return the message that `line` holds; None is a line that was too long.

    Raises:
        ValueError: It holds none.
    """
    if line is None:
        raise LineTooLong(f"a line of more than {LONGEST_LINE} bytes")
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("the line is no JSON object")  # noqa: TRY004  # as for any bad line
    return message


class WorkerLines:
    """Cuts a stream of bytes into lines, and never keeps more than one line's worth."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        """Expect lines of at most `longest` bytes."""
        self._longest = longest
        self._begun = b""
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """Take `data`; give each line it ends, without its end, and None for one too long."""
        *ended, begun = data.split(b"\n")
        for part in ended:
            yield self._whole(part)
        self._begun += begun
        if len(self._begun) > self._longest:
            self._begun, self._skipping = b"", True

    def _whole(self, end: bytes) -> bytes | None:
        line, skipped = self._begun + end, self._skipping
        self._begun, self._skipping = b"", False
        return None if skipped or len(line) > self._longest else line


def row_to_wire(row: Row) -> Message:
    """Return `row` as JSON values."""
    return {name: getattr(row, name) for name in _ROW_FIELDS}


def row_from_wire(values: Mapping[str, Any]) -> Row:
    """Return the row that `row_to_wire` made `values` from.

    Raises:
        TypeError: They are not those of a row.
    """
    row = dict(values)
    for name in ("aliases", "versions"):
        row[name] = tuple(row.get(name, ()))
    return Row(**row)


def vector_to_wire(vector: bytes) -> str:
    """Return `vector` as text."""
    return b64encode(vector).decode("ascii")


def vector_from_wire(text: str) -> bytes:
    """Return the vector that `text` stands for.

    Raises:
        ValueError: It stands for none.
    """
    return b64decode(text, validate=True)
