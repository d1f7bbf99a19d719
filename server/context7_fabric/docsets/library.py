"""The docsets of a home: found by id and version, added, refreshed, removed.

Every method blocks, and threads may share a library. What another process adds or removes is seen
within a second: the folder's stamp is read once in `LOOK_SECONDS` at most.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import anyio

from context7_fabric.docsets.files import DocsetFile, DocsetFolder, stem_of
from context7_fabric.docsets.index import DocsetIndex, open_docset, probe_search, write_docset
from context7_fabric.docsets.ingestion import (
    DocsetRequest,
    IngestionReport,
    bounds_of,
    facts_of,
    ingest,
    request_again,
)
from context7_fabric.docsets.models import Docset, DocSnippet
from context7_fabric.docsets.versions import choose, is_due, nearest_lower
from context7_fabric.errors import (
    DamagedDocset,
    DocsetNotWritten,
    DocsetsFull,
    SearchUnavailable,
    UnknownDocset,
)
from context7_fabric.models import PUBLIC, Clock, Viewer
from context7_fabric.parsing.ids import LibraryId, folded_id
from context7_fabric.process import can_open
from context7_fabric.settings.values import DocsetSettings

log = logging.getLogger(__name__)

REFRESHER = [sys.executable, "-P", "-m", "context7_fabric.docsets.refresher"]
RETRY_SECONDS = 6 * 3600.0
"""Time between two attempts to refresh a docset behind an answer, by any process."""

LOOK_SECONDS = 0.5
"""Time between two looks at the folder."""

TOTAL_BYTES = 2**30
"""Bound of the files of all docsets together."""

_SCANS = 3
"""Attempts to read the folder while other processes replace files in it."""

_PARTLY = -1
"""Stamp of a folder that was read in part: it is read again at the next look."""

_FILES = 2
"""Open files that a docset takes, and that a limit may refuse."""

PURGED = "snippets: purged"
"""Reason for which `leave_out` counts what a docset does not hold."""

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


@dataclass(frozen=True, slots=True)
class _Held:
    """A docset's file, with its index or the reason why it cannot be read."""

    file: DocsetFile
    index: DocsetIndex | None = None
    damage: DamagedDocset | None = None

    @property
    def is_lost(self) -> bool:
        """It was removed while the folder was read, or could not be opened for now."""
        return self.index is None and self.damage is None


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
        self._ticks = ticks
        self._lock = threading.Lock()
        self._held: Mapping[str, Sequence[_Held]] = {}
        self._stamp = self._seen = 0
        self._next_look = self._next_scan = float("-inf")
        self._refreshing = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """End a refresh behind an answer; its docset stays as it is."""
        child = self._child
        if child is not None:
            child.kill()

    def revision(self) -> int:
        """Return a number that changes when a docset comes, changes or goes."""
        now = self._ticks()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._stamp = self._folder.stamp()
        return self._stamp

    def all(self, viewer: Viewer) -> Sequence[Docset]:
        """Return the docsets that `viewer` may read, sorted by name."""
        return sorted((each.docset for each in self._open(viewer)), key=lambda each: each.name)

    def damaged(self) -> Sequence[DamagedDocset]:
        """Return the error of each file that cannot be read, sorted by its path."""
        self._look()
        found = (each.damage for held in self._held.values() for each in held)
        return sorted((each for each in found if each is not None), key=lambda each: each.path)

    def size(self) -> int:
        """Return the bytes of the files of all docsets.

        Raises:
            OSError: The folder cannot be read.
        """
        return self._folder.size()

    def find(
        self, library: LibraryId, viewer: Viewer, also: Collection[str] = ()
    ) -> DocsetIndex | None:
        """Return the docset that answers for a library at its version, None without one.

        `also` are other ids of the library, as redirects and the registry join them.
        """
        return self._chosen(choose, library, viewer, also)

    def nearest_lower(
        self, library: LibraryId, viewer: Viewer, also: Collection[str] = ()
    ) -> DocsetIndex | None:
        """Return the docset with the highest version below the library's, None without one."""
        return self._chosen(nearest_lower, library, viewer, also)

    def set_aside(self, index: DocsetIndex, damage: DamagedDocset) -> None:
        """Leave a docset aside from now on: reading it failed with `damage`."""
        with self._lock:
            self._held = {
                stem: [_aside(each, damage) if each.index is index else each for each in held]
                for stem, held in self._held.items()
            }
        log.error("%s", damage)

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
            return self._written(request, work, report, time.perf_counter())

    def refresh(self, docset: Docset, report: IngestionReport) -> DocsetChange:
        """Compare a docset with its source, and read it anew if that has changed.

        Raises:
            UnknownDocset: It was removed meanwhile.
            DocsetSourceError, DocsetsFull, DocsetNotWritten: As `add`; the docset is unchanged.
        """
        with self._turn(docset.id, docset.version, f"refreshes {docset.name}", report) as work:
            began, held = time.perf_counter(), self._current(docset)
            request = request_again(held.docset)
            report.step(f"comparing {docset.name} with its source")
            unchanged = self._unchanged(held, request, began)
            return unchanged or self._written(request, work, report, began)

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
            with self._lock:  # an open file cannot be removed on Windows
                self._held = {each: held for each, held in self._held.items() if each != stem}
            self._folder.discard(stem)

    def of_all_owners(self) -> Sequence[Docset]:
        """Return every docset, private ones of any owner included, sorted by name."""
        self._look()
        indexes = (each.index for held in self._held.values() for each in held)
        found = (index.docset for index in indexes if index is not None)
        return sorted(found, key=lambda each: each.name)

    def leave_out(self, docset: Docset, is_left_out: Callable[[DocSnippet], bool]) -> int:
        """Write a docset again without some snippets, if it has any; return their number.

        A docset without any other snippet is removed.

        Raises:
            UnknownDocset: There is none.
            DamagedDocset: It cannot be read.
            DocsetNotWritten: The file cannot be written; the docset is unchanged.
        """
        task = f"purges {docset.name}"
        with self._turn(docset.id, docset.version, task, IngestionReport()) as work:
            facts, stem = self._current(docset).docset, stem_of(docset.id, docset.version)
            index = next(each.index for each in self._held[stem] if each.index is not None)
            snippets = index.snippets()
            kept = [each for each in snippets if not is_left_out(each)]
            removed = len(snippets) - len(kept)
            left_out = {**facts.left_out, PURGED: facts.left_out.get(PURGED, 0) + removed}
            if not kept:
                self._folder.discard(stem)
            elif removed:
                file = work / "docset.sqlite"
                self._place(file, write_docset(file, replace(facts, left_out=left_out), kept))
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
        self, held: _Current, request: DocsetRequest, began: float
    ) -> DocsetChange | None:
        """Note that a docset is at its source's revision; None if it is not."""
        from context7_fabric.docsets.sources.fetching import latest_revision  # noqa: PLC0415  # slow

        asking = partial(latest_revision, version=request.version, known=held.docset.revision)
        latest = anyio.run(asking, request.source, bounds_of(request), self._settings)
        if latest != held.docset.revision:
            return None
        now = self._clock()
        self._folder.check(held.file, now)
        docset = replace(held.docset, checked_at=now)
        return DocsetChange(docset, time.perf_counter() - began, is_new=False)

    def _written(
        self, request: DocsetRequest, work: Path, report: IngestionReport, began: float
    ) -> DocsetChange:
        from context7_fabric.docsets.sources.fetching import fetch  # noqa: PLC0415  # slow

        bounds, into, draft = bounds_of(request), work / "source", work / "docset.sqlite"
        into.mkdir(mode=0o700)
        fetching = partial(fetch, version=request.version)
        tree = anyio.run(fetching, request.source, into, bounds, report.step, self._settings)
        found = ingest(tree, bounds, report)
        facts = replace(facts_of(request, tree, self._clock()), left_out=found.left_out)
        report.step(f"writing {facts.name}")
        docset = write_docset(draft, facts, found.snippets)
        self._check_room(request, draft)
        self._place(draft, docset)
        seconds = time.perf_counter() - began
        return DocsetChange(docset, seconds, note=tree.note, examples=found.examples)

    def _place(self, written: Path, docset: Docset) -> None:
        stem = stem_of(docset.id, docset.version)
        self._folder.place(written, stem, docset.revision, docset.checked_at)
        self._next_look = self._next_scan = float("-inf")

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
            self._next_look = self._next_scan = float("-inf")

    def _current(self, docset: Docset) -> _Current:
        """Return the file of a docset and its facts as they are now.

        Raises:
            UnknownDocset: There is none.
        """
        self._next_look = self._next_scan = float("-inf")
        self._look()
        for each in self._held.get(stem_of(docset.id, docset.version), ()):
            if each.index is not None:
                return _Current(each.file, each.index.docset)
        raise UnknownDocset(docset.name, ())

    def _chosen(
        self, rule: Choice, library: LibraryId, viewer: Viewer, also: Collection[str]
    ) -> DocsetIndex | None:
        held = [(index, index.docset) for index in self._open(viewer)]
        own, joined = folded_id(library.base), set(map(folded_id, also))
        ways: tuple[Callable[[Docset], bool], ...] = (
            lambda docset: folded_id(docset.id) == own,
            lambda docset: own in _folded(docset),
            lambda docset: bool(joined & _folded(docset)),
        )
        for is_of in ways:
            chosen = rule(library.version, [docset for _, docset in held if is_of(docset)])
            if chosen is not None:
                return next(index for index, docset in held if docset is chosen)
        return None

    def _open(self, viewer: Viewer) -> Iterator[DocsetIndex]:
        self._look()
        for held in self._held.values():
            for each in held:
                if each.index is not None and _is_readable(each.index.docset, viewer):
                    yield each.index

    def _look(self) -> None:
        """Bring the open docsets in step with the folder."""
        if self.revision() == self._seen:
            return
        with self._lock:
            stamp, now = self._stamp, self._ticks()
            if stamp == self._seen or now < self._next_scan:
                return
            is_whole = any(self._scan() for _attempt in range(_SCANS))
            self._seen = stamp if is_whole else _PARTLY
            self._next_scan = now if is_whole else now + LOOK_SECONDS

    def _scan(self) -> bool:
        """Open what is new in the folder; return False if a file could not be opened for now."""
        before = {each.file.path: each for held in self._held.values() for each in held}
        try:
            found = self._folder.files()
        except OSError as error:
            log.debug("the docsets cannot be read now: %s", error)
            return False
        self._held = {stem: list(self._read(found[stem], before)) for stem in found}
        return not any(each.is_lost for held in self._held.values() for each in held)

    def _read(self, files: Sequence[DocsetFile], before: Mapping[Path, _Held]) -> Iterator[_Held]:
        """Yield the newest generation that can be read, after those that cannot."""
        for file in files:
            if file.is_gone:
                return
            held = before.get(file.path)
            if held is None or held.is_lost or held.file.size != file.size:
                held = self._opened(file)
            yield replace(held, file=file)
            if held.index is not None:
                held.index.docset = replace(held.index.docset, checked_at=file.checked_at)
                return

    def _opened(self, file: DocsetFile) -> _Held:
        try:
            index = _open_file(file.path)
        except SearchUnavailable:
            return _Held(file)
        except DamagedDocset as damage:
            if not file.path.exists() or not can_open(_FILES):  # removed meanwhile, or a limit
                return _Held(file)
            log.error("%s", damage)  # noqa: TRY400  # one line is wanted, no traceback
            return _Held(file, None, damage)
        if index.is_outdated:
            self._rewrite(file, index)
        return _Held(file, index)

    def _rewrite(self, file: DocsetFile, index: DocsetIndex) -> None:
        """Write a docset again whose index has an older form, so that it is built once."""
        docset = replace(index.docset, checked_at=file.checked_at)
        try:
            with self._folder.turn(file.stem, f"rebuilds {docset.name}", lambda _: None) as work:
                if not file.path.exists():  # another process was first
                    return
                write_docset(work / "docset.sqlite", docset, index.snippets())
                self._folder.place(
                    work / "docset.sqlite", file.stem, docset.revision, docset.checked_at
                )
        except (OSError, DamagedDocset) as error:
            log.warning("the index of %s is rebuilt at each start: %s", docset.name, error)


@dataclass(frozen=True, slots=True)
class _Current:
    """File and facts of a docset."""

    file: DocsetFile
    docset: Docset


def _open_file(path: Path) -> DocsetIndex:
    index = open_docset(path)
    # Not sooner: a call may still read an index that is no longer held here.
    weakref.finalize(index, index.database.close)
    return index


def _aside(held: _Held, damage: DamagedDocset) -> _Held:
    return _Held(held.file, None, damage)


def _name(docset_id: str, version: str | None) -> str:
    return docset_id if version is None else f"{docset_id}@{version}"


def _folded(docset: Docset) -> set[str]:
    return set(map(folded_id, docset.ids))


def _is_readable(docset: Docset, viewer: Viewer) -> bool:
    return docset.owner in (PUBLIC, viewer.owner)
