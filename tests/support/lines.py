"""What a child process writes to a pipe, line by line, with a time limit for each wait."""

import re
from threading import Condition, Thread
from typing import IO


class Lines:
    """What a process has written to one pipe so far; read by a thread, so the pipe never fills."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lines: list[str] = []
        self._ended = False
        self._changed = Condition()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """Everything so far."""
        return "\n".join(self._lines)

    def wait_for(self, pattern: str, seconds: float = 10, after: int = 0) -> re.Match[str]:
        """The first line in which the pattern is found, leaving out the first `after` lines.

        Raises:
            TimeoutError: no such line came, or the pipe ended without one.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._find(pattern, after) or self._ended, seconds)
            found = self._find(pattern, after)
        if found is None:
            raise TimeoutError(f"no line like {pattern!r} within {seconds} s, but:\n{self.text}")
        return found

    def close(self, seconds: float = 2) -> None:
        """Wait for the end of the pipe, which a grandchild may hold open, and close it."""
        self._reader.join(seconds)
        if not self._reader.is_alive():
            self._pipe.close()

    def _find(self, pattern: str, after: int) -> re.Match[str] | None:
        searched = (re.search(pattern, line) for line in self._lines[after:])
        return next((match for match in searched if match), None)

    def _read(self) -> None:
        for line in self._pipe:
            self._add(line.decode(errors="replace").rstrip("\n"))
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _add(self, line: str) -> None:
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()
