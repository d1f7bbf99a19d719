"""Purge of stored entries: everything about a library, every text with certain words, or all."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from context7_fabric.answers.docset_repeats import DECLINED
from context7_fabric.answers.stored import DOCS, LISTS, QUARANTINE, UNKNOWN_NAMES, record_of
from context7_fabric.docsets.ingestion import add_line
from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.docsets.models import Docset
from context7_fabric.docsets.versions import choose
from context7_fabric.fabric.context import Context, Json
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.parsing.ids import LibraryId, folded_id, parse_id
from context7_fabric.parsing.libraries import parse_list
from context7_fabric.parsing.screening import screen
from context7_fabric.registry.choices import LESSONS
from context7_fabric.registry.row_store import ROWS, announce_changed_rows
from context7_fabric.upstream.call_gate import clear_statuses

FETCHED = (
    *(DOCS, LISTS, QUARANTINE),
    *(ROWS, "move:", "choice:", LESSONS, UNKNOWN_NAMES, DECLINED),
    "upstream:tools:",
)
"""Prefixes of the keys of everything that was fetched from upstream, or learned by it."""


class Purge:
    """Removes stored entries of every principal, unreadable ones too.

    Each method returns the number of removed entries, and raises `StoreError` when the store cannot
    be searched or an entry not be removed.
    """

    def __init__(self, fabric: Fabric, *, counts_only: bool = False) -> None:
        """Remove from `fabric`'s GLOBAL scope; with `counts_only` say what would be removed."""
        self._fabric = fabric
        self._counts_only = counts_only

    async def library(self, library: LibraryId) -> int:
        """Remove answers about a library, lists that name it, and what was learned of it.

        With a version, remove only answers about that version.
        """
        return await self._remove(lambda context: _is_about(context, library))

    async def matching(self, text: str) -> int:
        """Remove answers, lists and rows that hold `text`, in any case; a blank text is in none."""
        wanted = text.strip().casefold()
        return await self._remove(lambda context: wanted in _prose(context)) if wanted else 0

    async def everything(self) -> int:
        """Remove all that was fetched or learned, and reset back-off and circuit breaker."""
        if not self._counts_only:
            await clear_statuses(self._fabric)
        return await self._remove(lambda _context: True)

    async def _remove(self, is_removed: Callable[[Context], bool]) -> int:
        fabric = self._fabric
        remove = fabric.count_matching if self._counts_only else fabric.delete_matching
        counts = {prefix: await remove(prefix, is_removed) for prefix in FETCHED}
        if counts[ROWS] and not self._counts_only:
            await announce_changed_rows(self._fabric)
        return sum(counts.values())


@dataclass(frozen=True, slots=True)
class PurgedDocset:
    """Docset that a purge changed: `snippets` were removed, `is_gone` says that it was removed.

    `line` is the command that adds it again.
    """

    name: str
    snippets: int
    is_gone: bool
    line: str

    @property
    def summary(self) -> str:
        """The change in one line, and what brings the text back."""
        if self.is_gone:
            return f"the docset {self.name} is removed; `{self.line}` adds it again"
        again = f"a refresh leaves such text out too, `{self.line}` reads it again"
        return f"{self._count} removed from the docset {self.name}; {again}"

    @property
    def prospect(self) -> str:
        """That which is removed, before it is."""
        if self.is_gone:
            return f"the docset {self.name} ({self._count})"
        return f"{self._count} of the docset {self.name}"

    @property
    def _count(self) -> str:
        return "1 snippet" if self.snippets == 1 else f"{self.snippets:,} snippets"


@dataclass(frozen=True, slots=True)
class KeptDocset:
    """Docset of another library that a purge leaves, though it also answers for the id `also`."""

    name: str
    also: str

    @property
    def line(self) -> str:
        """The command that removes it."""
        return f"context7-fabric remove {shlex.quote(self.name)}"

    @property
    def summary(self) -> str:
        """The reason why answers about the id may still come, and the way to end them."""
        return (
            f"the docset {self.name} also answers for {self.also} and is kept;"
            f" `{self.line}` removes it"
        )


class DocsetPurge:
    """Removes docsets of every owner, or snippets of them.

    Each method blocks, returns the docsets that it changed, and raises `DocsetError` when one
    cannot be written.
    """

    def __init__(self, docsets: DocsetLibrary, *, counts_only: bool = False) -> None:
        """Remove from `docsets`; with `counts_only` say what would be removed."""
        self._docsets = docsets
        self._counts_only = counts_only

    def library(self, library: LibraryId) -> list[PurgedDocset]:
        """Remove the docsets of a library; with a version, the one of that version.

        Those of other libraries that name it beside their own id stay: `named_beside` has them.
        """
        return self._remove(
            lambda docset: _same(docset.id, library.base) and _is_of_version(docset, library)
        )

    def named_beside(self, library: LibraryId) -> list[KeptDocset]:
        """Return the docsets of other libraries that also answer for this one."""
        return [
            KeptDocset(docset.name, also)
            for docset in self._docsets.of_all_owners()
            for also in docset.also
            if _same(also, library.base) and _is_of_version(docset, library)
        ]

    def fetched(self) -> list[PurgedDocset]:
        """Remove the docsets that no person added."""
        return self._remove(lambda docset: docset.fetched)

    def matching(self, text: str) -> list[PurgedDocset]:
        """Remove the snippets that hold `text`, in any case, by writing their docsets again.

        A docset of such snippets alone is removed.
        """
        wanted = text.strip().casefold()
        return [] if not wanted else list(self._without(wanted))

    def _remove(self, is_removed: Callable[[Docset], bool]) -> list[PurgedDocset]:
        found = [docset for docset in self._docsets.of_all_owners() if is_removed(docset)]
        for docset in found if not self._counts_only else ():
            self._docsets.remove(docset)
        return [_purged(each, each.snippets) for each in found]

    def _without(self, wanted: str) -> Iterator[PurgedDocset]:
        docsets = self._docsets
        leave_out = docsets.count if self._counts_only else docsets.leave_out
        for docset in docsets.of_all_owners():
            removed = leave_out(docset, lambda text: wanted in _prose_of(text))
            if removed:
                yield _purged(docset, removed)


def _same(one: str, other: str) -> bool:
    return folded_id(one) == folded_id(other)


def _is_of_version(docset: Docset, library: LibraryId) -> bool:
    return choose(library.version, [docset]) is not None


def _purged(docset: Docset, removed: int) -> PurgedDocset:
    return PurgedDocset(docset.name, removed, removed == docset.snippets, add_line(docset))


def _prose_of(text: str) -> str:
    """Return what a purge searches of a snippet or a line, as stored and as served, case-folded."""
    return f"{text}\n{screen(text).clean}".casefold()


def _prose(context: Context) -> str:
    """Return the text of an answer, as sent and as served, or of a row, case-folded."""
    record = record_of(context)
    if record is None:
        return _row_prose(context.value).casefold()
    served = screen(record.text).clean
    return f"{record.text}\n{served}\n{record.question}\n{record.subject}".casefold()


def _row_prose(value: Json) -> str:
    texts = (value.get("title"), value.get("description")) if isinstance(value, dict) else ()
    return "\n".join(text for text in texts if isinstance(text, str))


def _is_about(context: Context, library: LibraryId) -> bool:
    record = record_of(context)
    if record is not None and record.kind == "docs":
        return _names(record.subject, library)
    if library.version is not None:
        return False
    if record is None:
        return any(_names(text, library) for text in _ids(context))
    libraries = parse_list(screen(record.text).clean)
    return libraries is None or any(_names(each.id, library) for each in libraries.libraries)


def _ids(context: Context) -> tuple[str, ...]:
    """Return the ids in what was learned: both ends of a move, a choice, a row's id."""
    value = context.value
    found = value.get("id") if isinstance(value, dict) else value
    key = context.key.partition(":")[2].partition("#")[0]
    return (key, found) if isinstance(found, str) else (key,)


def _names(text: str, library: LibraryId) -> bool:
    other = parse_id(text)
    if other is None or not _same(other.base, library.base):
        return False
    return library.version in (None, other.version)
