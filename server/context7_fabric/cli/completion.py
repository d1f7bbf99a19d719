"""`completion SHELL`: print a shell's completion script, made from the parsers of all commands.

The scripts are shtab's. They ask this program only for the ids of docsets; all else is in them.
"""

from __future__ import annotations

import argparse
import os

from context7_fabric.cli.commands import COMMANDS
from context7_fabric.cli.main import run_of
from context7_fabric.cli.text import CommandParser, ParserFound, ParserRequest, actions_of
from context7_fabric.client_config.clients import CLIENTS
from context7_fabric.errors import SettingError
from context7_fabric.models import Viewer
from context7_fabric.settings import read_settings

SHELLS = ("bash", "zsh", "fish")

IDS = "context7-fabric completion --ids 2>/dev/null"
"""Shell command that prints the ids of the docsets that are held."""

_OF_FILES = ("FILE", "SOURCE")
_OF_FOLDERS = ("FOLDER",)
_OF_IDS = ("ID", "ID[@V]", "ID-OR-NAME")
"""Names of values in the help, by what completes them."""


def run(words: list[str]) -> int:
    """Print a script, or the ids for one."""
    parser = CommandParser(
        "context7-fabric completion",
        description="Print the completion script of a shell: commands, options, their values,"
        " files, and ids of docsets.",
    )
    parser.add_argument("shell", nargs="?", choices=SHELLS)
    parser.add_argument("--ids", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.ids:
        print(*_ids(), sep="\n")
        return 0
    if options.shell is None:
        parser.error(f"name a shell: {', '.join(SHELLS)}")
    print(script(options.shell))
    return 0


def script(shell: str) -> str:
    """Return the completion script of one of `SHELLS`."""
    import shtab

    found: str = shtab.complete(whole_parser(), shell)
    return found


def parser_of(name: str) -> CommandParser:
    """Return the parser of a command, without running it."""
    try:
        run_of(name)(ParserRequest())
    except ParserFound as found:
        return found.parser
    raise LookupError(f"the command {name!r} parses its words otherwise")


def whole_parser() -> CommandParser:
    """Return one parser with every command below it, and completions of the values."""
    root = CommandParser("context7-fabric")
    root.add_argument("--version", action="store_true", help="print the version")
    commands = root.add_subparsers(metavar="COMMAND")
    for name, summary in COMMANDS.items():
        own = parser_of(name)
        whole = commands.add_parser(name, help=summary, parents=[own], add_help=False)
        whole.description = own.description
    for action in actions_of(root):
        _complete(action)
    return root


def _complete(action: argparse.Action) -> None:
    """Have the values of an action completed by what its name in the help stands for."""
    import shtab

    name = action.metavar if isinstance(action.metavar, str) else ""
    if name in _OF_FILES:
        action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab's
    elif name in _OF_FOLDERS:
        action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]  # as above
    elif name in _OF_IDS:
        action.complete = shtab.cmd(IDS)  # type: ignore[attr-defined]  # as above
    elif name == "CLIENT":
        action.choices = action.choices or sorted(CLIENTS)
    elif "|" in name and action.choices is None:
        action.choices = name.split("|")


def _ids() -> list[str]:
    from context7_fabric.docsets.library import DocsetLibrary

    try:
        settings = read_settings(os.environ)
    except SettingError:
        return []
    held = DocsetLibrary(settings.home / "docsets", settings.docsets).all(Viewer())
    return [each.name for each in held]
