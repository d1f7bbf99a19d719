"""Ingestion of a source: its documents are read, screened, and freed of near-duplicates."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from context7_fabric.docsets.models import Docset, DocSnippet
from context7_fabric.docsets.purged import PURGED, without_purged
from context7_fabric.docsets.reading.documents import read_document
from context7_fabric.docsets.reading.sections import near_duplicates
from context7_fabric.docsets.sources.files import documents, include_resolver
from context7_fabric.docsets.sources.source import (
    Document,
    Omitted,
    Source,
    SourceBounds,
    SourceTree,
    parse_source,
)
from context7_fabric.errors import EmptyDocset
from context7_fabric.parsing.screening import ORDERS, screen

MOST_EXAMPLES = 20
"""Names of files that are kept for each reason why files are left out."""

TEXT_BYTES = 50_000_000
"""Bound of the text of one docset, unless a larger one is asked for."""

DUPLICATE = "snippets: near-duplicate"
FLAGGED = "snippets: gives orders to the model"


@dataclass(frozen=True, slots=True)
class DocsetRequest:
    """Source to add, and the id, version and other ids that it is filed under.

    `max_bytes` bounds its text in place of `TEXT_BYTES`, and lifts the bound of all together.
    `filed_at` (epoch seconds) is the time at which it was added, None for now. `is_claimed` says
    that the user gave the version for this very source; else the source has to show it.
    """

    source: Source
    id: str
    version: str | None = None
    also: tuple[str, ...] = ()
    max_bytes: int | None = None
    filed_at: float | None = None
    is_claimed: bool = False


@dataclass(frozen=True, slots=True)
class IngestionReport:
    """Callbacks for what goes on: a line when a step begins, and documents done of a total.

    `wait` gets the line of the process that is waited for, empty if it is not known.
    """

    step: Callable[[str], None] = lambda _line: None
    wait: Callable[[str], None] = lambda _holder: None
    documents: Callable[[int, int], None] = lambda _done, _total: None


@dataclass(frozen=True, slots=True)
class Ingested:
    """Snippets of a source; what was left out, counted by unit and reason, with examples."""

    snippets: Sequence[DocSnippet]
    left_out: Mapping[str, int]
    examples: Mapping[str, Sequence[str]]


@dataclass
class _Omissions:
    """Count of what is left out, with the first files of each reason."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def file(self, omitted: Omitted) -> None:
        reason = f"files: {omitted.reason}"
        self.counts[reason] += 1
        if len(self.examples[reason]) < MOST_EXAMPLES:
            self.examples[reason].append(omitted.path)

    def lines(self, left_out: Mapping[str, int]) -> None:
        for kind, count in left_out.items():
            self.counts[f"lines: {kind}"] += count


def ingest(
    tree: SourceTree, bounds: SourceBounds, report: IngestionReport, purged: Sequence[str] = ()
) -> Ingested:
    """Read the documents of `tree` into snippets, without lines that were `purged`; this blocks.

    What gives orders to a model is left out; hidden characters and notices are removed, as from an
    answer of Context7's.

    Raises:
        SourceTooLarge: There is more than the bounds allow.
        EmptyDocset: There is no text.
    """
    omissions = _Omissions()
    found = list(_documents(tree, bounds, omissions))
    snippets = _read(found, include_resolver(tree, bounds), omissions, report)
    unique = without_duplicates(list(screened(snippets, omissions.counts)), omissions.counts)
    kept = without_purged(unique, purged)
    omissions.counts[PURGED] += len(unique) - len(kept)
    if not kept:
        raise EmptyDocset(tree.source, omissions.counts.total())
    return Ingested(kept, dict(+omissions.counts), dict(omissions.examples))


def _documents(tree: SourceTree, bounds: SourceBounds, omissions: _Omissions) -> Iterator[Document]:
    for each in documents(tree, bounds):
        if isinstance(each, Omitted):
            omissions.file(each)
        else:
            yield each


def _read(
    found: Sequence[Document],
    include: Callable[[str, str], str | None],
    omissions: _Omissions,
    report: IngestionReport,
) -> Iterator[DocSnippet]:
    for number, document in enumerate(found):
        report.documents(number, len(found))
        reading = read_document(document.path, document.text, include)
        omissions.lines(reading.left_out)
        yield from reading.snippets
    report.documents(len(found), len(found))


def screened(snippets: Iterable[DocSnippet], left_out: Counter[str]) -> Iterator[DocSnippet]:
    """Yield the snippets without hidden characters; those with orders are counted instead."""
    for snippet in snippets:
        title, text = screen(snippet.title), screen(snippet.text)
        if ORDERS in title.flags or ORDERS in text.flags:
            left_out[FLAGGED] += 1
        elif title.clean == snippet.title and text.clean == snippet.text:
            yield snippet
        else:
            yield replace(snippet, title=title.clean, text=text.clean)


def without_duplicates(
    snippets: Sequence[DocSnippet], left_out: Counter[str]
) -> Sequence[DocSnippet]:
    """Return the snippets but for near-duplicates of an earlier one, which are counted.

    The last heading and the language count: options and functions may have one short text under
    several names.
    """
    headed = [replace(each, text=f"{_heading(each)} {each.text}") for each in snippets]
    repeated = set(near_duplicates(headed))
    left_out[DUPLICATE] += len(repeated)
    return [each for place, each in enumerate(snippets) if place not in repeated]


def _heading(snippet: DocSnippet) -> str:
    return f"{snippet.language} {snippet.title.rpartition(' > ')[2]}"


def request_again(docset: Docset) -> DocsetRequest:
    """Return the request that adds a docset again."""
    source = parse_source(docset.source, Path("/"))
    larger = 2 * docset.characters if docset.characters > TEXT_BYTES else None
    filed_at = docset.filed_at or docset.added_at or None
    return DocsetRequest(
        source, docset.id, docset.version, docset.also, larger, filed_at, is_claimed=True
    )


def add_line(docset: Docset) -> str:
    """Return the command line that adds a docset again."""
    source = docset.source if docset.source.startswith("git+") else shlex.quote(docset.source)
    options = ["--id", docset.id]
    if docset.version is not None:
        options += ["--version", docset.version]
    for each in docset.also:
        options += ["--also", each]
    if docset.characters > TEXT_BYTES:
        options += ["--max-size", str(2 * docset.characters)]
    return f"context7-fabric add {source} {shlex.join(options)}"


def facts_of(request: DocsetRequest, tree: SourceTree, now: float) -> Docset:
    """Return the facts of a docset that is made at `now` (epoch seconds), without its counts."""
    return Docset(
        id=request.id,
        version=request.version,
        source=tree.source,
        revision=tree.revision,
        added_at=now,
        checked_at=now,
        address=tree.address,
        licence=tree.licence,
        also=request.also,
        filed_at=now if request.filed_at is None else request.filed_at,
    )


def bounds_of(request: DocsetRequest) -> SourceBounds:
    """Return the bounds of a request's source."""
    most = request.max_bytes
    if most is None:
        return SourceBounds(text_bytes=TEXT_BYTES)
    usual = SourceBounds()
    return replace(usual, text_bytes=most, transfer_bytes=max(usual.transfer_bytes, 4 * most))
