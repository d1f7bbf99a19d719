"""The command `context7-fabric`: bare it serves, as upstream's does; a first word picks more.

Nothing heavy is imported before it is known what is wanted.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Final, NoReturn

from context7_fabric import __version__
from context7_fabric.errors import FabricError, SettingError
from context7_fabric.relay.folders import UnusablePath

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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name); return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in (["--help"], ["-h"], ["help"]):
        print(_help())
        return 0
    if words[:1] in (["--version"], ["-v"]):
        print(__version__)
        return 0
    name = "serve"
    if words and not words[0].startswith("-"):
        name = words.pop(0)
    return _run(name, words)


def _run(name: str, words: list[str]) -> int:
    if name not in COMMANDS:
        _complain(f"there is no command {name!r}; `context7-fabric --help` lists them")
        return 2
    try:
        return int(imported(f"context7_fabric.cli.{name}").run(words))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        code = _told(error)
        if code is None:
            raise
        return code


def _told(error: Exception) -> int | None:
    """Tell what went wrong in one line and return the exit code, None for a defect of ours."""
    cause = _cause(error)
    if isinstance(cause, BrokenPipeError):  # whoever reads has enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if isinstance(cause, UnusablePath):
        cause = SettingError(cause.variable, cause.value, cause.expected)
    if not isinstance(cause, FabricError):
        return None
    _complain(str(cause))
    return 2 if isinstance(cause, SettingError) else 1


def imported(name: str) -> ModuleType:
    """Import a module, and spare the garbage collector what comes with it: none of it is garbage.

    Looking for some all the same takes a fifth of the time that importing takes.
    """
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def _cause(error: Exception) -> Exception:
    """Return what a task group, through which a command's error comes, has wrapped."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def set_up_logging(level: str, handler: logging.Handler | None = None) -> None:
    """Send log lines of `level` and above to `handler`, ours and only the warnings of others.

    Without one they go to stderr.
    """
    if handler is None:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("context7-fabric: %(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("context7_fabric").setLevel(level.upper())
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)


def leave() -> NoReturn:
    """End now: what needed closing is closed, and a thread may still sit in a read of stdin."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _complain(text: str) -> None:
    print(f"context7-fabric: {text}", file=sys.stderr)


def _help() -> str:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return (
        "usage: context7-fabric [COMMAND] [OPTIONS]\n\n"
        "A drop-in for Context7's MCP server that answers from what it already knows.\n\n"
        f"commands:\n{listed}\n\n"
        "Without a command it serves MCP and takes upstream's options: --transport, --port,\n"
        "--api-key; others are ignored. `context7-fabric COMMAND --help` tells more."
    )
