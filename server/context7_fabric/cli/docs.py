"""`docs ID-OR-NAME QUESTION…`: ask a library's documentation, as an agent would."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace

from context7_fabric.answers.library_choice import candidates
from context7_fabric.cli.output import print_json, telling_of_a_wait, with_app
from context7_fabric.cli.text import CommandParser, tell
from context7_fabric.lenient_json import readable
from context7_fabric.models import Answer, Caller, Outcome, Question
from context7_fabric.parsing.ids import parse_id
from context7_fabric.runtime.app import App

_FAILED = frozenset({Outcome.ERROR, Outcome.NEGATIVE})


def run(words: list[str]) -> int:
    """Print the documentation; exit code 1 when there is none."""
    options = _parser().parse_intermixed_args(words)
    question = " ".join(options.question)

    async def work(app: App) -> int:
        with telling_of_a_wait():
            answer = await _answer(app, options.library.strip(), question)
        _show(answer, question, as_json=options.json)
        return 1 if answer.outcome in _FAILED else 0

    return with_app(work)


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


async def _answer(app: App, library: str, question: str) -> Answer:
    caller = Caller(app.principal)
    if not library.startswith("/"):
        found = await app.desk.find(Question(library, question), caller)
        library_id = found.library_id or _listed(library, found)
        if library_id is None:
            return _unresolved(library, found)
        library = library_id
    return await app.desk.query(Question(library, question), caller)


def _listed(text: str, found: Answer) -> str | None:
    """Return the id that `text` is without its slash, if the look-up lists it."""
    library_id = parse_id(f"/{text}")
    known = library_id is not None and library_id.base in candidates(found)
    return str(library_id) if known else None


def _unresolved(name: str, found: Answer) -> Answer:
    """Return the failure to resolve a name, with the ids that may be meant."""
    listed = candidates(found)
    if not listed:
        outcome = found.outcome if found.outcome in _FAILED else Outcome.ERROR
        return replace(found, outcome=outcome, library_id=None)
    ids = ", ".join(listed)
    text = f"{name!r} is no exact match for one library: give one of these ids instead: {ids}"
    return replace(found, text=text, outcome=Outcome.ERROR, library_id=None)


def _show(answer: Answer, question: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"query": question} | asdict(answer))
    elif answer.outcome in _FAILED:
        said = " ".join(answer.text.split()) or "Context7 sent an empty answer."
        tell(said)
    else:
        print(answer.text)
    if answer.note and not as_json:
        tell(answer.note)
