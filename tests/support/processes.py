"""Child processes of tests: start them, exchange lines, and check that all of them end in time.

Nothing here sleeps or polls: lines come through a condition, ends of processes through pidfds.
Linux only, because it asks /proc who is whose child.
"""

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Thread
from typing import IO

from support.forked import started

TO_END = 30.0
"""Seconds that a process may take to end on a busy machine, where no other time is promised."""


class Lines:
    """Output of a process on one pipe so far; read by a thread, so the pipe never fills."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lines: list[str] = []
        self._ended = False
        self._changed = Condition()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        return "\n".join(self._lines)

    def wait_for(self, pattern: str, seconds: float = 30, after: int = 0) -> re.Match[str]:
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

    def close(self, seconds: float = TO_END) -> None:
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


class Process:
    """A running child with its pipes."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        assert popen.stdin is not None
        assert popen.stdout is not None
        assert popen.stderr is not None
        self.popen = popen
        self.pid = popen.pid
        self.out = Lines(popen.stdout)
        self.err = Lines(popen.stderr)
        self._stdin = popen.stdin

    def send(self, line: str | bytes) -> None:
        self._stdin.write((line if isinstance(line, bytes) else line.encode()) + b"\n")
        self._stdin.flush()

    def close_stdin(self) -> None:
        with suppress(BrokenPipeError):
            self._stdin.close()

    def wait(self, seconds: float = TO_END) -> int:
        """Its exit code; raises subprocess.TimeoutExpired when it has none in time."""
        return self.popen.wait(seconds)

    def complaints(self, code: int = 0) -> list[str]:
        """Close its input, wait for its end with this exit code, and return its lines on stderr.

        While it runs, a line may come later than the reply that was written after it.
        """
        self.close_stdin()
        ended = self.wait()
        self.err.close()
        assert ended == code, self.err.text
        return self.err.text.splitlines()

    def stop(self, seconds: float = 5) -> None:
        """End it, with patience first and by force then, and everything in its process group."""
        self.close_stdin()
        self.popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(seconds)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait(seconds)
        self.out.close(2)
        self.err.close(2)


@contextmanager
def spawn(
    command: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Process]:
    """A child for the length of the block, leader of a process group of its own."""
    pipe = subprocess.PIPE
    process = Process(started(command, env, cwd, stdin=pipe, stdout=pipe, stderr=pipe))
    try:
        yield process
    finally:
        process.stop()


def children_of(pid: int) -> set[int]:
    """All living descendants of a process."""
    parents = {child: parent for child, parent, state in _processes() if state != "Z"}
    family = {pid}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return family - {pid}


def living(pids: Iterable[int]) -> set[int]:
    """Those of the processes that have not ended."""
    return {pid for pid, _parent, state in _processes() if state != "Z"} & set(pids)


def wait_gone(pids: Iterable[int], seconds: float = TO_END) -> None:
    """Wait until all these processes have ended; a zombie counts as ended.

    A test gives `seconds` only where a shorter time is promised.

    Raises:
        AssertionError: some still run after so many seconds; says which.
    """
    deadline = time.monotonic() + seconds
    left = [pid for pid in pids if not _ended(pid, deadline - time.monotonic())]
    assert not left, f"still running after {seconds} s: {[_command_of(pid) for pid in left]}"


def one_within(limit: float, measure: Callable[[], float], tries: int = 3) -> None:
    """Measure until a time in seconds is below `limit`.

    A busy machine adds to one time or the other; a wait in the code adds to each.

    Raises:
        AssertionError: none of `tries` times is.
    """
    took: list[float] = []
    while _is_to_try(limit, took, tries):
        took.append(measure())


async def one_soon(limit: float, measure: Callable[[], Awaitable[float]], tries: int = 3) -> None:
    """Do as `one_within`, in an event loop."""
    took: list[float] = []
    while _is_to_try(limit, took, tries):
        took.append(await measure())


def seconds_of(work: Callable[[], object]) -> float:
    """Return the duration of `work`."""
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def _is_to_try(limit: float, took: Sequence[float], tries: int) -> bool:
    is_to_try = not took or took[-1] >= limit
    assert not is_to_try or len(took) < tries, f"never below {limit} s: {took}"
    return is_to_try


def _ended(pid: int, seconds: float) -> bool:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], max(0, seconds))[0])
    finally:
        os.close(fd)


def _processes() -> Iterator[tuple[int, int, str]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            pid, rest = stat.parent.name, stat.read_text(errors="replace").rpartition(")")[2]
            state, parent = rest.split()[:2]
            yield int(pid), int(parent), state


def _command_of(pid: int) -> str:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return f"{pid}: {b' '.join(words).decode(errors='replace')}"
    return str(pid)
