"""`purge`: delete stored answers and docsets about a library or with a text, or all answers."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from anyio import to_thread

from context7_fabric.cli.output import can_ask, is_agreed, print_json, with_app
from context7_fabric.cli.text import CommandParser, print_error, print_note
from context7_fabric.errors import SettingError
from context7_fabric.parsing.ids import LibraryId, parse_id
from context7_fabric.runtime.app import App
from context7_fabric.views.purge import DocsetPurge, Purge, PurgedDocset

MOST_NAMED = 20
"""Docsets that are named before a purge."""


def run(words: list[str]) -> int:
    """Delete the entries and print their number."""
    options = _parser().parse_args(words)
    library = _library(options.library)

    async def work(app: App) -> int:
        if not (options.yes or options.json) and can_ask():
            found = await _run(app, library, options.matching, counts_only=True)
            if any(found) and not _is_agreed(*found):
                return 1
        removed, docsets = await _run(app, library, options.matching, counts_only=False)
        purge = DocsetPurge(app.services.docsets)
        kept = [] if library is None else await to_thread.run_sync(purge.named_beside, library)
        searches = options.matching is not None
        unread = await to_thread.run_sync(app.services.docsets.damaged) if searches else []
        if options.json:
            changed = [asdict(each) for each in docsets]
            named = [{**asdict(each), "line": each.line} for each in kept]
            paths = [damage.path for damage in unread]
            of_docsets = {"docsets": changed, "kept": named, "not_searched": paths}
            print_json({"removed": removed, **of_docsets})
            return 0
        print(f"{_entries(removed)} removed")
        for damage in unread:
            print_error(f"not searched: {damage}")
        for line in (*(each.summary for each in docsets), *(each.summary for each in kept)):
            print(line)
        return 0

    return with_app(work)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "context7-fabric purge", description="Delete stored answers and docsets."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--library", metavar="ID", help="all entries about /org/project[/version]")
    what.add_argument(
        "--matching", metavar="TEXT", type=_text, help="all entries that contain TEXT"
    )
    what.add_argument("--all", action="store_true", help="all entries that were fetched or learned")
    parser.add_argument("--yes", action="store_true", help="delete without asking")
    parser.add_argument("--json", action="store_true", help="the count as a JSON object")
    return parser


def _text(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty text is in every entry: `--all` removes them")
    return text


def _library(text: str | None) -> LibraryId | None:
    if text is None:
        return None
    library = parse_id(text)
    if library is None:
        raise SettingError("--library", text, "a library id (/org/project)")
    return library


async def _run(
    app: App, library: LibraryId | None, matching: str | None, *, counts_only: bool
) -> tuple[int, list[PurgedDocset]]:
    """Return the number of entries, and the docsets, that go or would go."""
    removed = await _removed(Purge(app.fabric, counts_only=counts_only), library, matching)
    purge = DocsetPurge(app.services.docsets, counts_only=counts_only)
    return removed, await to_thread.run_sync(_purged, purge, library, matching)


def _is_agreed(removed: int, docsets: list[PurgedDocset]) -> bool:
    print_note("\n".join(["To delete:", *_listed(removed, docsets)]))
    return is_agreed("Delete this? [y/N] ", "Nothing was deleted.")


def _listed(removed: int, docsets: list[PurgedDocset]) -> list[str]:
    more = len(docsets) - MOST_NAMED
    lines = [f"  {each.prospect}" for each in docsets[:MOST_NAMED]]
    return [f"  {_entries(removed)}", *lines, *([f"  {more:,} more docsets"] if more > 0 else [])]


def _entries(count: int) -> str:
    return f"{count:,} stored {'entry' if count == 1 else 'entries'}"


async def _removed(purge: Purge, library: LibraryId | None, matching: str | None) -> int:
    if library is not None:
        return await purge.library(library)
    if matching is not None:
        return await purge.matching(matching)
    return await purge.everything()


def _purged(
    purge: DocsetPurge, library: LibraryId | None, matching: str | None
) -> list[PurgedDocset]:
    """Remove docsets, or snippets of them; with `--all` those that no person added."""
    if library is not None:
        return purge.library(library)
    return purge.fetched() if matching is None else purge.matching(matching)
