"""Form of Context7 library ids: their parts and one canonical spelling."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_ID_LENGTH = 512
"""Characters of the longest id that is read."""

_FORM = re.compile(r"/[^/]+/[^/]+(/[^/]+)*")
# A third part is a version if it looks like one; `/npm/angular/core` is a library of its own.
_VERSION = re.compile(
    r".*\d.*|alpha|beta|canary|current|dev|develop|development|edge|experimental|head|latest|lts|main"
    r"|master|next|nightly|preview|rc|release|stable|staging|trunk",
    re.IGNORECASE | re.DOTALL,
)
# A project may begin with "@" (a scope); only a later one starts a version.
_TAGGED = re.compile(r"(?P<project>[^/][^@]*)@(?P<version>.+)")


@dataclass(frozen=True, slots=True)
class LibraryId:
    """Library, or one version of it; `str()` is `/org/project` or `/org/project/version`.

    The project of a longer id, `/org/repository/path/project`, contains slashes. Its version
    follows an `@`, as does one that does not look like a version.
    """

    org: str
    project: str
    version: str | None = None

    @property
    def base(self) -> str:
        """The id without its version: `/org/project`."""
        return f"/{self.org}/{self.project}"

    def __str__(self) -> str:
        if self.version is None:
            return self.base
        plain = "/" not in self.project and _starts_as_version(self.version)
        return f"{self.base}{'/' if plain else '@'}{self.version}"


def parse_id(text: str) -> LibraryId | None:
    """Read an id as a caller wrote it; white space around it is dropped.

    `/o/r/v` and `/o/r@v` give the same value. None for anything else: too few segments, an empty
    one, white space or an unprintable character inside, more than `MAX_ID_LENGTH` characters.
    """
    trimmed = text.strip()
    # The plain space is the only separator that `isprintable` lets pass; control, format
    # (zero-width, bidi) and surrogate characters it refuses.
    if len(trimmed) > MAX_ID_LENGTH or " " in trimmed or not trimmed.isprintable():
        return None
    if not _FORM.fullmatch(trimmed):
        return None
    _, org, *parts = trimmed.split("/")
    *path, last = parts
    if len(path) == 1 and _starts_as_version(last):
        return LibraryId(org, path[0], last)
    tagged = _TAGGED.fullmatch(last)
    project = "/".join([*path, tagged["project"] if tagged else last])
    return LibraryId(org, project, tagged["version"] if tagged else None)


def folded_id(library_id: str) -> str:
    """Return the form by which ids are compared: ids that differ in case alone are one library."""
    return library_id.casefold()


def _starts_as_version(text: str) -> bool:
    return _VERSION.fullmatch(text.partition("@")[0]) is not None
