"""The daemon's log: a file that never grows beyond a bound, with all that is printed in it."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from context7_fabric.relay.folders import append_to

LARGEST = 2**20
"""Bytes of a log; of the one before it, as much is kept."""

OLD = 7 * 86400.0
"""Seconds after which the log of a daemon that is gone is of no use any more."""

_STDOUT, _STDERR = 1, 2


class DaemonLog(RotatingFileHandler):
    """Takes stdout and stderr of the process along when it begins a new file."""

    def __init__(self, path: Path) -> None:
        """Append to `path`, which only this user may read."""
        super().__init__(path, maxBytes=LARGEST, backupCount=1, encoding="utf-8")
        form = "%(asctime)s %(levelname)s: %(message)s"
        self.setFormatter(logging.Formatter(form, "%Y-%m-%d %H:%M:%S%z"))
        self._divert()

    def _open(self) -> TextIOWrapper:
        """Open the file, which is never a link to another one."""
        return open(self.baseFilename, "a", encoding="utf-8", opener=_opened)

    def doRollover(self) -> None:  # noqa: N802  # logging's name
        """Begin a new file."""
        super().doRollover()
        self._divert()

    def _divert(self) -> None:
        if self.stream is not None:
            for fd in (_STDOUT, _STDERR):
                os.dup2(self.stream.fileno(), fd)


def _opened(path: str, _flags: int) -> int:
    return append_to(path)


def remove_old_logs(folder: Path, now: float) -> None:
    """Remove what daemons have logged that are gone and had not written for long before `now`."""
    for log in folder.glob("*.log*"):
        socket = folder / f"{log.name.partition('.')[0]}.sock"
        with suppress(OSError):
            if not socket.exists() and log.stat().st_mtime < now - OLD:
                log.unlink()
