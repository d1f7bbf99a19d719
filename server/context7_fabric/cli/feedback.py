"""`feedback EXECUTION --rating N`: rate an answer, which changes the stored copy."""

from __future__ import annotations

import argparse

from context7_fabric.cli.session import CommandSession
from context7_fabric.cli.text import CommandParser, print_text
from context7_fabric.lenient_json import readable

_RATINGS = ("1", "2", "3", "4", "5")


def run(words: list[str]) -> int:
    """Record the feedback and print its effect in one line."""
    options = vars(_parser().parse_args(words))
    with CommandSession(records_only=True) as session:
        print_text(session.ask("feedback", **options))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "context7-fabric feedback",
        description="Rate an answer: 1 or 2 drops the stored copy, 4 or 5 keeps it fresh longer.",
    )
    parser.add_argument(
        "execution",
        type=readable,
        metavar="EXECUTION",
        help="the answer's execution_id, or its beginning",
    )
    parser.add_argument("--rating", metavar="N", type=_rating, required=True, help="from 1 to 5")
    parser.add_argument("--comment", type=readable, metavar="TEXT", help="the reason")
    parser.add_argument(
        "--correction", type=readable, metavar="TEXT", help="what would have been right"
    )
    return parser


def _rating(text: str) -> int:
    if text not in _RATINGS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 5")
    return int(text)
