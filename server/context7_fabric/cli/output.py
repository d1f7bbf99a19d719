"""What the commands share: an open app or store for their length, and output that is harmless."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from rich.console import Console
from rich.table import Table

from context7_fabric.cli.text import CommandParser, columns, is_utf8
from context7_fabric.errors import SettingError
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.process import harmless, set_up_logging
from context7_fabric.runtime.store import open_backend
from context7_fabric.settings import Settings, read_settings

if TYPE_CHECKING:
    from context7_fabric.runtime.app import App

__all__ = [
    "asks_for_json",
    "harmless",
    "plain_console",
    "print_json",
    "print_table",
    "telling_of_a_wait",
    "with_app",
    "with_fabric",
]

WAIT_SECONDS = 1.0
"""Seconds that a command may be silent on a terminal."""

_BEYOND_ASCII = re.compile(r"[^ -~]")
_UNBOUNDED = 100_000
"""Columns of what is no terminal: nothing is wrapped or cut there."""


def with_app(work: Callable[[App], Awaitable[int]]) -> int:
    """Run `work` with the app that the environment asks for; return its exit code."""
    from context7_fabric.runtime.runtime import open_app

    settings = _settings()

    async def session() -> int:
        async with open_app(settings) as app:
            return await work(app)

    return anyio.run(session)


@contextmanager
def telling_of_a_wait() -> Generator[None]:
    """Say on a terminal's stderr that Context7 is asked, once the block has taken a second."""
    timer = Timer(WAIT_SECONDS, _tell_of_a_wait)
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _tell_of_a_wait() -> None:
    print("Asking Context7 …", file=sys.stderr, flush=True)


def with_fabric(work: Callable[[Fabric], Awaitable[int]]) -> int:
    """Run `work` with the store alone, and return its exit code: nothing else is started.

    Raises:
        SettingError: The store is to be in memory, where this command would be alone with it.
        StoreUnavailable: The store cannot be opened.
    """
    settings = _settings()
    if settings.store.backend == "memory":
        raise SettingError("CONTEXT7_FABRIC_BACKEND", "memory", "a store that outlasts a command")

    async def session() -> int:
        backend = await anyio.to_thread.run_sync(open_backend, settings)
        async with Fabric(backend, value_limit=settings.store.value_limit) as fabric:
            return await work(fabric)

    return anyio.run(session)


def _settings() -> Settings:
    settings = read_settings(os.environ)
    set_up_logging(settings.log_level)
    return settings


def asks_for_json(command: str, description: str, words: Sequence[str]) -> bool:
    """Read the `words` behind a command whose only option is `--json`; tell whether it is there."""
    parser = CommandParser(f"context7-fabric {command}", description=description)
    parser.add_argument("--json", action="store_true", help="the same as a JSON object")
    return bool(parser.parse_args(words).json)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command: rich's own way out is none through a task group."""
        raise BrokenPipeError


def plain_console(*, stderr: bool = False, markup: bool = False) -> Console:
    """Return a console that colours only a terminal, and reads mark-up only if it is to."""
    stream = sys.stderr if stderr else sys.stdout
    is_terminal = stream.isatty()
    return _Console(
        stderr=stderr,
        highlight=False,
        markup=markup,
        emoji=False,
        force_terminal=is_terminal,
        width=columns() if is_terminal else _UNBOUNDED,
    )


def print_table(table: Table) -> None:
    """Print `table` as wide as the terminal; in a pipe each row is one whole line.

    One that is made to fill the terminal has the width that `COLUMNS` gives it in a pipe, and what
    does not fit into a line goes on in the next.
    """
    console = plain_console()
    if console.is_terminal:
        console.print(table)
        return
    width = os.environ.get("COLUMNS", "")
    table.expand = table.expand and width.isdecimal() and int(width) > 0
    for column in table.columns if table.expand else ():
        column.overflow = "fold"
        column.no_wrap = column.ratio is None
    with console.capture() as captured:
        console.print(table, width=columns() if table.expand else None)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)


def print_json(value: Any) -> None:  # noqa: ANN401  # whatever JSON can say
    """Print `value` as one line of JSON, in which what cannot be printed is escaped."""
    told = json.dumps(value, ensure_ascii=not is_utf8(sys.stdout))
    print(_BEYOND_ASCII.sub(_escaped, told), flush=True)


def _escaped(sign: re.Match[str]) -> str:
    return sign[0] if sign[0].isprintable() else json.dumps(sign[0])[1:-1]
