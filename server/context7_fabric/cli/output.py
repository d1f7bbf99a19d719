"""Output through rich, and an app or a store that is open for the length of a command."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from anyio.from_thread import start_blocking_portal
from rich.console import Console
from rich.table import Table

from context7_fabric.cli.text import (
    CommandParser,
    columns,
    notice_of_a_wait,
    print_json,
    print_note,
)
from context7_fabric.errors import SettingError
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.process import harmless, imported, set_up_logging
from context7_fabric.relay.handshake import working_directory
from context7_fabric.runtime.home_migration import settled
from context7_fabric.runtime.store import is_shared, open_backend, read_principal
from context7_fabric.settings import Settings, read_settings

if TYPE_CHECKING:
    from context7_fabric.daemon.commands import RecordCommands
    from context7_fabric.runtime.app import App

__all__ = [
    "asks_for_json",
    "can_ask",
    "commands_in_process",
    "harmless",
    "is_agreed",
    "notice_of_a_wait",
    "plain_console",
    "print_json",
    "print_table",
    "settings_of_command",
    "with_app",
    "with_fabric",
]

_UNBOUNDED = 100_000
"""Columns of output that is not a terminal: nothing is wrapped or cut there."""


def with_app(work: Callable[[App], Awaitable[int]]) -> int:
    """Run `work` with the app of the environment's settings; return its exit code."""
    from context7_fabric.runtime.app import connect_quietly
    from context7_fabric.runtime.runtime import open_app

    settings = settings_of_command()

    async def session() -> int:
        async with open_app(settings, connect=partial(connect_quietly, settings)) as app:
            return await work(app)

    return anyio.run(session)


def with_fabric(work: Callable[[Fabric], Awaitable[int]]) -> int:
    """Run `work` with the store alone; return its exit code.

    Raises:
        SettingError: As `_open_fabric`.
        StoreUnavailable: As `_open_fabric`.
    """
    settings = settings_of_command()

    async def session() -> int:
        async with _open_fabric(settings) as fabric:
            return await work(fabric)

    return anyio.run(session)


@contextmanager
def commands_in_process(
    *, records_only: bool
) -> Generator[Callable[[str, Mapping[str, Any]], Any]]:
    """Open what answers a command's requests, in a thread; yield a way to call it.

    With `records_only` the store alone is opened, for `why` and `feedback`.
    """
    settings = settings_of_command()
    commands = imported("context7_fabric.daemon.commands")
    if records_only:
        opened = _record_commands(settings)
    else:
        imported("context7_fabric.daemon.app_commands")
        opened = _app_commands(settings)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened) as answering:
        yield partial(portal.call, commands.call, answering)


@asynccontextmanager
async def _app_commands(settings: Settings) -> AsyncGenerator[RecordCommands]:
    from context7_fabric.daemon.app_commands import AppCommands
    from context7_fabric.runtime.app import connect_quietly
    from context7_fabric.runtime.runtime import open_app

    async with open_app(settings, connect=partial(connect_quietly, settings)) as app:
        yield AppCommands(app, settings)


@asynccontextmanager
async def _record_commands(settings: Settings) -> AsyncGenerator[RecordCommands]:
    from context7_fabric.call_log.feedback import Feedback
    from context7_fabric.call_log.records import CallLog
    from context7_fabric.daemon.commands import RecordCommands
    from context7_fabric.privacy.redaction import redact

    async with _open_fabric(settings) as fabric:
        principal = await read_principal(settings, fabric)
        redacted = redact if settings.redact else str
        calls = CallLog(fabric, time.time, redacted, settings.executions)
        feedback = Feedback(fabric, calls, time.time, redacted, principal)
        yield RecordCommands(calls, feedback, principal, sees_all=not is_shared(settings))


@asynccontextmanager
async def _open_fabric(settings: Settings) -> AsyncGenerator[Fabric]:
    """Open the store alone: nothing else is started.

    Raises:
        SettingError: The store is to be in memory, where this command would be alone with it.
        StoreUnavailable: The store cannot be opened.
    """
    if settings.store.backend == "memory":
        raise SettingError("CONTEXT7_FABRIC_BACKEND", "memory", "a store that outlasts a command")
    backend = await anyio.to_thread.run_sync(open_backend, settings)
    async with Fabric(backend, value_limit=settings.store.value_limit) as fabric:
        yield fabric


def settings_of_command() -> Settings:
    """Return the settings of the environment, with the home in its place.

    Raises:
        SettingError: A variable cannot be used.
    """
    settings = read_settings(os.environ, directory=Path(working_directory()))
    set_up_logging(settings.log_level)
    return settled(settings)


def asks_for_json(command: str, description: str, words: Sequence[str]) -> bool:
    """Parse the `words` of a command whose only option is `--json`; tell whether it is set."""
    parser = CommandParser(f"context7-fabric {command}", description=description)
    parser.add_argument("--json", action="store_true", help="the same as a JSON object")
    return bool(parser.parse_args(words).json)


def can_ask() -> bool:
    """Tell whether a person can answer at the terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


def is_agreed(question: str, otherwise: str = "") -> bool:
    """Ask on the terminal, whose end counts as no; print `otherwise`, if any, after a no."""
    try:
        answer = plain_console(stderr=True).input(question, markup=False)
    except EOFError:
        answer = ""
    agreed = answer.strip().lower() in ("y", "yes")
    if not agreed and otherwise:
        print_note(otherwise)
    return agreed


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise the error: rich would end the process inside a task group."""
        raise BrokenPipeError


def plain_console(*, stderr: bool = False, markup: bool = False) -> Console:
    """Return a console that colours only a terminal, and interprets mark-up only with `markup`."""
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

    In a pipe, a table that expands is as wide as `COLUMNS` says, and folds what is wider.
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
