"""Token file: names and digests of the access tokens; changes count without a restart."""

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread

from context7_fabric.errors import TokenFileError
from context7_fabric.models import LOCAL_OWNER, Clock

MOST_TOKENS = 1000
NAME_FORM = "1 to 60 letters, digits, dots, dashes or underscores"
TOKEN_PREFIX = "c7f_"  # noqa: S105  # the beginning by which every token is recognised

_NAME = re.compile(r"[A-Za-z0-9._-]{1,60}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_WORDS = 3
_HEAD = "# Tokens of the shared server: a name, the SHA-256 of the token, the time it was made.\n"

_Mark = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """One line of the file; `digest` is the SHA-256 in hexadecimal, the token is not stored."""

    name: str
    digest: str
    made: datetime


@dataclass(frozen=True, slots=True)
class TokenList:
    """The tokens of a file, and the errors of invalid lines, which accept no token.

    `mark` changes with the file on disk; `failure` says why the file could not be read.
    """

    tokens: tuple[TokenEntry, ...] = ()
    invalid: tuple[str, ...] = ()
    mark: _Mark | None = None
    failure: str | None = None


def digest_of(token: str) -> str:
    """Return the digest that the file holds of `token`."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def name_problem(name: str) -> str | None:
    """Return why `name` cannot be the name of a token, or None."""
    if not _NAME.fullmatch(name):
        return f"{name[:80]!r} is not a valid name: use {NAME_FORM}"
    if name == LOCAL_OWNER:
        return f"{name!r} is the name of this machine's user: choose another"
    return None


def read_entries(text: str, path: str) -> TokenList:
    """Return the tokens in `text`, which is the text of the file at `path`.

    A line that is malformed, or repeats an earlier name or token, is invalid.

    Raises:
        TokenFileError: There are too many.
    """
    found: list[TokenEntry] = []
    invalid: list[str] = []
    taken: set[str] = set()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.strip().startswith("#"):
            continue
        try:
            entry = _read_entry(line, taken)
        except ValueError as error:
            invalid.append(str(TokenFileError(path, str(error), number)))
            continue
        taken |= {entry.name, entry.digest}
        found.append(entry)
    if len(found) > MOST_TOKENS:
        raise TokenFileError(path, f"it holds more than {MOST_TOKENS:,} tokens")
    return TokenList(tuple(found), tuple(invalid))


def _read_entry(line: str, taken: set[str]) -> TokenEntry:
    """Return the entry on a line.

    Errors do not quote the line: it may hold a token in the wrong place.
    """
    words = line.split()
    if len(words) != _WORDS:
        raise ValueError("a line is a name, a SHA-256 and a time")
    name, digest, made = words
    if not _NAME.fullmatch(name):
        raise ValueError(f"the first word is no name: it takes {NAME_FORM}")
    if name == LOCAL_OWNER:
        raise ValueError(f"{name!r} is the name of this machine's user")
    if not _DIGEST.fullmatch(digest):
        raise ValueError("the second word is no SHA-256: 64 of 0-9 and a-f")
    for kind, word in (("name", name), ("token", digest)):
        if word in taken:
            raise ValueError(f"the {kind} of {name!r} is there twice")
    return TokenEntry(name, digest, _read_time(made))


def _read_time(word: str) -> datetime:
    with suppress(ValueError):
        time = datetime.fromisoformat(word)
        if time.tzinfo is not None:
            return time
    raise ValueError("the third word is no time like 2026-01-31T12:00:00Z")


def with_entry(text: str, entry: TokenEntry, path: str) -> str:
    """Return `text` with a line for `entry` behind the others.

    Raises:
        TokenFileError: The name is taken or invalid, or there are too many tokens.
    """
    if any(known.name == entry.name for known in read_entries(text, path).tokens):
        raise TokenFileError(path, f"{entry.name!r} has a token already: revoke it first")
    problem = name_problem(entry.name)
    if problem is not None:
        raise TokenFileError(path, problem)
    above = text or _HEAD
    newline = "" if above.endswith("\n") else "\n"
    added = f"{above}{newline}{entry.name} {entry.digest} {entry.made.isoformat()}\n"
    read_entries(added, path)
    return added


def without_entry(text: str, name: str, path: str) -> str:
    """Return `text` without any line of `name`; the rest stays as it is.

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

MOST_LOGGED = 20
"""Invalid lines that are logged one by one."""

_TOKEN_BYTES = 32

log = logging.getLogger(__name__)


class TokenFile:
    """The tokens of one file; none is known before `read` or `refresh`."""

    def __init__(self, path: Path, clock: Clock = time.monotonic, today: Clock = time.time) -> None:
        """Use the file at `path`; `clock` spaces the looks at it, `today` dates a new token."""
        self.path = path
        self._clock = clock
        self._today = today
        self._list = TokenList()
        self._next_look = -math.inf

    def names(self) -> tuple[str, ...]:
        """Return the names of the known tokens, in the file's order."""
        return tuple(entry.name for entry in self._list.tokens)

    def entries(self) -> tuple[TokenEntry, ...]:
        """Return the known tokens, in the file's order."""
        return self._list.tokens

    def owner_of(self, token: str) -> str | None:
        """Return the name of `token`, or None; the time it takes reveals nothing about it."""
        digest, owner = digest_of(token), None
        for entry in self._list.tokens:
            if hmac.compare_digest(entry.digest, digest):
                owner = entry.name
        return owner

    def read(self) -> None:
        """Read the file, and log its invalid lines; blocks.

        Raises:
            TokenFileError: It is missing, cannot be read, or is no token file.
        """
        self._list = self._read(_mark_of(self.path))
        _log_problems(self._list)

    async def refresh(self) -> None:
        """Read the file if it has changed, in a thread, at most once a second.

        While it cannot be read all requests are rejected, which is logged.
        """
        if self._clock() < self._next_look:
            return
        self._next_look = math.inf  # other requests go on with the known tokens meanwhile
        try:
            self._list = await anyio.to_thread.run_sync(self._look, self._list)
        finally:
            self._next_look = self._clock() + LOOK_EVERY

    def _look(self, known: TokenList) -> TokenList:
        mark = _mark_of(self.path)
        if mark is not None and mark == known.mark and known.failure is None:
            return known
        try:
            now = self._read(mark)
        except TokenFileError as error:
            now = TokenList(mark=mark, failure=str(error))
        if now != known:
            _log_problems(now)
        return now

    def _read(self, mark: _Mark | None) -> TokenList:
        try:
            text = _text_of(self.path)
        except FileNotFoundError as error:
            reason = "there is no such file: `context7-fabric token add NAME` makes it"
            raise TokenFileError(str(self.path), reason) from error
        except OSError as error:
            raise self._failure("read", error) from error
        return replace(read_entries(text, str(self.path)), mark=mark)

    def add(self, name: str) -> str:
        """Make a token for `name` and return it: only its digest is stored; blocks.

        Raises:
            TokenFileError: The name is taken or invalid, or the file cannot be used.
        """
        token = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        entry = TokenEntry(name, digest_of(token), datetime.fromtimestamp(int(self._today()), UTC))
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._failure("changed", error) from error
        self._change(lambda text: with_entry(text, entry, str(self.path)))
        return token

    def revoke(self, name: str) -> None:
        """Remove the token of `name`; blocks.

        Raises:
            TokenFileError: There is none, or the file cannot be used.
        """
        self.read()
        self._change(lambda text: without_entry(text, name, str(self.path)))

    def _change(self, change: Callable[[str], str]) -> None:
        """Replace the text by what `change` makes of it, in one step and under a lock."""
        path = Path(os.path.realpath(self.path))
        try:
            with _locked(path.parent) as folder:
                before = ""
                with suppress(FileNotFoundError):
                    before = _text_of(path)
                _write(path, change(before))
                os.fsync(folder)
        except OSError as error:
            raise self._failure("changed", error) from error

    def _failure(self, done: str, error: OSError) -> TokenFileError:
        return TokenFileError(str(self.path), f"it cannot be {done}: {error.strerror or error}")


def _log_problems(tokens: TokenList) -> None:
    """Log the failure of the file, or each of its invalid lines."""
    if tokens.failure is not None:
        log.error(
            "the token file cannot be read: all requests are rejected until it is fixed: %s",
            tokens.failure,
        )
    for line in tokens.invalid[:MOST_LOGGED]:
        log.error("a token is left out: %s", line)
    if tokens.invalid[MOST_LOGGED:]:
        log.error("%d more lines are left out", len(tokens.invalid) - MOST_LOGGED)


def _mark_of(path: Path) -> _Mark | None:
    """Return what changes with the file, None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _text_of(path: Path) -> str:
    # Non-blocking: opening a pipe in the file's place would wait for ever.
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
    """Yield a descriptor of `folder` while this process alone holds its lock."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _write(path: Path, text: str) -> None:
    """Replace the file in one step, readable by its present owner alone."""
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
