"""The docsets of a home: found by id and version, added, refreshed, removed.

Every method blocks, and threads may share a library.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

import anyio

from context7_fabric.docsets.files import DocsetFile, DocsetFolder, stem_of
from context7_fabric.docsets.index import DocsetIndex, probe_search, write_docset
from context7_fabric.docsets.ingestion import (
    DocsetRequest,
    IngestionReport,
    bounds_of,
    facts_of,
    ingest,
    request_again,
)
from context7_fabric.docsets.models import Docset
from context7_fabric.docsets.opened import OpenDocsets
from context7_fabric.docsets.purged import PURGED, digests_of, kept
from context7_fabric.docsets.sources.source import GitSource, LlmsSource, SourceTree
from context7_fabric.docsets.sources.tags import read_tag
from context7_fabric.docsets.versions import choose, is_due, nearest_lower
from context7_fabric.errors import (
    DamagedDocset,
    DocsetNotWritten,
    DocsetsFull,
    SourceNotFound,
    UnknownDocset,
    UnusableSource,
)
from context7_fabric.models import PUBLIC, Clock, Viewer
from context7_fabric.parsing.ids import LibraryId, folded_id
from context7_fabric.settings.values import DocsetSettings

log = logging.getLogger(__name__)

REFRESHER = [sys.executable, "-P", "-m", "context7_fabric.docsets.refresher"]
RETRY_SECONDS = 6 * 3600.0
"""Time between two attempts to refresh a docset behind an answer, by any process."""

TOTAL_BYTES = 2**30
"""Bound of the files of all docsets together."""

Choice = Callable[[str | None, Sequence[Docset]], Docset | None]
"""A rule that chooses among the docsets of one library by the version asked for."""


@dataclass(frozen=True, slots=True)
class DocsetChange:
    """Result of adding or refreshing: the docset, `seconds` taken, and whether its text is new.

    `note` is a line about the source, `examples` are files that were left out, by the reason.
    """

    docset: Docset
    seconds: float
    is_new: bool = True
    note: str = ""
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)


class DocsetLibrary:
    """The docsets in one folder."""

    def __init__(
        self,
        folder: Path,
        settings: DocsetSettings,
        clock: Clock = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use the docsets in `folder`, which need not be there; `settings` are for sources.

        `ticks` gives seconds that never go back, to time the looks at the folder.
        """
        self._folder = DocsetFolder(folder)
        self._settings = settings
        self._clock = clock
        self._open = OpenDocsets(self._folder, ticks)
        self._refreshing = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """End a refresh behind an answer; its docset stays as it is."""
        child = self._child
        if child is not None:
            child.kill()

    def revision(self) -> int:
        """Return a number that changes when a docset comes, changes or goes."""
        return self._open.revision()

    def all(self, viewer: Viewer) -> Sequence[Docset]:
        """Return the docsets that `viewer` may read, sorted by name."""
        return sorted((each.docset for each in self.readable(viewer)), key=lambda each: each.name)

    def damaged(self) -> Sequence[DamagedDocset]:
        """Return the error of each file that cannot be read, sorted by its path."""
        return self._open.damaged()

    def size(self) -> int:
        """Return the bytes of the files of all docsets.

        Raises:
            OSError: The folder cannot be read.
        """
        return self._folder.size()

    def at_once(self, viewer: Viewer) -> Sequence[DocsetIndex] | None:
        """Return the docsets that `viewer` may read, None if that would block: a look is due.

        Between two looks it neither blocks nor touches a file.
        """
        found = self._open.at_once()
        return None if found is None else [each for each in found if _is_for(each, viewer)]

    def find(
        self,
        library: LibraryId,
        viewer: Viewer,
        also: Collection[str] = (),
        among: Sequence[DocsetIndex] | None = None,
    ) -> DocsetIndex | None:
        """Return the docset that answers for a library at its version, None without one.

        `also` are other ids of the library, as redirects and the registry join them. A docset of
        the very id precedes those that give it beside their own; of these, the one added last.
        It is one `among` those that `at_once` returned, if these are given.
        """
        return self._chosen(
            choose, library, self.readable(viewer) if among is None else among, also
        )

    def nearest_lower(
        self, library: LibraryId, viewer: Viewer, also: Collection[str] = ()
    ) -> DocsetIndex | None:
        """Return the docset with the highest version below the library's, None without one."""
        return self._chosen(nearest_lower, library, self.readable(viewer), also)

    def set_aside(self, index: DocsetIndex, damage: DamagedDocset) -> None:
        """Leave a docset aside from now on: reading it failed with `damage`."""
        self._open.set_aside(index, damage)

    def add(self, request: DocsetRequest, report: IngestionReport) -> DocsetChange:
        """Read a source into a docset, in place of the one with the same id and version.

        Its id is spelled as in the docsets of the library's other versions.

        Raises:
            DocsetSourceError: The source cannot be read.
            DocsetsFull: The docsets together would be too large.
            DocsetNotWritten: The file cannot be written.
            SearchUnavailable: This Python cannot search a docset.
        """
        probe_search()
        request = replace(request, id=self._spelled(request.id))
        name = _name(request.id, request.version)
        with self._turn(request.id, request.version, f"adds {name}", report) as work:
            began = time.perf_counter()
            tree = self._fetched(request, work, report)
            version = _version_of(request, tree)
            if version == request.version:
                return self._written(request, tree, work, report, began)
            tree = replace(tree, note=_unversioned(request, tree))
            request = replace(request, version=version)
            self._check_free(request, tree)
            task = f"adds {_name(request.id, version)}"
            with self._turn(request.id, version, task, report):
                return self._written(request, tree, work, report, began)

    def refresh(self, docset: Docset, report: IngestionReport) -> DocsetChange:
        """Compare a docset with its source, and read it anew if that has changed.

        Raises:
            UnknownDocset: It was removed meanwhile.
            DocsetSourceError, DocsetsFull, DocsetNotWritten: As `add`; the docset is unchanged.
        """
        with self._turn(docset.id, docset.version, f"refreshes {docset.name}", report) as work:
            began, (file, index) = time.perf_counter(), self._current(docset)
            request = request_again(index.docset)
            report.step(f"comparing {docset.name} with its source")
            unchanged = self._unchanged(file, index.docset, request, began)
            if unchanged:
                return unchanged
            tree = self._fetched(request, work, report)
            if tree.documents != docset.version:
                raise _of_another_version(docset, tree)
            return self._written(request, tree, work, report, began, index.docset.purged)

    def remove(self, docset: Docset) -> None:
        """Remove a docset; a call that reads it finishes.

        Raises:
            DocsetNotWritten: A file cannot be removed.
        """
        self._discard(docset.id, docset.version)

    def remove_damaged(self, docset_id: str, version: str | None) -> bool:
        """Remove the files of a docset, which may be damaged; return whether there were any.

        Raises:
            DocsetNotWritten: A file cannot be removed.
        """
        if stem_of(docset_id, version) not in self._folder.files():
            return False
        self._discard(docset_id, version)
        return True

    def _spelled(self, docset_id: str) -> str:
        """Return an id as the docsets that are held spell it."""
        wanted = folded_id(docset_id)
        held = (each.id for each in self.of_all_owners() if folded_id(each.id) == wanted)
        return next(held, docset_id)

    def _discard(self, docset_id: str, version: str | None) -> None:
        stem = stem_of(docset_id, version)
        with self._turn(docset_id, version, f"removes {docset_id}", IngestionReport()):
            self._open.forget(stem)
            self._folder.discard(stem)

    def of_all_owners(self) -> Sequence[Docset]:
        """Return every docset, private ones of any owner included, sorted by name."""
        found = (index.docset for index in self._open.indexes())
        return sorted(found, key=lambda each: each.name)

    def count(self, docset: Docset, holds: Callable[[str], bool]) -> int:
        """Return the number of snippets that `leave_out` would leave out.

        Raises:
            UnknownDocset: There is none.
            DamagedDocset: It cannot be read.
        """
        _file, index = self._current(docset)
        return sum(holds(each.whole) for each in index.snippets())

    def leave_out(self, docset: Docset, holds: Callable[[str], bool]) -> int:
        """Write a docset again without the snippets whose text `holds` something; return how many.

        A refresh leaves their lines out too. A docset without any other snippet is removed.

        Raises:
            UnknownDocset: There is none.
            DamagedDocset: It cannot be read.
            DocsetNotWritten: The file cannot be written; the docset is unchanged.
        """
        task = f"purges {docset.name}"
        with self._turn(docset.id, docset.version, task, IngestionReport()) as work:
            _file, index = self._current(docset)
            facts, stem = index.docset, stem_of(docset.id, docset.version)
            snippets = index.snippets()
            gone = [each for each in snippets if holds(each.whole)]
            left, removed = [each for each in snippets if each not in gone], len(gone)
            purged = kept(facts.purged, (line for each in gone for line in digests_of(each, holds)))
            left_out = {**facts.left_out, PURGED: facts.left_out.get(PURGED, 0) + removed}
            facts = replace(facts, left_out=left_out, purged=purged)
            if not left:
                self._folder.discard(stem)
            elif removed:
                file = work / "docset.sqlite"
                self._place(file, write_docset(file, facts, left))
            return removed

    def refresh_behind(self, docset: Docset) -> None:
        """Refresh a docset in a process of its own if that is due; return at once.

        There is one such process at a time. What goes wrong is only logged for debugging: the
        docset stays, and grows old.
        """
        due = is_due(docset, self._clock(), self._settings.fresh)
        if due and self._refreshing.acquire(blocking=False):
            threading.Thread(target=self._refresh_in_child, args=(docset,), daemon=True).start()

    def _refresh_in_child(self, docset: Docset) -> None:
        stem = stem_of(docset.id, docset.version)
        try:
            if self._folder.try_again(stem, self._clock(), RETRY_SECONDS):
                self._run_child(docset)
        except OSError as error:
            log.debug("%s is not refreshed: %s", docset.name, error)
        finally:
            self._refreshing.release()

    def _run_child(self, docset: Docset) -> None:
        """Have a child refresh a docset; its input stays open until it has ended."""
        settings = asdict(self._settings) | {"hosts": sorted(self._settings.hosts)}
        task = {"folder": str(self._folder.path), "name": docset.name, "owner": docset.owner}
        line = json.dumps(task | {"settings": settings}).encode() + b"\n"
        pipe, none = subprocess.PIPE, subprocess.DEVNULL
        with subprocess.Popen(REFRESHER, stdin=pipe, stdout=pipe, stderr=none) as child:  # noqa: S603  # this package
            assert child.stdin is not None  # noqa: S101  # it was opened with pipes
            assert child.stdout is not None  # noqa: S101  # as above
            self._child = child
            child.stdin.write(line)
            child.stdin.flush()
            said = child.stdout.read()
        self._child = None
        log.debug("refresh of %s: %s", docset.name, said.decode(errors="replace").strip() or "done")

    def _unchanged(
        self, file: DocsetFile, held: Docset, request: DocsetRequest, began: float
    ) -> DocsetChange | None:
        """Note that a docset is at its source's revision; None if it is not."""
        from context7_fabric.docsets.sources.fetching import latest_revision  # noqa: PLC0415  # slow

        asking = partial(latest_revision, version=request.version, known=held.revision)
        latest = anyio.run(asking, request.source, bounds_of(request), self._settings)
        if latest != held.revision:
            return _unread(held, request, began)
        now = self._clock()
        self._folder.check(file, now)
        docset = replace(held, checked_at=now)
        return DocsetChange(docset, time.perf_counter() - began, is_new=False)

    def _fetched(self, request: DocsetRequest, work: Path, report: IngestionReport) -> SourceTree:
        from context7_fabric.docsets.sources.fetching import fetch  # noqa: PLC0415  # slow

        bounds, into = bounds_of(request), work / "source"
        into.mkdir(mode=0o700)
        fetching = partial(fetch, version=request.version)
        return anyio.run(fetching, request.source, into, bounds, report.step, self._settings)

    def _check_free(self, request: DocsetRequest, tree: SourceTree) -> None:
        """Raise `UnusableSource` if a docset of another source has the name that it now gets."""
        name = _name(request.id, request.version)
        for each in self.of_all_owners():
            if each.name == name and each.source != tree.source:
                reason = f"{tree.note or 'its version is not known'}, and {name} is already held"
                remedy = f"to replace that from {each.source!r}, name the source, and no version"
                raise UnusableSource(request.source.line, reason, remedy)

    def _written(
        self,
        request: DocsetRequest,
        tree: SourceTree,
        work: Path,
        report: IngestionReport,
        began: float,
        purged: tuple[str, ...] = (),
    ) -> DocsetChange:
        draft = work / "docset.sqlite"
        found = ingest(tree, bounds_of(request), report, purged)
        facts = facts_of(request, tree, self._clock())
        facts = replace(facts, left_out=found.left_out, purged=purged)
        report.step(f"writing {facts.name}")
        docset = write_docset(draft, facts, found.snippets)
        self._check_room(request, draft)
        self._place(draft, docset)
        seconds = time.perf_counter() - began
        return DocsetChange(docset, seconds, note=tree.note, examples=found.examples)

    def _place(self, written: Path, docset: Docset) -> None:
        stem = stem_of(docset.id, docset.version)
        self._folder.place(written, stem, docset.revision, docset.checked_at)
        self._open.look_again()

    def _check_room(self, request: DocsetRequest, written: Path) -> None:
        """Raise `DocsetsFull` if all docsets with the new one take more than they may."""
        others = self._folder.size(without=stem_of(request.id, request.version))
        size = others + written.stat().st_size
        if request.max_bytes is None and size > TOTAL_BYTES:
            raise DocsetsFull(size, TOTAL_BYTES)

    @contextmanager
    def _turn(
        self, docset_id: str, version: str | None, task: str, report: IngestionReport
    ) -> Generator[Path]:
        """Hold the lock of a docset, and name it in the error of what cannot be written."""
        try:
            with self._folder.turn(stem_of(docset_id, version), task, report.wait) as work:
                self._folder.sweep()
                yield work
        except BrokenPipeError:  # the reader of the progress is gone
            raise
        except OSError as error:
            reason = error.strerror or str(error.__cause__ or error)
            raise DocsetNotWritten(_name(docset_id, version), reason) from error
        finally:
            self._open.look_again()

    def _current(self, docset: Docset) -> tuple[DocsetFile, DocsetIndex]:
        """Return the file and the index of a docset as they are now.

        Raises:
            UnknownDocset: There is none.
        """
        found = self._open.of(stem_of(docset.id, docset.version))
        if found is None:
            raise UnknownDocset(docset.name, ())
        return found

    def _chosen(
        self,
        rule: Choice,
        library: LibraryId,
        among: Iterable[DocsetIndex],
        also: Collection[str],
    ) -> DocsetIndex | None:
        own, joined = folded_id(library.base), set(map(folded_id, also))
        wanted = {own, *joined}
        found = [each for each in among if not wanted.isdisjoint(_folded(each.docset.ids))]
        found.sort(key=lambda each: -_filed_at(each.docset))
        ways: tuple[Callable[[Docset], bool], ...] = (
            lambda docset: folded_id(docset.id) == own,
            lambda docset: own in _folded(docset.ids),
            lambda docset: not joined.isdisjoint(_folded(docset.ids)),
        )
        held = [(index, index.docset) for index in found]
        for is_of in ways:
            chosen = rule(library.version, [docset for _, docset in held if is_of(docset)])
            if chosen is not None:
                return next(index for index, docset in held if docset is chosen)
        self._open.log_damaged(library)
        return None

    def readable(self, viewer: Viewer) -> Sequence[DocsetIndex]:
        """Return the open docsets that `viewer` may read."""
        return [each for each in self._open.indexes() if _is_for(each, viewer)]


def _name(docset_id: str, version: str | None) -> str:
    return docset_id if version is None else f"{docset_id}@{version}"


def _version_of(request: DocsetRequest, tree: SourceTree) -> str | None:
    """Return the version that a source is filed under: never one that it may not be of."""
    is_shown = request.is_claimed or not isinstance(request.source, LlmsSource)
    return tree.documents if is_shown else None


def _unversioned(request: DocsetRequest, tree: SourceTree) -> str:
    """Return the note of a tree that is filed under another version than the one wanted."""
    if tree.documents is None or tree.documents != request.version:
        return tree.note
    return f"{tree.note}: a site does not say its version, so not filed under {request.version!r}"


def _of_another_version(docset: Docset, tree: SourceTree) -> SourceNotFound:
    remedy = f"`context7-fabric remove {docset.name}`, and add it without a version"
    return SourceNotFound(tree.source, f"it is not of version {docset.version!r} now", remedy)


def _unread(held: Docset, request: DocsetRequest, began: float) -> DocsetChange | None:
    """Return the docset unchanged where its source has left its version; None for one to be read.

    What stands at a site, or in a branch, is of another version one day, and no one can tell when.
    """
    source = request.source
    ref = source.ref if isinstance(source, GitSource) else None
    moves = isinstance(source, LlmsSource) or (ref is not None and read_tag(ref) is None)
    if held.version is None or not moves:
        return None
    note = (
        f"kept as it is: its source has changed, and may not be of {held.version} any more;"
        " `add` reads it again"
    )
    return DocsetChange(held, time.perf_counter() - began, is_new=False, note=note)


def _filed_at(docset: Docset) -> float:
    return docset.filed_at or docset.added_at


def shared_ids(docset: Docset, held: Iterable[Docset]) -> Iterator[str]:
    """Yield a line for each id for which a docset that was added, and one `held`, both answer."""
    for other in held:
        if folded_id(other.id) == folded_id(docset.id):
            continue
        for also in docset.also:
            if folded_id(also) == folded_id(other.id):
                yield f"{also} has a docset of its own, {other.name}, which answers for it first"
            elif folded_id(also) in _folded(other.ids):
                yield f"{other.name} also answers for {also}; this docset comes first, added last"
        if folded_id(docset.id) in _folded(other.ids):
            yield f"{other.name} also answers for {docset.id}; this docset comes first"


@lru_cache(maxsize=1024)  # each question compares the ids of all docsets
def _folded(ids: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(folded_id, ids))


def _is_for(index: DocsetIndex, viewer: Viewer) -> bool:
    return index.docset.owner in (PUBLIC, viewer.owner)
