"""Text for people: no control characters, no longer lines than the terminal, local times.

What commands print comes in part from upstream and from other programs. It is data, and reaches a
terminal, or a file that is shown on one later, as text alone.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager

from context7_fabric.process import harmless
from context7_fabric.relay.usage import suggestion

TYPE_CHECKING = False  # a command that asks the daemon takes as long as its imports
if TYPE_CHECKING:
    from typing import Any, NoReturn, TextIO

COLUMNS = 80
"""Columns of help, and of a terminal that does not say how wide it is."""

WAIT_SECONDS = 1.0
"""Seconds that a command may be silent on a terminal."""

_LEAST_COLUMNS = 20


def one_line(text: str) -> str:
    """Return `text` on one line, harmless to a terminal."""
    return harmless(" ".join(text.split()))


def say(text: str, *, hanging: int = 0) -> None:
    """Print `text` on stdout, harmless; lines that a terminal breaks go on `hanging` columns in."""
    print(_fitted(harmless(text), sys.stdout, hanging), flush=True)


def tell(text: str) -> None:
    """Print `text` on stderr, harmless."""
    if sys.stderr is not None:
        print(_fitted(harmless(text), sys.stderr, 0), file=sys.stderr, flush=True)


def complain(text: str) -> None:
    """Print in one line on stderr that something is wrong."""
    tell(one_line(f"context7-fabric: {text}"))


def local_time(at: float, precision: str = "seconds") -> str:
    """Return the time `at` (epoch seconds) as it is in this machine's zone, which is named."""
    from datetime import datetime

    return datetime.fromtimestamp(at).astimezone().isoformat(" ", precision)


def columns() -> int:
    """Return how many columns the terminal has."""
    import shutil

    return max(_LEAST_COLUMNS, shutil.get_terminal_size((COLUMNS, 24)).columns)


def is_utf8(stream: TextIO) -> bool:
    """Tell whether `stream` takes every character there is."""
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


def _fitted(text: str, stream: TextIO, hanging: int) -> str:
    """Return `text` with its lines no longer than the terminal that `stream` may be."""
    if not stream.isatty():
        return text
    import textwrap

    width = columns()
    wrap = textwrap.TextWrapper(
        width, subsequent_indent=" " * min(hanging, width // 2), break_on_hyphens=False
    )
    return "\n".join(line if len(line) <= width else wrap.fill(line) for line in text.split("\n"))


_BEYOND_ASCII = re.compile(r"[^ -~]")


def print_json(value: Any) -> None:  # noqa: ANN401  # whatever JSON can say
    """Print `value` as one line of JSON, in which what cannot be printed is escaped."""
    line = json.dumps(value, ensure_ascii=not is_utf8(sys.stdout))
    print(_BEYOND_ASCII.sub(_escaped, line), flush=True)


def _escaped(sign: re.Match[str]) -> str:
    return sign[0] if sign[0].isprintable() else json.dumps(sign[0])[1:-1]


@contextmanager
def notice_of_a_wait() -> Generator[None]:
    """Print on a terminal's stderr that Context7 is asked, once the block has taken a second."""
    if not sys.stderr.isatty():
        yield
        return
    from threading import Timer

    timer = Timer(WAIT_SECONDS, print, ["Asking Context7 …"], {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


_UNRECOGNISED = "unrecognized arguments: "
_LEAST_WIDTH = 40


class CommandParser(argparse.ArgumentParser):
    """An argument parser that takes every option in full only."""

    def __init__(self, prog: str | None = None, **more: Any) -> None:  # noqa: ANN401  # argparse's
        """Make a parser for `prog`, with argparse's own further arguments."""
        more.setdefault("formatter_class", HelpFormatter)
        super().__init__(prog, allow_abbrev=False, **more)

    def error(self, message: str) -> NoReturn:
        """End with the usage, what is wrong and what may be meant, and exit code 2."""
        words = message.removeprefix(_UNRECOGNISED).split()
        hint = ""
        if message.startswith(_UNRECOGNISED) and words:
            hint = suggestion(words[0].partition("=")[0], self._option_string_actions)
        super().error(one_line(message + hint))


class HelpFormatter(argparse.HelpFormatter):
    """Help as wide as the terminal, 80 columns at most."""

    def __init__(self, prog: str) -> None:
        """Format help for `prog`."""
        super().__init__(prog, width=max(_LEAST_WIDTH, min(COLUMNS, columns())) - 2)
