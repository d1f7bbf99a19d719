"""The command `context7-fabric`: bare it serves, as upstream's does; a first word picks more.

Nothing heavy is imported before it is known what is wanted.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from context7_fabric.cli.text import complain
from context7_fabric.errors import FabricError, SettingError, UnusableFeedback
from context7_fabric.process import exhausted, imported
from context7_fabric.relay.folders import UnusablePath
from context7_fabric.relay.usage import asks_for_version, asks_to_serve, suggestion
from context7_fabric.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_OF_OUTPUT: Final = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG)

COMMANDS: Final = {
    "serve": "serve MCP on stdio, HTTP or SSE (the default)",
    "resolve": "look library names up",
    "docs": "ask a library's documentation",
    "index": "resolve the seeds through Context7 ahead of time",
    "model": "fetch or check the embedding model for suggestions",
    "context": "read and write what is stored",
    "purge": "forget what is stored",
    "config": "print the configuration snippet for a client",
    "why": "tell how an answer came about",
    "feedback": "rate an answer",
    "daemon": "tell how the shared daemons are, or end them",
    "token": "give and take back access to the shared server",
    "stats": "calls made and saved, the quota, and what the records tell",
    "doctor": "check home, daemon, upstream and store",
    "demo": "see what it does, without a network",
}
"""Each command and what it does; its module in this package bears the same name."""


def run_to_the_end(words: list[str]) -> int:
    """Run this process's command line to the last byte of its output; return the exit code."""
    is_closed = _prepare_streams()
    try:
        code = main(words)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except OSError as error:
        return _told_of_system(error)
    if is_closed and code == 0:
        complain("standard output is closed: the result cannot be printed")
        return 1
    try:
        sys.stdout.flush()
    except OSError as error:
        return _told(error) or code
    return code


def _prepare_streams() -> bool:
    """Let no character end a command that its streams cannot encode; tell if stdout is closed."""
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


def _run(name: str, words: list[str]) -> int:
    if name not in COMMANDS:
        hint = suggestion(name, COMMANDS) or "; `context7-fabric --help` lists them"
        complain(f"there is no command {name!r}{hint}")
        return 2
    try:
        return int(imported(f"context7_fabric.cli.{name}").run(words))
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:
        code = _told(_cause(error))
        if code is None:
            raise
        return code


def _told(cause: BaseException) -> int | None:
    """Tell what went wrong in one line and return the exit code, None for a defect of ours."""
    if isinstance(cause, KeyboardInterrupt):
        return 130
    limit = None if isinstance(cause, FabricError) else exhausted(cause)
    if limit is not None:
        complain(f"cannot go on: {limit}")
        return 1
    if isinstance(cause, OSError) and not isinstance(cause, TimeoutError):
        return _told_of_system(cause)
    if isinstance(cause, UnusablePath):
        cause = SettingError(cause.variable, cause.value, cause.expected)
    if not isinstance(cause, FabricError):
        return None
    complain(str(cause))
    return 2 if isinstance(cause, SettingError | UnusableFeedback) else 1


def _told_of_system(error: OSError) -> int:
    """Tell what the operating system refused; a reader that has enough, as `head`, is no fault."""
    if not isinstance(error, BrokenPipeError):
        about = "the output cannot be written" if error.errno in _OF_OUTPUT else "system error"
        about = about if error.filename is None else repr(error.filename)
        complain(f"{about}: {error.strerror or error}")
    try:
        sys.stdout.flush()
    except OSError:  # it would fail again when the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _cause(error: BaseException) -> BaseException:
    """Return what a task group, through which a command's error comes, has wrapped."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _help() -> str:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return (
        "usage: context7-fabric [COMMAND] [OPTIONS]\n\n"
        "A drop-in for Context7's MCP server that answers from what it already knows.\n\n"
        f"commands:\n{listed}\n\n"
        "Without a command it serves MCP and takes upstream's options: --transport,\n"
        "--port, --api-key; others are ignored. More: `context7-fabric COMMAND --help`."
    )
