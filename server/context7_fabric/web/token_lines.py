"""The text of a token file: one token a line, as its name, the SHA-256 of it and when it was made.

Lines that are empty or begin with `#` say nothing. Nothing here reads or writes a file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from context7_fabric.errors import TokenFileError
from context7_fabric.models import LOCAL_OWNER

MOST_TOKENS = 1000
NAME_FORM = "1 to 60 letters, digits, dots, dashes or underscores"
TOKEN_PREFIX = "c7f_"  # noqa: S105  # what each begins with, so that one is known when it is seen

_NAME = re.compile(r"[A-Za-z0-9._-]{1,60}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_WORDS = 3
_HEAD = "# Who may use the shared server: a name, the SHA-256 of the token, when it was made.\n"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a line says: the SHA-256 is in hexadecimal, the token itself stands nowhere."""

    name: str
    digest: str
    made: datetime


def digest_of(token: str) -> str:
    """Return what a line keeps of `token`."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def name_trouble(name: str) -> str | None:
    """Return why a token cannot bear `name`, or None."""
    if not _NAME.fullmatch(name):
        return f"{name[:80]!r} is no name: it takes {NAME_FORM}"
    if name == LOCAL_OWNER:
        return f"{name!r} is the name of this machine's user: choose another"
    return None


@dataclass(frozen=True, slots=True)
class Entries:
    """The tokens of a file, and the errors of lines that are left out: those admit no one."""

    tokens: tuple[Entry, ...] = ()
    left_out: tuple[TokenFileError, ...] = ()


def read_entries(text: str, path: str) -> Entries:
    """Return what the lines of `text` say; `path` is where they come from.

    A line that cannot be read, or that repeats the name or token of an earlier one, is left out.

    Raises:
        TokenFileError: There are too many.
    """
    found: list[Entry] = []
    left_out: list[TokenFileError] = []
    taken: set[str] = set()
    for number, line in enumerate(text.split("\n"), 1):
        try:
            entry = _entry(line.strip(), path, number)
            if entry is not None:
                _check_new(entry, taken, path, number)
        except TokenFileError as error:
            left_out.append(error)
            continue
        if entry is not None:
            taken |= {entry.name, entry.digest}
            found.append(entry)
    if len(found) > MOST_TOKENS:
        raise TokenFileError(path, f"it holds more than {MOST_TOKENS:,} tokens")
    return Entries(tuple(found), tuple(left_out))


def _check_new(entry: Entry, taken: Collection[str], path: str, number: int) -> None:
    for what, word in (("name", entry.name), ("token", entry.digest)):
        if word in taken:
            raise TokenFileError(path, f"the {what} of {entry.name!r} is there twice", number)


def _entry(line: str, path: str, number: int) -> Entry | None:
    if not line or line.startswith("#"):
        return None
    words = line.split()
    if len(words) != _WORDS:
        raise TokenFileError(path, "a line is a name, a SHA-256 and a time", number)
    name, digest, made = words
    # It is not quoted: the word may be a token that stands in the wrong place.
    if not _NAME.fullmatch(name):
        raise TokenFileError(path, f"the first word is no name: it takes {NAME_FORM}", number)
    if name == LOCAL_OWNER:
        raise TokenFileError(path, f"{name!r} is the name of this machine's user", number)
    if not _DIGEST.fullmatch(digest):
        raise TokenFileError(path, "the second word is no SHA-256: 64 of 0-9 and a-f", number)
    return Entry(name, digest, _time(made, path, number))


def _time(word: str, path: str, number: int) -> datetime:
    with suppress(ValueError):
        time = datetime.fromisoformat(word)
        if time.tzinfo is not None:
            return time
    raise TokenFileError(path, "the third word is no time like 2026-01-31T12:00:00Z", number)


def with_entry(text: str, entry: Entry, path: str) -> str:
    """Return `text` with a line for `entry` behind the others.

    Raises:
        TokenFileError: There is a token of that name, the name cannot be, or there are too many.
    """
    if any(known.name == entry.name for known in read_entries(text, path).tokens):
        raise TokenFileError(path, f"{entry.name!r} has a token already: revoke it first")
    trouble = name_trouble(entry.name)
    if trouble is not None:
        raise TokenFileError(path, trouble)
    above = text or _HEAD
    broken = "" if above.endswith("\n") else "\n"
    added = f"{above}{broken}{entry.name} {entry.digest} {entry.made.isoformat()}\n"
    read_entries(added, path)
    return added


def without_entry(text: str, name: str, path: str) -> str:
    """Return `text` without any line of `name`; all else stays as it is.

    Raises:
        TokenFileError: There is no token of that name.
    """
    lines = text.split("\n")
    kept = [line for line in lines if line.split()[:1] != [name]]
    if kept == lines or name.startswith("#"):
        raise TokenFileError(path, f"there is no token named {name[:80]!r}")
    return "\n".join(kept)
