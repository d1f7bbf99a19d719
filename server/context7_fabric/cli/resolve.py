"""`resolve NAME…`: look up library names, as an agent would."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator

from context7_fabric.cli.session import CommandSession
from context7_fabric.cli.text import CommandParser, print_json, print_note
from context7_fabric.lenient_json import readable
from context7_fabric.process import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LONGEST_NAME = 1_000
"""Characters of a name that is looked up: a longer one is text that was piped by mistake."""


def run(words: list[str]) -> int:
    """Print a line a name; exit code 1 when one of them has no exact match."""
    options = _parser().parse_args(words)
    inexact = 0
    with CommandSession() as session:
        for name in _names(options.names):
            found = _refusal(name) or session.ask("resolve", name=name, question=options.question)
            found["query"] = name[:LONGEST_NAME]
            inexact += not found["exact"]
            if options.json:
                print_json(found)
            else:
                _show(found)
    return 1 if inexact else 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "context7-fabric resolve",
        description="Look up library names. Exit code 1 when one of them has no exact match.",
    )
    parser.add_argument(
        "names",
        nargs="+",
        type=readable,
        metavar="NAME",
        help="`-` reads names, a line each; put `--` before a name that begins with a dash",
    )
    parser.add_argument("--question", type=readable, default="", help="what it is wanted for")
    parser.add_argument("--json", action="store_true", help="one JSON object a name")
    return parser


def _names(given: Iterable[str]) -> Iterator[str]:
    for name in given:
        if name == "-":
            yield from _typed()
        else:
            yield name.strip()


def _typed() -> Iterator[str]:
    """Yield the lines of standard input that are not blank; none where it is closed."""
    for line in sys.stdin.buffer if sys.stdin is not None else ():
        if name := line.decode("utf-8", "replace").strip("\ufeff \t\r\n\f\v"):
            yield name


def _refusal(name: str) -> dict[str, Any] | None:
    """Return the result for a name that is not looked up, None for any other."""
    if not name:
        note = "the name is empty: give the name of a library"
    elif len(name) > LONGEST_NAME:
        note = f"the name has more than {LONGEST_NAME:,} characters: give a shorter one"
    else:
        return None
    refused = {"library_id": None, "exact": False, "outcome": "error", "tier": "local"}
    return {"query": name, **refused, "note": note}


def _show(found: dict[str, Any]) -> None:
    name, note = found["query"], found.get("note", "")
    if found["exact"]:
        by = f"({found['outcome']}, {found['tier']})"
        print(harmless(f"{name}  {found['library_id']}  {by}"), flush=True)
    elif candidates := found.get("candidates"):
        note = f"{note} No exact match; candidates: {', '.join(candidates)}".lstrip()
    if note:
        print_note(f"{name}: {note}")
