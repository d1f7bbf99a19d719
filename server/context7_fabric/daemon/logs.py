"""Logs of a home's daemons: written with a bound on their size, read to the end, followed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from context7_fabric.relay.folders import append_to

_ENDING = ".log"


class LogFollower:
    """Reader of a log that continues where it stopped, also after the file was rotated."""

    def __init__(self, path: Path) -> None:
        """Begin at the start of `path`."""
        self.path = path
        self._inode = 0
        self._position = 0
        self._rest = b""

    def last_lines(self, count: int) -> list[str]:
        """Return the last `count` lines, of the rotated file too where there is one."""
        with suppress(OSError):
            self._inode = self._before.stat().st_ino
        lines = self.new_lines()
        if self._rest:  # the writer may have been killed meanwhile
            lines.append(self._rest.decode(errors="replace"))
            self._rest = b""
        return lines[-count:]

    def new_lines(self) -> list[str]:
        """Return the complete lines that were not returned yet."""
        *lines, self._rest = (self._rest + self._unread()).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    @property
    def _before(self) -> Path:
        """The rotated file."""
        return self.path.with_name(f"{self.path.name}.1")

    def _unread(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                end = self._end_of_last(status.st_ino)
                if self._position > status.st_size:  # it was truncated
                    self._position = 0
                file.seek(self._position)
                new = file.read()
        except OSError:
            return b""
        self._position += len(new)
        return end + new

    def _end_of_last(self, inode: int) -> bytes:
        """Switch to the file `inode` if it is new; return the unread rest of the rotated one."""
        if inode == self._inode:
            return b""
        end = b""
        with suppress(OSError), self._before.open("rb") as file:
            if os.fstat(file.fileno()).st_ino == self._inode:
                file.seek(self._position)
                end = file.read()
        self._inode, self._position = inode, 0
        return end


def logs_in(folder: Path) -> list[LogFollower]:
    """Return the logs in `folder`, those of ended daemons too, the last written last."""
    found = [path for path in folder.glob(f"*{_ENDING}") if path.is_file()]
    return [LogFollower(path) for path in sorted(found, key=_written)]


def follow(
    folder: Path, logs: Iterable[LogFollower], wait: Callable[[], object]
) -> Iterator[tuple[Path, str]]:
    """Yield new lines of the `logs` and of new ones in `folder`, without end.

    `wait` is called when there are none.
    """
    known = {log.path: log for log in logs}
    while True:
        known = {log.path: log for log in logs_in(folder)} | known
        quiet = True
        for log in known.values():
            for line in log.new_lines():
                quiet = False
                yield log.path, line
        if quiet:
            wait()


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


LARGEST = 2**20
"""Bytes of a log, and of the rotated one."""

OLD = 7 * 86400.0
"""Seconds after which the log of an ended daemon is removed."""

_STDOUT, _STDERR = 1, 2


class DaemonLogHandler(RotatingFileHandler):
    """Rotating handler that redirects the process's stdout and stderr to its file as well."""

    def __init__(self, path: Path) -> None:
        """Append to `path`, readable by this user alone."""
        super().__init__(path, maxBytes=LARGEST, backupCount=1, encoding="utf-8")
        form = "%(asctime)s %(levelname)s: %(message)s"
        self.setFormatter(logging.Formatter(form, "%Y-%m-%d %H:%M:%S%z"))
        self._redirect()

    def _open(self) -> TextIOWrapper:
        """Open the file, which is not a link."""
        return open(self.baseFilename, "a", encoding="utf-8", opener=_opened)

    def doRollover(self) -> None:  # noqa: N802  # logging's name
        """Rotate."""
        super().doRollover()
        self._redirect()

    def _redirect(self) -> None:
        if self.stream is not None:
            for fd in (_STDOUT, _STDERR):
                os.dup2(self.stream.fileno(), fd)


def _opened(path: str, _flags: int) -> int:
    return append_to(path)


def remove_old_logs(folder: Path, now: float) -> None:
    """Remove logs of ended daemons that were last written long before `now`."""
    for log in folder.glob("*.log*"):
        socket = folder / f"{log.name.partition('.')[0]}.sock"
        with suppress(OSError):
            if not socket.exists() and log.stat().st_mtime < now - OLD:
                log.unlink()
