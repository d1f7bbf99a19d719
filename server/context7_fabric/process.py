"""This process: limits of the system, log, output and end."""

from __future__ import annotations

import errno
import gc
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from unicodedata import category

TYPE_CHECKING = False  # the relay and commands start with this module
if TYPE_CHECKING:
    from typing import NoReturn

try:
    import resource  # early: no module can be loaded once no file can be opened
except ImportError:
    _LIMITED = False
else:
    _LIMITED = True
"""Resource limits exist, except on Windows."""

_BEYOND_ASCII = re.compile(r"[^ -~]")
_ORDINARY = "\n\t\u00ad\u061c\u200c\u200d\u200e\u200f"
"""Format characters of ordinary text: they shape and order the letters beside them."""

_NO_FILES = (errno.EMFILE, errno.ENFILE)
_NO_THREAD = "can't start new thread"


def raise_file_limit() -> None:
    """Raise the limit of open files to the hard limit, as each connection is a file."""
    if not _LIMITED:
        return
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems do not grant their hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def prepare_server() -> None:
    """Prepare a process that serves: more open files, and an event loop that gets its turn sooner.

    A search for a page works in a thread; with Python's interval of 5 ms it kept the loop waiting
    6 ms (p99), with this one 3 ms, and took no longer itself (tests/bench/docsets.py).
    """
    raise_file_limit()
    sys.setswitchinterval(SWITCH_SECONDS)


SWITCH_SECONDS = 0.001
"""Seconds after which a thread that computes lets another one run."""


def file_limit(most: int) -> int:
    """Return the limit of open files, `most` where there is none."""
    if not _LIMITED:
        return most
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else soft


def can_open(files: int) -> bool:
    """Tell whether that many more files can be opened now."""
    spare: list[int] = []
    try:
        for _each in range(files):
            spare.append(os.open(os.devnull, os.O_RDONLY))  # noqa: PERF401  # those before a failure count
    except OSError:
        return False
    finally:
        for descriptor in spare:
            os.close(descriptor)
    return True


def exhausted(error: BaseException) -> str | None:
    """Return a line about the limit that caused `error`, None if no limit did."""
    for each in _all(error):
        if isinstance(each, OSError) and each.errno in _NO_FILES:
            return f"it may not open more files than {file_limit(0)}: raise the limit (`ulimit -n`)"
        if isinstance(each, BlockingIOError) or str(each) == _NO_THREAD:
            return "it may not start another thread or process: raise the limit (`ulimit -u`)"
    return None


def _all(error: BaseException) -> Iterator[BaseException]:
    """Yield `error`, its causes and the members of groups."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _all(each)
    if error.__cause__ is not None:
        yield from _all(error.__cause__)


def harmless(text: str) -> str:
    """Return `text` with control characters, which steer a terminal, replaced by U+FFFD.

    Line feeds and tabs stay; the carriage return before a line feed is removed.
    """
    return _BEYOND_ASCII.sub(_shown, text.replace("\r\n", "\n"))


def _shown(found: re.Match[str]) -> str:
    sign = found[0]
    ordinary = sign.isprintable() or sign in _ORDINARY or category(sign) == "Zs"
    return sign if ordinary else "\N{REPLACEMENT CHARACTER}"


def imported(name: str) -> ModuleType:
    """Import a module without garbage collection, which takes a fifth of the time of imports."""
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def set_up_logging(level: str, handler: logging.Handler | None = None) -> None:
    """Log our lines of `level` and above, and other packages' warnings, to `handler` or stderr."""
    if handler is None:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_HarmlessFormatter("context7-fabric: %(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("context7_fabric").setLevel(level.upper())
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)


class _HarmlessFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return harmless(super().format(record))


def leave() -> NoReturn:
    """End the process at once; a thread may still block in a read of stdin."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
