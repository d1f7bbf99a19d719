"""Dispatch of `context7-fabric`: `serve` without a command, as upstream's program does.

A command's module is imported when it runs.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper

from context7_fabric.cli.commands import COMMANDS, GROUPS, RUNS
from context7_fabric.cli.text import print_error
from context7_fabric.errors import (
    FabricError,
    SettingError,
    UnusableFeedback,
    UnusablePin,
    UnusableSource,
)
from context7_fabric.process import exhausted, imported
from context7_fabric.relay.folders import UnusablePath
from context7_fabric.relay.usage import asks_for_version, asks_to_serve, suggestion
from context7_fabric.version import __version__

__all__ = ["COMMANDS", "main", "run_of", "run_to_the_end"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_OF_OUTPUT: Final = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG)

_USAGE: Final = (SettingError, UnusableFeedback, UnusablePin, UnusableSource)
"""Errors of what the user wrote on the command line."""


def run_to_the_end(words: list[str]) -> int:
    """Run this process's command line and flush its output; return the exit code."""
    is_closed = _prepare_streams()
    try:
        code = main(words)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except OSError as error:
        return _report_system_error(error)
    if is_closed and code == 0:
        print_error("standard output is closed: the result cannot be printed")
        return 1
    try:
        sys.stdout.flush()
    except OSError as error:
        return _report(error) or code
    return code


def _prepare_streams() -> bool:
    """Make the streams accept every character; tell whether stdout is closed."""
    is_closed = sys.stdout is None
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  # to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    return is_closed


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name); return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in (["--help"], ["-h"], ["help"]):
        print(_help())
        return 0
    if asks_to_serve(words) and asks_for_version(words):
        print(__version__)
        return 0
    name = "serve"
    if words and not words[0].startswith("-"):
        name = words.pop(0)
    return _run(name, words)


def run_of(name: str) -> Callable[[list[str]], int]:
    """Return the function that runs the command `name`; its module is imported now."""
    module, function = RUNS.get(name, (name, "run"))
    run: Callable[[list[str]], int] = getattr(imported(f"context7_fabric.cli.{module}"), function)
    return run


def _run(name: str, words: list[str]) -> int:
    if name not in COMMANDS:
        hint = suggestion(name, COMMANDS) or "; `context7-fabric --help` lists them"
        print_error(f"there is no command {name!r}{hint}")
        return 2
    try:
        return int(run_of(name)(words))
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:
        code = _report(_cause(error))
        if code is None:
            raise
        return code


def _report(cause: BaseException) -> int | None:
    """Print the error in one line; return the exit code, None for a defect of this program."""
    if isinstance(cause, KeyboardInterrupt):
        return 130
    limit = None if isinstance(cause, FabricError) else exhausted(cause)
    if limit is not None:
        print_error(f"cannot go on: {limit}")
        return 1
    if isinstance(cause, OSError) and not isinstance(cause, TimeoutError):
        return _report_system_error(cause)
    if isinstance(cause, UnusablePath):
        cause = SettingError(cause.variable, cause.value, cause.expected)
    if not isinstance(cause, FabricError):
        return None
    print_error(str(cause))
    return 2 if isinstance(cause, _USAGE) else 1


def _report_system_error(error: OSError) -> int:
    """Print an error of the operating system, except that the reader, as `head`, is gone."""
    if not isinstance(error, BrokenPipeError):
        about = "the output cannot be written" if error.errno in _OF_OUTPUT else "system error"
        about = about if error.filename is None else repr(error.filename)
        print_error(f"{about}: {error.strerror or error}")
    try:
        sys.stdout.flush()
    except OSError:  # else it fails again at the end of the interpreter
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _cause(error: BaseException) -> BaseException:
    """Return the error inside groups of one, which task groups make."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _help() -> str:
    width = max(map(len, COMMANDS))
    groups = (
        "\n".join([f"{title}:", *(f"  {name:<{width}}  {what}" for name, what in group.items())])
        for title, group in GROUPS.items()
    )
    listed = "\n\n".join(groups)
    return (
        "usage: context7-fabric [COMMAND] [OPTIONS]\n\n"
        "Read-through cache in place of Context7's MCP server.\n\n"
        f"{listed}\n\n"
        "Without a command it serves MCP and takes upstream's options: --transport,\n"
        "--port, --api-key; others are ignored. More: `context7-fabric COMMAND --help`."
    )
