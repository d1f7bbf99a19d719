"""`docs ID-OR-NAME QUESTION…`: ask a library's documentation, as an agent would."""

from __future__ import annotations

import argparse

from context7_fabric.cli.session import CommandSession
from context7_fabric.cli.text import CommandParser, print_json, print_note
from context7_fabric.lenient_json import readable

_FAILED = ("error", "negative")


def run(words: list[str]) -> int:
    """Print the documentation; exit code 1 when there is none."""
    options = _parser().parse_intermixed_args(words)
    library, question = options.library.strip(), " ".join(options.question)
    with CommandSession() as session:
        answer = session.ask("docs", library=library, question=question)
    failed = answer["outcome"] in _FAILED
    if options.json:
        print_json(answer)
        return int(failed)
    if failed:
        print_note(" ".join(answer["text"].split()) or "Context7 sent an empty answer.")
    else:
        print(answer["text"])
    if answer["note"]:
        print_note(answer["note"])
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("context7-fabric docs", description="Ask a library's documentation.")
    parser.add_argument(
        "library",
        type=readable,
        metavar="ID-OR-NAME",
        help="/org/project, /org/project/version, or a name that means one library exactly",
    )
    parser.add_argument(
        "question",
        nargs="+",
        type=readable,
        metavar="QUESTION",
        help="all words that follow; put `--` before words that begin with a dash",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object with the text")
    return parser
