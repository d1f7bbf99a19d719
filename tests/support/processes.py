"""Child processes of tests: start them, talk to them, and see that they and theirs end in time.

Nothing here sleeps or polls: lines come through a condition, ends of processes through pidfds.
Linux only, because it asks /proc who is whose child.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from support.forked import started
from support.lines import Lines


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
        """Write one line to its standard input."""
        self._stdin.write((line if isinstance(line, bytes) else line.encode()) + b"\n")
        self._stdin.flush()

    def close_stdin(self) -> None:
        """Let it see the end of its input."""
        with suppress(BrokenPipeError):
            self._stdin.close()

    def wait(self, seconds: float = 10) -> int:
        """Its exit code; raises subprocess.TimeoutExpired when it has none in time."""
        return self.popen.wait(seconds)

    def stop(self, seconds: float = 5) -> None:
        """End it, with patience first and by force then, and everything in its process group."""
        self.close_stdin()
        self.popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(seconds)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait(seconds)
        self.out.close()
        self.err.close()


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


def wait_gone(pids: Iterable[int], seconds: float) -> None:
    """Wait until all these processes have ended; one that nobody has reaped counts as ended.

    Raises:
        AssertionError: some still run after so many seconds; says which.
    """
    deadline = time.monotonic() + seconds
    with ExitStack() as stack:
        watched = {pid: _watch(pid, stack) for pid in pids}
        left = {pid for pid, fd in watched.items() if fd is not None}
        for pid in sorted(left):
            if _ended(watched[pid], deadline - time.monotonic()):
                left.discard(pid)
    assert not left, f"still running after {seconds} s: {[_command_of(pid) for pid in left]}"


def _watch(pid: int, stack: ExitStack) -> int | None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    stack.callback(os.close, fd)
    return fd


def _ended(fd: int | None, seconds: float) -> bool:
    if fd is None:
        return True
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(max(0, seconds * 1000)))


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
