"""Bounded reading of the files of a project; nothing outside of its folder is read."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from context7_fabric.errors import UnreadableProjectFile

LARGEST_FILE = 20_000_000
"""Bytes that are read of a file; the lock files of large monorepos have about 5 million."""

LARGEST_TOML = 5_000_000
"""Bytes of a TOML file: the standard library reads about two million in a second."""

MOST_MATCHES = 200
"""Files or folders that one pattern names."""


class ProjectFolder:
    """A project's folder; paths are relative to it, with slashes."""

    def __init__(self, root: Path) -> None:
        """Use the folder `root`."""
        self._root = Path(os.path.realpath(root))

    def has(self, path: str) -> bool:
        """Tell whether there is something at `path`, readable or not."""
        return os.path.lexists(self._root / path)

    def matching(self, pattern: str) -> Sequence[str]:
        """Return the sorted paths that fit a pattern such as `packages/*`, at most `MOST_MATCHES`.

        A pattern that leads out of the folder, or down all of it (`**`), fits nothing.
        """
        pattern = pattern.removeprefix("./").rstrip("/")
        parts = pattern.split("/")
        if not pattern or pattern.startswith("/") or {"..", "**", ""} & set(parts):
            return []
        try:
            found = sorted(self._root.glob(pattern))
        except (OSError, ValueError, NotImplementedError):
            return []
        return [each.relative_to(self._root).as_posix() for each in found[:MOST_MATCHES]]

    def text(self, path: str, limit: int = LARGEST_FILE) -> str:
        """Return the text of a file of at most `limit` bytes, without a byte order mark.

        Raises:
            UnreadableProjectFile: It is no such file, lies elsewhere, is too large, or not text.
        """
        data = self._data(path, limit)
        if b"\0" in data:
            raise UnreadableProjectFile(path, "it is not a text")
        return data.decode("utf-8-sig", "replace")

    def toml(self, path: str) -> dict[str, Any]:
        """Return a TOML file as a table.

        Raises:
            UnreadableProjectFile: As `text`, or it is not TOML.
        """
        text = self.text(path, LARGEST_TOML)
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UnreadableProjectFile(path, f"it is not TOML: {error}") from error
        except (RecursionError, ValueError) as error:
            raise UnreadableProjectFile(path, "it is not TOML that can be read") from error

    def json(self, path: str) -> dict[str, Any]:
        """Return a JSON file as an object.

        Raises:
            UnreadableProjectFile: As `text`, or it is not a JSON object.
        """
        text = self.text(path)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UnreadableProjectFile(path, f"it is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise UnreadableProjectFile(path, "it is not a JSON object")
        return value

    def _data(self, path: str, limit: int) -> bytes:
        place = self._inside(path)
        try:
            # A pipe would be waited for.
            handle = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            with open(handle, "rb") as file:  # noqa: PTH123  # a handle has no path
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise UnreadableProjectFile(path, "it is not a regular file")
                data = file.read(limit + 1)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise UnreadableProjectFile(path, reason) from error
        if len(data) > limit:
            raise UnreadableProjectFile(path, f"it is larger than {limit // 1_000_000} MB")
        return data

    def _inside(self, path: str) -> Path:
        """Return the real place of a file, which has to lie in the folder."""
        try:
            place = Path(os.path.realpath(self._root / path))
        except ValueError as error:
            raise UnreadableProjectFile(path, "it is no path") from error
        if not place.is_relative_to(self._root):
            raise UnreadableProjectFile(path, "it lies outside of the project")
        return place
