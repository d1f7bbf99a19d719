"""`docsets` and `remove`: list, refresh and remove documentation that is held on this machine."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.table import Table

from context7_fabric.cli.output import print_table
from context7_fabric.cli.progress import interrupted, progress
from context7_fabric.cli.text import (
    CommandParser,
    one_line,
    print_error,
    print_json,
    print_note,
    print_text,
)
from context7_fabric.docsets.ingestion import IngestionReport, add_line
from context7_fabric.docsets.library import (
    TOTAL_BYTES,
    DocsetChange,
    DocsetLibrary,
)
from context7_fabric.docsets.models import Docset
from context7_fabric.durations import format_duration
from context7_fabric.errors import FabricError, SettingError, UnknownDocset
from context7_fabric.models import Viewer
from context7_fabric.process import set_up_logging
from context7_fabric.relay.usage import suggestion
from context7_fabric.settings import Settings, read_settings

_THIN = 5_000
"""Characters of a docset below which the documentation is likely to be elsewhere."""

_INCLUDE = "lines: include of "
_MISSING = "includes: not in the source"

_MOST_NAMED = 3
"""Files that a summary names for each reason why they were left out."""


def run(words: list[str]) -> int:
    """Print the docsets, or refresh them; exit code 1 if one cannot be refreshed."""
    options = _parser().parse_args(words)
    library = docset_library(docset_settings())
    if options.action == "refresh":
        return _refresh(library, options)
    if options.ids:
        raise SettingError("docsets", options.ids[0], "a subcommand: `docsets refresh ID` is one")
    _list(library, as_json=options.json)
    return 0


def run_remove(words: list[str]) -> int:
    """Remove a docset and print the line that adds it again."""
    parser = CommandParser("context7-fabric remove", description="Remove a docset.")
    parser.add_argument("name", metavar="ID[@V]", help="as `context7-fabric docsets` lists it")
    parser.add_argument("--json", action="store_true", help="the same as a JSON object")
    options = parser.parse_args(words)
    library = docset_library(docset_settings())
    again = _remove(library, options.name)
    if options.json:
        print_json(again)
    elif again["add_again"]:
        print_text(f"{again['removed']} is removed. To add it again:\n{again['add_again']}")
    else:
        print_text(f"{again['removed']}, which could not be read, is removed.")
    return 0


def _remove(library: DocsetLibrary, name: str) -> dict[str, str | None]:
    """Remove a docset; return its name and the line that adds it again, None for a damaged one.

    Raises:
        UnknownDocset: There is none, or there are several.
    """
    held = library.all(Viewer())
    try:
        docset = _named(name, held)
    except UnknownDocset:
        docset_id, _, version = name.partition("@")
        if _of_id(name, held) or not library.remove_damaged(docset_id, version or None):
            raise
        return {"removed": name, "add_again": None}
    library.remove(docset)
    return {"removed": docset.name, "add_again": add_line(docset)}


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "context7-fabric docsets",
        description="List the docsets, or compare them with their sources and read changed ones.",
    )
    parser.add_argument("action", nargs="?", choices=("list", "refresh"), default="list")
    parser.add_argument("ids", nargs="*", metavar="ID", help="only these; all without one")
    parser.add_argument("--json", action="store_true", help="the same as a JSON object")
    return parser


def docset_settings() -> Settings:
    """Return the settings of the environment."""
    settings = read_settings(os.environ)
    set_up_logging(settings.log_level)
    return settings


def docset_library(settings: Settings) -> DocsetLibrary:
    """Return the docsets of the home."""
    return DocsetLibrary(settings.home / "docsets", settings.docsets)


def _named(name: str, held: Sequence[Docset]) -> Docset:
    """Return the docset that `name` means; without a version the only one of that id.

    Raises:
        UnknownDocset: There is none, or there are several.
    """
    exact = [each for each in held if each.name.casefold() == name.casefold()]
    of_id = _of_id(name, held)
    if exact or len(of_id) == 1:
        return (exact or of_id)[0]
    names = [each.name for each in of_id or held]
    hint = "" if of_id else suggestion(name, {*names, *(each.id for each in held)})
    raise UnknownDocset(name, tuple(names[:20]), hint)


def _of_id(name: str, held: Sequence[Docset]) -> list[Docset]:
    return [each for each in held if each.id.casefold() == name.casefold()]


def _list(library: DocsetLibrary, *, as_json: bool) -> None:
    held, damaged = library.all(Viewer()), library.damaged()
    if as_json:
        named = [{"path": each.path, "reason": one_line(each.reason)} for each in damaged]
        size = {"bytes": library.size(), "most_bytes": TOTAL_BYTES}
        print_json({"docsets": [_object(each) for each in held], "damaged": named, **size})
        return
    if held:
        print_table(_table(held))
    else:
        print_text(
            "There are no docsets. To add one:\n"
            "context7-fabric add git+https://github.com/ORG/PROJECT --path docs"
        )
    for each in damaged:
        print_error(str(each))


def _table(held: Sequence[Docset]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("docset", overflow="fold")
    for name in ("files", "snippets", "checked"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("source", overflow="fold")
    now = time.time()
    for each in held:
        age = format_duration(max(0.0, now - each.checked_at))
        name = "\n".join([each.name, *(f"  also {other}" for other in each.also)])
        table.add_row(name, f"{each.files:,}", f"{each.snippets:,}", f"{age} ago", each.source)
    return table


def _object(docset: Docset) -> dict[str, Any]:
    return {"name": docset.name, **asdict(docset), "add_again": add_line(docset)}


def _refresh(library: DocsetLibrary, options: argparse.Namespace) -> int:
    held = library.all(Viewer())
    chosen = _chosen(options.ids, held)
    results: list[dict[str, Any]] = []
    try:
        for docset in chosen:
            results.append(_refreshed(library, docset, quiet=options.json))  # noqa: PERF401  # kept up to a Ctrl-C
    except KeyboardInterrupt:
        return interrupted("docsets that are not named here are as they were")
    if options.json:
        print_json({"refreshed": results})
    elif not chosen:
        print_text("There are no docsets.")
    return 1 if any("error" in each for each in results) else 0


def _chosen(ids: Sequence[str], held: Sequence[Docset]) -> Sequence[Docset]:
    if not ids:
        return held
    found = [each for name in ids for each in _of_id(name, held) or [_named(name, held)]]
    return list({each.name: each for each in found}.values())


def _refreshed(library: DocsetLibrary, docset: Docset, *, quiet: bool) -> dict[str, Any]:
    """Refresh one docset and print how that ended, unless `quiet`; return it for JSON."""
    try:
        with progress_of(docset.name) as report:
            change = library.refresh(docset, report)
    except FabricError as error:
        if not quiet:
            print_error(f"{docset.name}: {error}")
        return {"name": docset.name, "error": str(error)}
    if quiet:
        return change_object(change)
    if change.is_new:
        print_change(change)
    else:
        print_text(f"{docset.name}: unchanged at {change.docset.revision[:12]}")
    return {}


def change_object(change: DocsetChange) -> dict[str, Any]:
    """Return the JSON form of the result of adding or refreshing."""
    return {
        **_object(change.docset),
        "is_new": change.is_new,
        "seconds": round(change.seconds, 2),
        "note": change.note,
        "left_out_files": {reason: list(names) for reason, names in change.examples.items()},
    }


def print_change(change: DocsetChange) -> None:
    """Print what was read and what was left out."""
    docset = change.docset
    print_text(
        f"{docset.name}: {_counted(docset.files, 'file')}, {_counted(docset.snippets, 'snippet')},"
        f" {docset.characters / 1e6:,.1f} MB of text in {change.seconds:.1f} s"
    )
    print_text(f"  source    {docset.source}", hanging=12)
    print_text(f"  revision  {docset.revision[:12]}, licence {docset.licence}", hanging=12)
    for line in omissions(docset.left_out, change.examples):
        print_text(f"  left out  {line}", hanging=12)
    for note in (change.note, _thin(docset)):
        if note:
            print_text(f"  note      {note}", hanging=12)


def omissions(left_out: Mapping[str, int], examples: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a line for each reason why something was left out, one for all missing includes.

    `left_out` counts by reason, `examples` names files by reason.
    """
    targets = [reason for reason in sorted(left_out) if reason.startswith(_INCLUDE)]
    others = sorted(left_out.keys() - set(targets))
    lines = [_omission(reason, left_out[reason], examples) for reason in others]
    if targets:
        names = {_MISSING: [each.removeprefix(_INCLUDE) for each in targets]}
        lines.append(_omission(_MISSING, len(targets), names))
    return lines


def _omission(reason: str, count: int, examples: Mapping[str, Sequence[str]]) -> str:
    unit, _, why = reason.partition(": ")
    names = list(examples.get(reason, ()))[:_MOST_NAMED]
    more = f" and {count - len(names):,} more" if count > len(names) else ""
    named = f" ({', '.join(map(one_line, names))}{more})" if names else ""
    return f"{_counted(count, unit.removesuffix('s'))}: {why}{named}"


def _counted(count: int, unit: str) -> str:
    return f"{count:,} {unit}" if count == 1 else f"{count:,} {unit}s"


def _thin(docset: Docset) -> str:
    if docset.characters >= _THIN:
        return ""
    return (
        f"This is little documentation ({docset.characters:,} characters). Perhaps it lies in"
        " another folder or repository, or at https://SITE/llms-full.txt."
    )


@contextmanager
def progress_of(name: str) -> Generator[IngestionReport]:
    """Show what goes on with a docset, and how long it will take."""
    with progress(name) as shown:

        def documents(done: int, total: int) -> None:
            shown.done(done, total, f"{done:,} of {total:,} files")

        def wait(holder: str) -> None:
            print_note(f"Waiting for another process{f', which {holder}' if holder else ''}.")

        yield IngestionReport(shown.step, wait, documents)
