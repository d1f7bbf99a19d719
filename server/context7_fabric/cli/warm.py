"""`warm`: hold the documentation of what a project depends on, before the first question."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from context7_fabric.cli.docsets import docset_library, docset_settings
from context7_fabric.cli.output import can_ask, is_agreed, print_table
from context7_fabric.cli.progress import INTERRUPTED, interrupted, progress
from context7_fabric.cli.session import CommandSession
from context7_fabric.cli.text import CommandParser, one_line, print_error, print_json, print_note
from context7_fabric.cli.warming import WarmedLibrary, Warming, WarmOptions, WarmPlan
from context7_fabric.docsets.ingestion import IngestionReport
from context7_fabric.errors import FabricError, SettingError
from context7_fabric.project.dependencies import Dependencies, read_dependencies
from context7_fabric.project.lockfiles import LOCK_FILES
from context7_fabric.seed_files import seed_folder

MAX_CALLS = 50
"""Calls to Context7 that a run makes at most, unless another number is given."""

MOST_CALLS = 100_000
LARGEST_QUESTIONS = 100_000
"""Characters of a file of questions."""

MOST_QUESTIONS = 100

MOST_NAMED = 3
"""Candidates that are named for a dependency that fits none."""

_MANIFESTS = "pyproject.toml, requirements*.txt, package.json, Cargo.toml, go.mod, composer.json"


def run(words: list[str]) -> int:
    """Warm the store for a project and print what can be answered offline.

    The exit code is 1 if that was declined, or ended early because Context7 did not answer; 2
    without `--yes` where there is no terminal; 130 after a Ctrl-C.
    """
    options = _parser().parse_args(words)
    questions = _questions(options.questions)
    settings = docset_settings()
    found = _dependencies(options.folder)
    bounds = WarmOptions(options.max_calls, questions, not options.no_docsets)
    session = CommandSession()
    warming = Warming(session, docset_library(settings), settings, bounds, options.folder)
    try:
        with session:  # a Ctrl-C has to pass through it, so that it waits for no call
            code = _warm(warming, found, options)
    except* KeyboardInterrupt:
        code = INTERRUPTED
    if code is not None and code != INTERRUPTED:
        return code
    _print(warming, found, as_json=options.json, is_interrupted=code == INTERRUPTED)
    if code == INTERRUPTED:
        return interrupted("what is listed is kept; run it again to go on")
    return 1 if warming.stopped and warming.plan.calls else 0


def _warm(warming: Warming, found: Dependencies, options: argparse.Namespace) -> int | None:
    """Say what would be done and do it, if that is wanted; return the exit code if it is not."""
    plan = warming.look(found.found)
    is_settled = options.yes or options.dry_run or not (plan.calls or plan.docsets)
    if not is_settled and not can_ask():
        print_error(f"warm would make {plan.calls} calls at most: --yes agrees to it")
        return 2
    _announce(plan, found)
    if not is_settled and not is_agreed("Go on? [y/N] ", "Nothing was done."):
        return 1
    if not options.dry_run:
        _run(warming)
    return None


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "context7-fabric warm",
        description="Hold the documentation of what a project depends on, at its locked versions.",
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help="the project's folder, by default this one",
    )
    parser.add_argument(
        "--max-calls",
        type=_calls,
        default=MAX_CALLS,
        metavar="N",
        help=f"calls to Context7 at most ({MAX_CALLS})",
    )
    parser.add_argument(
        "--no-docsets", action="store_true", help="only ask questions, and fetch no documentation"
    )
    parser.add_argument(
        "--questions",
        type=Path,
        metavar="FILE",
        help="ask these, one a line, about a library without a docset",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what it would do")
    parser.add_argument("--yes", action="store_true", help="do it without asking")
    parser.add_argument("--json", action="store_true", help="the result as a JSON object")
    return parser


def _calls(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text[:7]) > MOST_CALLS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of calls, such as {MAX_CALLS}")
    return int(text[:7])


def _questions(path: Path | None) -> Sequence[str]:
    """Return the questions of a file, one a line; by default those that ship.

    Raises:
        SettingError: It cannot be read, or has no question or too many.
    """
    file = path or seed_folder() / "questions.txt"
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as opened:
            text = opened.read(LARGEST_QUESTIONS)
    except (OSError, ValueError) as error:
        raise SettingError("--questions", str(file), "a file that can be read") from error
    lines = (" ".join(line.split()) for line in text.splitlines())
    found = [line for line in dict.fromkeys(lines) if line and not line.startswith("#")]
    if not 0 < len(found) <= MOST_QUESTIONS:
        expected = f"a file of 1 to {MOST_QUESTIONS} questions, one a line"
        raise SettingError("--questions", str(file), expected)
    return found


def _dependencies(folder: Path) -> Dependencies:
    """Return the direct dependencies of the project; files that cannot be read are printed.

    Raises:
        FabricError: There are none.
    """
    if not folder.is_dir():
        raise FabricError(f"{str(folder)!r} is no folder: name that of a project")
    found = read_dependencies(folder)
    for file, reason in found.unreadable:
        print_note(one_line(f"{file} is left out: {reason}"))
    if not found.found:
        read = f"{_MANIFESTS}, Gemfile"
        raise FabricError(
            f"no dependency is declared in {str(folder.resolve())!r}: run it in a project's folder"
            f" ({read} are read; versions come from {', '.join(LOCK_FILES)})"
        )
    return found


def _announce(plan: WarmPlan, found: Dependencies) -> None:
    """Print what a run would do and cost."""
    files = len({each.file for each in found.found})
    print_note(
        f"{_counted(plan.libraries, 'direct dependency', 'direct dependencies')} in"
        f" {_counted(files, 'file', 'files')}: {plan.held} held already, which is free;"
        f" {plan.look_ups} to look up."
    )
    if plan.docsets:
        print_note(
            f"Documentation to fetch for up to {plan.docsets} of them, where its source is certain;"
            " first questions about the rest."
        )
    print_note(f"Calls to Context7: {plan.calls} at most.")


def _counted(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"


def _run(warming: Warming) -> None:
    """Run it, and show how far it is."""
    done = 0
    with progress("Asking Context7") as shown:

        def show(text: str) -> None:
            total = done + warming.to_do
            shown.done(done, total, f"{done:,} of {total:,} steps, {text}")

        def report(each: WarmedLibrary) -> IngestionReport:
            return IngestionReport(
                step=lambda line: show(f"{_name(each)}: {line}"),
                documents=lambda read, of: show(f"{_name(each)}: {read:,} of {of:,} files"),
            )

        for done, each in enumerate(warming.run(report), 1):  # noqa: B007  # `show` reads it
            show(_name(each))


def _print(
    warming: Warming, found: Dependencies, *, as_json: bool, is_interrupted: bool = False
) -> None:
    """Print what can be answered offline now, and why a run ended early."""
    if as_json:
        print_json(
            {
                "libraries": [_object(each) for each in warming.libraries],
                "calls": warming.calls,
                "max_calls": warming.options.max_calls,
                "stopped": one_line(warming.stopped) or None,
                "interrupted": is_interrupted,
                "unreadable": [{"file": file, "reason": why} for file, why in found.unreadable],
            }
        )
        return
    table = Table(box=None, pad_edge=False)
    for name in ("library", "version", "answered offline by"):
        table.add_column(name, overflow="fold")
    for each in warming.libraries:
        table.add_row(_name(each), one_line(each.dependency.version or "-"), _held(each))
    print_table(table)
    print_note(f"Calls to Context7: {warming.calls}.")
    if warming.stopped:
        print_note(one_line(f"Context7 is not asked any more: {warming.stopped}"))
    elif warming.left <= 0 and warming.is_short:
        print_note("The calls are used up: run it again to go on, or with more by --max-calls.")


def _name(each: WarmedLibrary) -> str:
    return one_line(f"{each.dependency.name} ({each.dependency.ecosystem})")


def _held(each: WarmedLibrary) -> str:
    """Return in one line what answers for a library offline, and what is to be known about it."""
    note = f" ({one_line(each.note)})" if each.note else ""
    if each.docset:
        return f"docset {each.docset}{note}"
    if each.asked:
        return f"{_counted(len(each.asked), 'stored answer', 'stored answers')}{note}"
    if each.id is not None:
        return f"not: nothing is stored about {each.id}{note}"
    if each.is_open:
        return f"not: it was not looked up{note}"
    listed = f"; it may be {', '.join(each.candidates[:MOST_NAMED])}" if each.candidates else ""
    return one_line(f"not: no library fits its name for certain{listed}")


def _object(each: WarmedLibrary) -> dict[str, Any]:
    kind = "docset" if each.docset else "answers" if each.asked else None
    return {
        **asdict(each.dependency),
        "library_id": str(each.id) if each.id else None,
        "held": kind,
        "docset": each.docset,
        "answers": len(each.asked),
        "candidates": list(each.candidates),
        "note": one_line(each.note) or None,
    }
