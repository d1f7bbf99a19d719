"""Locks of folders: held by a test, and waited for by whoever comes meanwhile."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Have nobody else change a folder for the length of the block; waits until nobody does."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def is_waiting(pid: int) -> bool:
    """Whether a process waits for a lock that another holds."""
    locks = Path("/proc/locks").read_text("ascii").splitlines()
    return any(f" {pid} " in line for line in locks if "->" in line)
