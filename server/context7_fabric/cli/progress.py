"""Progress of a command that takes long: a bar with an estimate on a terminal, lines elsewhere.

Lines go to stderr, so that the result stays alone on stdout: one when the first seconds are over,
then one each quarter of a minute at most. A command that is quick prints none.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from context7_fabric.cli.output import plain_console
from context7_fabric.cli.text import one_line, print_error, print_note
from context7_fabric.durations import format_duration

INTERRUPTED = 130
"""Exit code after a Ctrl-C."""

QUIET_SECONDS = 3.0
"""Seconds until the first line where there is no terminal."""

EVERY_SECONDS = 15.0
"""Seconds between two lines where there is no terminal."""

_LEAST_SHARE = 0.02
"""Share of the work that has to be done before the rest is estimated."""


class ProgressLines:
    """Lines about one task for a log: each says what is done and how long the rest may take."""

    def __init__(
        self,
        title: str,
        print_line: Callable[[str], None],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin now; `print_line` takes a line, `ticks` gives seconds that never go back."""
        self._title = title
        self._print = print_line
        self._ticks = ticks
        self._began = self._since = ticks()
        self._next = self._began + QUIET_SECONDS

    def step(self, line: str) -> None:
        """Note the step that begins, which has no end that is known."""
        self._since = self._ticks()
        self._say(line)

    def done(self, done: float, total: float | None, text: str) -> None:
        """Note that `done` of `total` (None: not known) is done; `text` says so in words."""
        rest = self._rest(done, total)
        self._say(text if rest is None else f"{text}, about {format_duration(rest)} to go")

    def note(self, line: str) -> None:
        """Print a line at once."""
        print_note(one_line(line))

    def _rest(self, done: float, total: float | None) -> float | None:
        if total is None or not 0 < done <= total or done / total < _LEAST_SHARE:
            return None
        return (self._ticks() - self._since) * (total - done) / done

    def _say(self, line: str) -> None:
        now = self._ticks()
        if now >= self._next:
            self._next = now + EVERY_SECONDS
            self._print(one_line(f"{self._title}: {line}"))


class ProgressBar:
    """The same on a terminal, in one line that is drawn again."""

    def __init__(self, title: str, bar: Progress, total: float | None = None) -> None:
        """Add a task to `bar`; without a `total` the bar only moves."""
        self._bar = bar
        self._task = bar.add_task(one_line(title), total=total)

    def step(self, line: str) -> None:
        """Show the step that begins."""
        self._bar.update(self._task, description=one_line(line), total=None)

    def done(self, done: float, total: float | None, text: str) -> None:
        """Show that `done` of `total` is done, with the time that is left."""
        self._bar.update(self._task, description=one_line(text), completed=done, total=total)

    def note(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(one_line(line), soft_wrap=True)


@contextmanager
def progress(title: str) -> Generator[ProgressBar | ProgressLines]:
    """Show the progress of one task for the block."""
    console = plain_console(stderr=True)
    if not console.is_terminal:
        yield ProgressLines(title, print_note)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield ProgressBar(title, bar)


def interrupted(message: str) -> int:
    """Print in one line that a Ctrl-C ended a command; return its exit code.

    An object whose creation it broke off may complain when it is freed, of nothing that matters.
    """
    sys.unraisablehook = lambda _complaint: None
    print_error(f"interrupted: {message}")
    return INTERRUPTED
