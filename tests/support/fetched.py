"""Downloads of the tests, fetched once into the user's cache folder, which all checkouts share.

One process at a time fills a folder there; others wait for it, and find it whole or not at all.
Where things come from is neither said nor kept: npm and pip are asked as the user configured them.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import pytest

MINUTES = 5


def cache_folder(kind: str) -> Path:
    """The folder for things of a kind, outside the repository."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base, "context7-fabric-tests", kind)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fetch(wanted: Iterable[Callable[[], object]]) -> None:
    """Call each, which fetches what is not there; a test reports what cannot be had."""
    for each in wanted:
        with suppress(pytest.skip.Exception):
            each()


@cache
def filled(kind: str, named: str, fill: Callable[[str, Path], str | None]) -> Path | str:
    """Return the folder that `fill` fills with what is named, or what went wrong, which it returns.

    Asked once a process, because failing takes long.
    """
    folder = cache_folder(kind) / sha256(named.encode()).hexdigest()[:16]
    if folder.is_dir():
        return folder
    with alone_in(folder.parent):
        return folder if folder.is_dir() else _fill(folder, partial(fill, named)) or folder


def _fill(folder: Path, fill: Callable[[Path], str | None]) -> str | None:
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix="draft-"))
    try:
        if problem := fill(draft):
            return problem
        draft.rename(folder)
    except OSError as error:
        return f"it could not be kept ({error.strerror})"
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return None


def tried(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str] | str:
    """Run a command that downloads; returns what went wrong if it takes too long."""
    try:
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=MINUTES * 60, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} took more than {MINUTES} minutes"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder for the length of the block; waits for it."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def is_waiting(pid: int) -> bool:
    """Tell whether a process waits for a lock that another holds."""
    locks = Path("/proc/locks").read_text("ascii").splitlines()
    return any(f" {pid} " in line for line in locks if "->" in line)
