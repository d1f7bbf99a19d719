"""`resolve NAME…`: look library names up, as an agent would."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator

from context7_fabric.answers.library_choice import candidates
from context7_fabric.cli.output import harmless, print_json, telling_of_a_wait, with_app
from context7_fabric.cli.text import CommandParser, tell
from context7_fabric.lenient_json import readable
from context7_fabric.models import Answer, Caller, Outcome, Question, Tier
from context7_fabric.runtime.app import App
from context7_fabric.services import Services

LONGEST_NAME = 1_000
"""Characters of a name that is looked up: a longer one is text that was piped by mistake."""

LONGEST_REASON = 500
"""Characters of an answer that is no list, as it is shown."""


def run(words: list[str]) -> int:
    """Print a line a name; exit code 1 when one of them has no exact match."""
    options = _parser().parse_args(words)

    async def work(app: App) -> int:
        inexact = 0
        for name in _names(options.names):
            with telling_of_a_wait():
                found = await _found(app.desk, Question(name, options.question), app.principal)
            inexact += found.library_id is None
            _show(name, found, as_json=options.json)
        return 1 if inexact else 0

    return with_app(work)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "context7-fabric resolve",
        description="Look library names up. Exit code 1 when one of them has no exact match.",
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


async def _found(desk: Services, look_up: Question, principal: str) -> Answer:
    """Look one name up; what cannot be a name is not sent."""
    reason = None
    if not look_up.library:
        reason = "the name is empty: give the name of a library"
    elif len(look_up.library) > LONGEST_NAME:
        reason = f"the name has more than {LONGEST_NAME:,} characters: give a shorter one"
    if reason is None:
        return await desk.find(look_up, Caller(principal))
    return Answer(reason, Outcome.ERROR, Tier.LOCAL, is_error=True)


def _show(name: str, found: Answer, *, as_json: bool) -> None:
    shown = name[:LONGEST_NAME]
    if as_json:
        print_json(_told(shown, found))
        return
    if found.library_id is not None:
        by = f"({found.outcome.value}, {found.tier.value})"
        print(harmless(f"{shown}  {found.library_id}  {by}"), flush=True)
        said = found.note
    elif listed := candidates(found):
        ids = ", ".join(listed)
        said = " ".join(filter(None, (found.note, f"No exact match; candidates: {ids}")))
    else:
        said = _reason(found)
    if said:
        tell(f"{shown}: {said}")


def _told(name: str, found: Answer) -> dict[str, object]:
    exact = found.library_id is not None
    told = {
        "query": name,
        "library_id": found.library_id,
        "exact": exact,
        "outcome": found.outcome.value,
        "tier": found.tier.value,
    }
    listed = [] if exact else list(candidates(found))
    suggested = listed if found.outcome is Outcome.SUGGESTION else None
    note = found.note if exact or listed else _reason(found)
    more = {"note": note, "candidates": listed, "suggestions": suggested}
    return told | {key: value for key, value in more.items() if value}


def _reason(found: Answer) -> str:
    """Return in one line why there is neither an exact match nor a candidate."""
    said = " ".join((found.note or found.text).split())
    return said[:LONGEST_REASON] or "Context7 sent an empty answer."
