"""Reading and writing of clients' configuration files: backup, atomic replacement, mode, link.

A file is written through a symbolic link, keeps its mode, owner, byte order mark and line ends, and
is replaced in one step, so that a killed run leaves the old file or the new one.
"""

from __future__ import annotations

import codecs
import difflib
import errno
import os
import re
import stat
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from context7_fabric.errors import ClientFileChanged, ClientFileError
from context7_fabric.privacy.redaction import redact

_LARGEST: Final = 64 * 1024 * 1024
_PRIVATE: Final = 0o600
_SHARED: Final = 0o644
"""Mode of a new file in a project, which others may work in too."""

_TEMPORARY: Final = ".context7-fabric-new"
"""End of the name of a file that is being written."""

_ABANDONED_SECONDS: Final = 3600.0
_CONTEXT: Final = 1
"""Unchanged lines around a change in a diff."""

_LONGEST_LINE: Final = 300
_MOST_BACKUPS: Final = 100
"""Backups of one second that get names of their own."""

_NAMED_SECRET = re.compile(
    r"""(?ix)(["']?[\w.-]*(?:key|token|secret|passw|authorization|cookie)[\w.-]*["']?\s*[:=,]\s*)
    (["'])((?:\\.|(?!\2)[^\\])+)\2"""
)
_REFERENCE = re.compile(r"\$\{?|\{env:|Bearer \$")


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file as it was read: `data` is None if it was not there; `target` follows links."""

    path: Path
    target: Path
    data: bytes | None
    mode: int = _PRIVATE
    owner: tuple[int, int] | None = field(default=None)

    @property
    def text(self) -> str:
        """The text without a byte order mark.

        Raises:
            ClientFileError: It is not UTF-8.
        """
        data = (self.data or b"").removeprefix(codecs.BOM_UTF8)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise ClientFileError(str(self.path), "it is not UTF-8", line) from None

    def encoded(self, text: str) -> bytes:
        """Return `text` as the bytes of this file.

        Raises:
            ClientFileError: A path in it is not UTF-8.
        """
        mark = codecs.BOM_UTF8 if (self.data or b"").startswith(codecs.BOM_UTF8) else b""
        try:
            return mark + text.encode()
        except UnicodeEncodeError:
            raise ClientFileError(str(self.path), "the new entry is not UTF-8") from None


def read_file(path: Path, *, in_project: bool = False) -> FileContent:
    """Return the content of a client's file; a new one in a project is no private one.

    Raises:
        ClientFileError: It cannot be read, or is no ordinary file.
    """
    try:
        target = path.resolve()
        status = target.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ClientFileError(str(path), "it is no ordinary file")
        if status.st_size > _LARGEST:
            raise ClientFileError(str(path), f"it is larger than {_LARGEST >> 20} MiB")
        data = target.read_bytes()
    except FileNotFoundError:
        mode = _SHARED if in_project else _PRIVATE
        return FileContent(path, path.resolve(), None, mode)
    except (OSError, RuntimeError) as error:
        raise ClientFileError(str(path), _reason(error)) from None
    return FileContent(
        path, target, data, stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
    )


def back_up(content: FileContent, now: datetime) -> Path | None:
    """Write a dated copy beside the file, with its mode; return its path, None for a new file.

    Raises:
        ClientFileError: It cannot be written.
    """
    if content.data is None:
        return None
    stem = f"{content.target.name}.{now:%Y-%m-%dT%H-%M-%S}"
    for number in range(_MOST_BACKUPS):
        path = content.target.with_name(f"{stem}{f'-{number}' if number else ''}.bak")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
        except FileExistsError:
            continue
        except OSError as error:
            raise ClientFileError(str(path), _reason(error)) from None
        try:
            _fill(descriptor, path, content, content.data)
        except OSError as error:
            with suppress(OSError):
                path.unlink()
            raise ClientFileError(str(path), _reason(error)) from None
        return path
    raise ClientFileError(str(content.path), "it has too many backups of this second")


def replace_file(content: FileContent, data: bytes) -> None:
    """Write `data` in the place of a file in one step; missing folders are made.

    Raises:
        ClientFileError: It cannot be written, or is not as it was read.
    """
    folder, name = content.target.parent, content.target.name
    try:
        _make_folder(folder, is_private=not content.mode & stat.S_IROTH)
        _remove_abandoned(folder, name)
        descriptor, temporary = tempfile.mkstemp(_TEMPORARY, f".{name}.", folder)
        try:
            _fill(descriptor, Path(temporary), content, data)
            check_unchanged(content)
            Path(temporary).replace(content.target)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise ClientFileError(str(content.path), _reason(error)) from None


def check_writable(content: FileContent) -> None:
    """Check that a file may be replaced: one that is read-only was made so on purpose.

    Raises:
        ClientFileError: The file or its folder is read-only.
    """
    if content.data is not None and not content.mode & stat.S_IWUSR:
        raise ClientFileError(str(content.path), "it is read-only: chmod u+w it first")
    folder = content.target.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise ClientFileError(str(content.path), f"{str(folder)!r} is no folder")
    if not os.access(folder, os.W_OK):
        raise ClientFileError(str(content.path), f"its folder {str(folder)!r} is read-only")


def diff_of(content: FileContent, text: str, secrets: Sequence[str]) -> str:
    """Return the change of a file as a unified diff, in which keys are redacted."""
    before, after = content.text.splitlines(), text.splitlines()
    start = _common(before, after)
    end = _common(before[:start:-1], after[:start:-1])
    first = max(0, start - _CONTEXT)
    old, new = (each[first : len(each) - max(0, end - _CONTEXT)] for each in (before, after))
    name = str(content.path)
    shown = [f"--- {name if content.data is not None else os.devnull}", f"+++ {name}"]
    found = list(difflib.unified_diff(old, new, n=_CONTEXT, lineterm=""))
    numbered = (_moved(line, first) if line.startswith("@@") else line for line in found[2:])
    return "\n".join([*shown, *(_shown(each, secrets) for each in numbered)])


def _common(before: Sequence[str], after: Sequence[str]) -> int:
    """Return how many lines at the beginning are the same."""
    return next(
        (at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other),
        min(len(before), len(after)),
    )


def _moved(header: str, lines: int) -> str:
    """Return the header of a hunk with its line numbers moved."""
    return re.sub(r"(?<=[-+])\d+", lambda found: str(int(found[0]) + lines), header)


def _shown(line: str, secrets: Sequence[str]) -> str:
    if len(line) > _LONGEST_LINE:
        return f"{line[0]} [a line of {len(line):,} characters]"
    for secret in secrets:
        line = line.replace(secret, "[api-key]")
    return _NAMED_SECRET.sub(_masked, redact(line, homes=False))


def _masked(found: re.Match[str]) -> str:
    is_clear = _REFERENCE.match(found[3]) or found[3].startswith("[")
    return found[0] if is_clear else f"{found[1]}{found[2]}[redacted]{found[2]}"


def _fill(descriptor: int, path: Path, content: FileContent, data: bytes) -> None:
    """Write a file that was just opened, with the mode and owner of another; close it."""
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if content.owner is not None and hasattr(os, "fchown"):
            if content.owner != (os.getuid(), os.getgid()):
                with suppress(PermissionError):  # the group of another user's file
                    os.chown(path, *content.owner)
            os.chmod(path, content.mode)  # noqa: PTH101  # the mode of the file, not of a link
        os.fsync(file.fileno())


def _make_folder(folder: Path, *, is_private: bool) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent, is_private=is_private)
        folder.mkdir(0o700 if is_private else 0o777, exist_ok=True)


def check_unchanged(content: FileContent) -> None:
    """Check that a file is as it was read.

    Raises:
        ClientFileChanged: It is not.
        ClientFileError: It cannot be read.
    """
    if read_file(content.path).data != content.data:
        raise ClientFileChanged(str(content.path), "it was changed meanwhile: run this again")


def _remove_abandoned(folder: Path, name: str) -> None:
    """Remove what a killed run left an hour ago or earlier."""
    for path in folder.glob(f".{_escaped(name)}.*{_TEMPORARY}"):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                path.unlink()


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _reason(error: Exception) -> str:
    if isinstance(error, RuntimeError) or getattr(error, "errno", None) == errno.ELOOP:
        return "its links form a circle"
    return (getattr(error, "strerror", None) or str(error)).rstrip(".").lower()
