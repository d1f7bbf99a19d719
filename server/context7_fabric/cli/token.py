"""`token add|list|revoke`: access tokens for the HTTP server; a running server applies changes."""

from __future__ import annotations

import argparse

from rich.table import Table

from context7_fabric.cli.output import print_json, print_table, settings_of_command
from context7_fabric.cli.text import CommandParser, local_time, print_note, print_text
from context7_fabric.http_server.token_file import NAME_FORM, TokenFile, name_problem
from context7_fabric.process import harmless

_ABOUT = f"""A token lets one person or machine use a shared server. NAME is its owner, who has
stored entries and a request limit of their own. It takes {NAME_FORM}."""
_SHOWN_ONCE = """This is shown once: only its SHA-256 is kept, in {path}.
Clients send it as `Authorization: Bearer TOKEN`; `context7-fabric token revoke {name}` revokes
it."""


def run(words: list[str]) -> int:
    """Run the subcommand."""
    options = _parser().parse_args(words)
    return int(options.do(TokenFile(settings_of_command().web.tokens_file), options))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("context7-fabric token", description=_ABOUT)
    named = parser.add_subparsers(required=True, metavar="add|list|revoke")
    add = named.add_parser("add", help="print a new token")
    add.add_argument("name", metavar="NAME", type=_name)
    add.set_defaults(do=_add)
    listed = named.add_parser("list", help="list the tokens' names")
    listed.add_argument("--json", action="store_true", help="the same as a JSON object a line")
    listed.set_defaults(do=_list)
    revoke = named.add_parser("revoke", help="revoke a token")
    revoke.add_argument("name", metavar="NAME", type=_name)
    revoke.set_defaults(do=_revoke)
    return parser


def _name(text: str) -> str:
    problem = name_problem(text)
    if problem is not None:
        raise argparse.ArgumentTypeError(problem)
    return text


def _add(file: TokenFile, options: argparse.Namespace) -> int:
    print(file.add(options.name), flush=True)
    print_note(_SHOWN_ONCE.format(path=file.path, name=options.name))
    return 0


def _list(file: TokenFile, options: argparse.Namespace) -> int:
    if file.path.exists():
        file.read()
    entries = file.entries()
    if options.json:
        for entry in entries:
            print_json({"name": entry.name, "made": entry.made.isoformat()})
    elif entries:
        table = Table("name", "made", box=None, pad_edge=False)
        for entry in entries:
            table.add_row(harmless(entry.name), local_time(entry.made.timestamp(), "minutes"))
        print_table(table)
    if not entries:
        print_note("There are no tokens; `context7-fabric token add NAME` makes one.")
    return 0


def _revoke(file: TokenFile, options: argparse.Namespace) -> int:
    file.revoke(options.name)
    print_text(f"The token of {options.name} is revoked.")
    return 0
