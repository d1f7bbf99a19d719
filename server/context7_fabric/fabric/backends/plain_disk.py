"""diskcache's way to store a value, narrowed to what is safe to read back.

diskcache pickles whatever it cannot store plainly, and unpickles whatever a row says is a pickle
(CVE-2025-69872, no fixed release). `PlainDisk` refuses both: text keys and bytes values only, and a
row that claims anything else is a corrupt entry.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import diskcache
from diskcache.core import MODE_BINARY, MODE_RAW

SMALL = 2**15
"""Bytes from which a value lies in a file of its own, as diskcache has it."""

VALUE_FILE = re.compile(r"[0-9a-f]{2}[/\\][0-9a-f]{2}[/\\][0-9a-f]{28}\.val")


class ForeignRow(Exception):
    """A row that this package did not write."""


class PlainDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache ships no types
    """diskcache's serialisation, narrowed to text keys and bytes values."""

    def put(self, key: Any) -> tuple[str, bool]:
        """Return the database form of `key`, which must be text."""
        if not isinstance(key, str):
            raise TypeError(f"a key is text, not {type(key).__name__}")
        return key, True

    def get(self, key: Any, raw: Any) -> str:
        """Return the key that a row holds, which must be text."""
        if not raw or not isinstance(key, str):
            raise ForeignRow("its key is not text")
        return key

    def store(self, value: Any, read: Any, key: Any = diskcache.UNKNOWN) -> Any:
        """Return the database form of `value`, which must be bytes."""
        if read or type(value) is not bytes:  # of a subclass diskcache would store the pickle
            raise TypeError(f"a value is bytes, not {type(value).__name__}")
        return super().store(value, read=False, key=key)

    def fetch(self, mode: Any, filename: Any, value: Any, read: Any) -> bytes:
        """Return the bytes that a row holds, and never unpickle."""
        if mode == MODE_RAW and isinstance(value, bytes):
            return value
        if mode == MODE_BINARY and isinstance(filename, str) and not read:
            return self._contents(filename)
        raise ForeignRow(f"its mode is {mode!r}")

    def remove(self, file_path: Any) -> None:
        """Remove a value's file, and nothing else that a row may name."""
        if isinstance(file_path, str) and VALUE_FILE.fullmatch(file_path):
            super().remove(file_path)

    def _contents(self, filename: str) -> bytes:
        if not VALUE_FILE.fullmatch(filename):
            raise ForeignRow("its file is none of the cache's")
        try:
            return (Path(self._directory) / filename).read_bytes()
        except FileNotFoundError:
            raise  # overwritten or deleted meanwhile: diskcache makes it a miss
        except OSError as error:
            raise ForeignRow(f"its file cannot be read ({error.strerror})") from error
