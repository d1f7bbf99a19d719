"""`docs ID QUESTION`: ask a library's documentation, as an agent would."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from context7_fabric.app import App
from context7_fabric.cli.output import print_json, telling_of_a_wait, with_app
from context7_fabric.models import Answer, Caller, Outcome
from context7_fabric.services.docs import Question


def run(words: list[str]) -> int:
    """Print the documentation; exit code 1 when there is none."""
    options = _parser().parse_args(words)

    async def work(app: App) -> int:
        question = Question(options.library_id, options.question)
        with telling_of_a_wait():
            answer = await app.desk.query(question, Caller(app.principal))
        _show(answer, options.question, as_json=options.json)
        return 1 if answer.outcome in (Outcome.ERROR, Outcome.NEGATIVE) else 0

    return with_app(work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "context7-fabric docs", description="Ask a library's documentation.", allow_abbrev=False
    )
    parser.add_argument("library_id", metavar="ID", help="/org/project or /org/project/version")
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument("--json", action="store_true", help="one JSON object with the text")
    return parser


def _show(answer: Answer, question: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"query": question} | asdict(answer))
        return
    failed = answer.outcome in (Outcome.ERROR, Outcome.NEGATIVE)
    print(answer.text, file=sys.stderr if failed else sys.stdout)
    if answer.note:
        print(answer.note, file=sys.stderr)
