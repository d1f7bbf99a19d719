"""Wire format between the serving process and its worker: bounded JSON objects, one a line.

A request has an `id` and a verb `do`; its reply has the same `id` and either the result or an
`error`. Vectors are base64 of little-endian 32-bit floats.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST_LINE = 4 * 2**20
"""Bytes of the longest line; a longer message has to be split."""

Message = dict[str, Any]


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
    """Return the message in `line`; None is a line that was too long.

    Raises:
        ValueError: It is not a JSON object.
    """
    if line is None:
        raise LineTooLong(f"a line of more than {LONGEST_LINE} bytes")
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("the line is not a JSON object")  # noqa: TRY004  # as for any bad line
    return message


class WorkerLines:
    """Splitter of a stream of bytes into lines, which never keeps more than one line."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        """Expect lines of at most `longest` bytes."""
        self._longest = longest
        self._begun = b""
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """Add `data`; yield each completed line without its end, and None for one too long."""
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


def vector_to_wire(vector: bytes) -> str:
    """Return `vector` as text."""
    return b64encode(vector).decode("ascii")


def vector_from_wire(text: str) -> bytes:
    """Return the vector that `text` encodes.

    Raises:
        ValueError: It is not base64.
    """
    return b64decode(text, validate=True)
