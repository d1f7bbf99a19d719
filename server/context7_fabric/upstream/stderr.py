"""The stderr of an upstream command: passed on to our own, its last line kept for messages."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Self, TextIO

import anyio
from anyio import to_thread

LONGEST_LINE = 200
"""Characters that are kept of a line."""

LAST_SECONDS = 0.5
"""How long the end of what a child wrote is waited for once it has ended."""

_CHUNK = 65536
_KEPT_BYTES = 8192
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?")
_NOISE = re.compile(r"Node\.js v[\d.]+|npm (?:error|ERR!) (?:A complete log of this run|\s*/).*")
"""Lines that programs end with whatever went wrong."""


class ChildStderr:
    """A pipe that a thread empties: a reader of ours that stalls must not stop the event loop."""

    def __init__(self, secret: str | None = None) -> None:
        """Leave `secret` out of the line that is kept."""
        self._secret = secret
        self._kept = b""
        self._own = sys.stderr
        reader, writer = os.pipe()
        self._writer: TextIO | None = os.fdopen(writer, "w")
        self._thread = Thread(target=self._pump, args=(reader,), name="stderr", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Give up our end of the pipe; the thread ends when the child's is closed."""
        self.started()

    @property
    def handed_over(self) -> TextIO:
        """The end that the child writes to."""
        if self._writer is None:
            raise ValueError("the child has started already")
        return self._writer

    def started(self) -> None:
        """Leave the writing end to the child alone, so that its end shows."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def last_words(self) -> str:
        """Return the last line that the child wrote, empty when it wrote none."""
        self.started()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._thread.join, LAST_SECONDS)
        return last_line(self._kept, self._secret)

    def _pump(self, reader: int) -> None:
        with os.fdopen(reader, "rb", buffering=0) as pipe:
            while chunk := pipe.read(_CHUNK):
                self._kept = (self._kept + chunk)[-_KEPT_BYTES:]
                with suppress(OSError, ValueError, AttributeError):  # there may be none
                    _write_all(self._own.fileno(), chunk)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def last_line(written: bytes, secret: str | None = None) -> str:
    """Return the last line that says something, without what steers a terminal, cut to a length."""
    text = _ESCAPES.sub("", written.decode("utf-8", "replace"))
    if secret:
        text = text.replace(secret, "[key]")
    lines = [_plain(line) for line in re.split(r"[\r\n]+", text)]
    told = [line for line in lines if line and not _NOISE.fullmatch(line)]
    return told[-1][:LONGEST_LINE] if told else ""


def _plain(line: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in line).split())
