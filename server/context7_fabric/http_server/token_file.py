"""The token file: who may come in over HTTP; changed by the command, heeded without a restart."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import logging
import math
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread

from context7_fabric.errors import TokenFileError
from context7_fabric.models import LOCAL_OWNER, Clock

MOST_TOKENS = 1000
NAME_FORM = "1 to 60 letters, digits, dots, dashes or underscores"
TOKEN_PREFIX = "c7f_"  # noqa: S105  # what each begins with, so that one is known when it is seen

_NAME = re.compile(r"[A-Za-z0-9._-]{1,60}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_WORDS = 3
_HEAD = "# Who may use the shared server: a name, the SHA-256 of the token, when it was made.\n"


@dataclass(frozen=True, slots=True)
class TokenEntry:
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
class TokenList:
    """The tokens of a file, and the errors of lines that are left out: those admit no one."""

    tokens: tuple[TokenEntry, ...] = ()
    left_out: tuple[TokenFileError, ...] = ()


def read_entries(text: str, path: str) -> TokenList:
    """Return what the lines of `text` say; `path` is where they come from.

    A line that cannot be read, or that repeats the name or token of an earlier one, is left out.

    Raises:
        TokenFileError: There are too many.
    """
    found: list[TokenEntry] = []
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
    return TokenList(tuple(found), tuple(left_out))


def _check_new(entry: TokenEntry, taken: Collection[str], path: str, number: int) -> None:
    for what, word in (("name", entry.name), ("token", entry.digest)):
        if word in taken:
            raise TokenFileError(path, f"the {what} of {entry.name!r} is there twice", number)


def _entry(line: str, path: str, number: int) -> TokenEntry | None:
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
    return TokenEntry(name, digest, _time(made, path, number))


def _time(word: str, path: str, number: int) -> datetime:
    with suppress(ValueError):
        time = datetime.fromisoformat(word)
        if time.tzinfo is not None:
            return time
    raise TokenFileError(path, "the third word is no time like 2026-01-31T12:00:00Z", number)


def with_entry(text: str, entry: TokenEntry, path: str) -> str:
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


LARGEST_FILE = 2**18
"""Bytes of a token file; a thousand tokens with the longest names take 155,000."""

LOOK_EVERY = 1.0
"""Seconds after which a change of the file is looked for again."""

MOST_TOLD = 20
"""Lines that are left out, as far as they are logged one by one."""

_TOKEN_BYTES = 32

log = logging.getLogger(__name__)
_Mark = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the file held when it was read, or what was wrong with it; `mark` tells it apart.

    `left_out` says which lines cannot be used.
    """

    mark: _Mark | None = None
    entries: tuple[TokenEntry, ...] = ()
    left_out: tuple[str, ...] = ()
    trouble: str | None = None


class TokenFile:
    """The tokens of one file. Nobody has one before `read` or `refresh`."""

    def __init__(self, path: Path, clock: Clock = time.monotonic, today: Clock = time.time) -> None:
        """Use the file at `path`; `clock` spaces the looks at it, `today` dates a new token."""
        self.path = path
        self._clock = clock
        self._today = today
        self._seen = _Seen()
        self._next_look = -math.inf

    def names(self) -> tuple[str, ...]:
        """Return whose tokens are known, in the file's order."""
        return tuple(entry.name for entry in self._seen.entries)

    def entries(self) -> tuple[TokenEntry, ...]:
        """Return what is known of each token, in the file's order."""
        return self._seen.entries

    def owner_of(self, token: str) -> str | None:
        """Return the name of `token`, or None; how long that takes tells nothing about it."""
        digest, owner = digest_of(token), None
        for entry in self._seen.entries:
            if hmac.compare_digest(entry.digest, digest):
                owner = entry.name
        return owner

    def read(self) -> None:
        """Read the file, and log the lines that are left out; blocks.

        Raises:
            TokenFileError: It is not there, cannot be read, or is no token file.
        """
        self._seen = self._read(_mark_of(self.path))
        _tell(self._seen)

    async def refresh(self) -> None:
        """Read the file if it has changed, off the event loop; a look a second is enough.

        While it cannot be read all requests are rejected, which is logged.
        """
        if self._clock() < self._next_look:
            return
        self._next_look = math.inf  # others go on with what is known meanwhile
        try:
            self._seen = await anyio.to_thread.run_sync(self._look, self._seen)
        finally:
            self._next_look = self._clock() + LOOK_EVERY

    def _look(self, seen: _Seen) -> _Seen:
        mark = _mark_of(self.path)
        if mark is not None and mark == seen.mark and seen.trouble is None:
            return seen
        try:
            now = self._read(mark)
        except TokenFileError as error:
            now = _Seen(mark, trouble=str(error))
        if now != seen:
            _tell(now)
        return now

    def _read(self, mark: _Mark | None) -> _Seen:
        try:
            text = _text_of(self.path)
        except FileNotFoundError as error:
            told = "there is no such file: `context7-fabric token add NAME` makes it"
            raise TokenFileError(str(self.path), told) from error
        except OSError as error:
            raise self._failed("read", error) from error
        read = read_entries(text, str(self.path))
        return _Seen(mark, read.tokens, tuple(map(str, read.left_out)))

    def add(self, name: str) -> str:
        """Make a token for `name` and return it: it is not stored; blocks.

        Raises:
            TokenFileError: The name is taken or cannot be, or the file cannot be used.
        """
        token = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        entry = TokenEntry(name, digest_of(token), datetime.fromtimestamp(int(self._today()), UTC))
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._failed("changed", error) from error
        self._change(lambda text: with_entry(text, entry, str(self.path)))
        return token

    def revoke(self, name: str) -> None:
        """Take the token of `name` away; blocks.

        Raises:
            TokenFileError: There is none, or the file cannot be used.
        """
        self.read()
        self._change(lambda text: without_entry(text, name, str(self.path)))

    def _change(self, change: Callable[[str], str]) -> None:
        """Put what `change` makes of the text in its place: whole, and alone with the file."""
        path = Path(os.path.realpath(self.path))
        try:
            with _locked(path.parent) as folder:
                before = ""
                with suppress(FileNotFoundError):
                    before = _text_of(path)
                _write(path, change(before))
                os.fsync(folder)
        except OSError as error:
            raise self._failed("changed", error) from error

    def _failed(self, done: str, error: OSError) -> TokenFileError:
        return TokenFileError(str(self.path), f"it cannot be {done}: {error.strerror or error}")


def _tell(seen: _Seen) -> None:
    """Log what is wrong with the file: each line that is left out, or all of it."""
    if seen.trouble is not None:
        log.error("all requests are rejected until the token file is fixed: %s", seen.trouble)
    for line in seen.left_out[:MOST_TOLD]:
        log.error("a token is left out: %s", line)
    if seen.left_out[MOST_TOLD:]:
        log.error("%d more lines are left out", len(seen.left_out) - MOST_TOLD)


def _mark_of(path: Path) -> _Mark | None:
    """Return what changes with the file, or None where there is none to be seen."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _text_of(path: Path) -> str:
    # Without waiting: somebody's pipe in the file's place would never be opened.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise TokenFileError(str(path), "it is no file")
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise TokenFileError(str(path), f"it has more than {LARGEST_FILE:,} bytes")
    if b"\0" in data:
        raise TokenFileError(str(path), "it is no text")
    return data.decode("utf-8-sig", "surrogateescape")


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Yield a descriptor of `folder`, on which only one process at a time has the lock."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _write(path: Path, text: str) -> None:
    """Replace the file in one step, for its present owner alone."""
    data = text.encode("utf-8", "surrogateescape")
    if len(data) > LARGEST_FILE:
        raise TokenFileError(str(path), f"it would have more than {LARGEST_FILE:,} bytes")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            with suppress(FileNotFoundError):
                status = path.stat()
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
