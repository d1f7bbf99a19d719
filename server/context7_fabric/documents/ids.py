"""What a Context7 library id is: its parts and its one canonical spelling.

Here belongs the form of an id, nothing else: which id a name means is the registry's business,
whether an id exists is upstream's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_ID_LENGTH = 512
"""Longest id that is read, in characters."""

_FORM = re.compile(r"/[^/]+/[^/]+(/[^/]+)?")
# A project may begin with "@" (a scope); only a later one starts a version.
_TAGGED = re.compile(r"(?P<project>[^/][^@]*)@(?P<version>.+)")


@dataclass(frozen=True, slots=True)
class LibraryId:
    """A library, or one version of it; `str()` spells `/org/project` or `/org/project/version`."""

    org: str
    project: str
    version: str | None = None

    @property
    def base(self) -> str:
        """The id without its version: `/org/project`."""
        return f"/{self.org}/{self.project}"

    def __str__(self) -> str:
        return self.base if self.version is None else f"{self.base}/{self.version}"


def parse_id(text: str) -> LibraryId | None:
    """Read an id as a caller wrote it.

    `/o/r/v` and `/o/r@v` give the same value; white space around the id is dropped. Gives None
    for anything else: too few or too many segments, white space or an unprintable character
    inside, more than `MAX_ID_LENGTH` characters.
    """
    trimmed = text.strip()
    # The plain space is the only separator that `isprintable` lets pass; control, format
    # (zero-width, bidi) and surrogate characters it refuses.
    if len(trimmed) > MAX_ID_LENGTH or " " in trimmed or not trimmed.isprintable():
        return None
    if not _FORM.fullmatch(trimmed):
        return None
    _, org, project, *version = trimmed.split("/")
    if version:
        return LibraryId(org, project, version[0])
    if tagged := _TAGGED.fullmatch(project):
        return LibraryId(org, tagged["project"], tagged["version"])
    return LibraryId(org, project)
