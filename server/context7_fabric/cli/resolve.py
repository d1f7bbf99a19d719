"""`resolve NAME…`: look library names up, as an agent would."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator

from context7_fabric.app import App
from context7_fabric.cli.output import print_json, telling_of_a_wait, with_app
from context7_fabric.documents.libraries import parse_list
from context7_fabric.models import Answer, Caller, Outcome
from context7_fabric.services.subjects import LookUp


def run(words: list[str]) -> int:
    """Print a line a name; exit code 1 when one of them stays unknown."""
    options = _parser().parse_args(words)

    async def work(app: App) -> int:
        caller = Caller(app.principal)
        unknown = 0
        for name in _names(options.names):
            with telling_of_a_wait():
                answer = await app.desk.resolve(LookUp(name, options.question), caller)
            library_id = _best(answer)
            unknown += library_id is None
            _show(name, library_id, answer, as_json=options.json)
        return 1 if unknown else 0

    return with_app(work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "context7-fabric resolve", description="Look library names up.", allow_abbrev=False
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="`-` reads names, a line each")
    parser.add_argument("--question", default="", help="what it is wanted for")
    parser.add_argument("--json", action="store_true", help="one JSON object a name")
    return parser


def _names(given: Iterable[str]) -> Iterator[str]:
    for name in given:
        if name == "-":
            yield from (line.strip() for line in sys.stdin if line.strip())
        else:
            yield name


def _best(answer: Answer) -> str | None:
    """Return the id that is meant, as far as anybody knows: the choice, else the first listed.

    Suggestions mean nothing: they are only shown.
    """
    if answer.library_id is not None or answer.outcome is Outcome.SUGGESTION:
        return answer.library_id
    listed = _listed(answer)
    return listed[0] if listed else None


def _listed(answer: Answer) -> list[str]:
    listed = parse_list(answer.text)
    return [library.id for library in listed.libraries] if listed else []


def _show(name: str, library_id: str | None, answer: Answer, *, as_json: bool) -> None:
    if as_json:
        outcome, tier = answer.outcome.value, answer.tier.value
        told = {"query": name, "library_id": library_id, "outcome": outcome, "tier": tier}
        suggested = answer.outcome is Outcome.SUGGESTION
        more = {"note": answer.note, "suggestions": _listed(answer) if suggested else None}
        print_json(told | {key: value for key, value in more.items() if value})
        return
    if answer.outcome is Outcome.SUGGESTION:
        print(f"{name}: {answer.note} {', '.join(_listed(answer))}", file=sys.stderr)
    elif library_id is None:
        print(f"{name}: {' '.join(answer.text.split())}", file=sys.stderr)
    else:
        print(f"{name}  {library_id}  ({answer.outcome.value}, {answer.tier.value})", flush=True)
        if answer.note:
            print(f"{name}: {answer.note}", file=sys.stderr)
