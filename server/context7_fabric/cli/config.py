"""`config CLIENT`: print the entry for a client's configuration file."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping

from context7_fabric.cli.text import CommandParser, print_note
from context7_fabric.client_config.clients import CLIENTS, NAMES, McpClient
from context7_fabric.client_config.command import lasting_command, shell_variables
from context7_fabric.client_config.entries import SERVER_NAME, NewServer, new_entry, parse
from context7_fabric.client_config.locate import files_of, this_machine

_CLAUDE = "claude-code"


def run(words: list[str]) -> int:
    """Print the entry on stdout, and the file for it on stderr."""
    parser = CommandParser(
        "context7-fabric config",
        description="Print the configuration entry for a client; `setup` writes it.",
    )
    parser.add_argument("client", choices=sorted(NAMES), metavar="CLIENT", help=", ".join(CLIENTS))
    client = CLIENTS[NAMES[parser.parse_args(words).client]]
    copied, secret = shell_variables(os.environ)
    entry, missing = new_entry(client, NewServer(lasting_command(), copied, secret), None)
    text = parse("", client.dialect).with_entry(client.container, SERVER_NAME, entry)
    print(text.rstrip("\n"))
    _note_place(client)
    if client.name == _CLAUDE:
        line = shlex.quote(json.dumps(entry))
        print(f"Or run: claude mcp add-json {SERVER_NAME} {line}", file=sys.stderr)
    _note_variables(copied, secret)
    for note in missing:
        print_note(f"{note}.")
    return 0


def _note_place(client: McpClient) -> None:
    paths = [str(path) for path in files_of(client, this_machine())]
    paths += [f"{client.project_file} in the project"] if client.project_file else []
    print_note(f"Put this into {' or '.join(paths)}, in place of the present context7 entry.")


def _note_variables(copied: Mapping[str, str], secret: list[str]) -> None:
    if copied:
        print_note(f"From this shell it has {', '.join(copied)}.")
    if secret:
        print_note(
            f"{', '.join(secret)}: a secret is not printed. The entry refers to the variable,"
            " so set it where the client starts, or put the value in its place."
        )
