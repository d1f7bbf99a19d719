"""Open docsets of a folder, kept in step with the files in it.

Every method blocks, and threads may share the open docsets. What another process adds or removes
is seen within a second: the folder's stamp is read once in `LOOK_SECONDS` at most.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from context7_fabric.docsets.files import DocsetFile, DocsetFolder, may_be_of
from context7_fabric.docsets.index import DocsetIndex, open_docset, write_docset
from context7_fabric.errors import DamagedDocset, SearchUnavailable
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.process import can_open

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Time between two looks at the folder."""

_SCANS = 3
"""Attempts to read the folder while other processes replace files in it."""

_PARTLY = -1
"""Stamp of a folder that was read in part: it is read again at the next look."""

_FILES = 2
"""Open files that a docset takes, and that a limit may refuse."""


@dataclass(frozen=True, slots=True)
class HeldDocset:
    """A docset's file, with its index or the reason why it cannot be read."""

    file: DocsetFile
    index: DocsetIndex | None = None
    damage: DamagedDocset | None = None

    @property
    def is_lost(self) -> bool:
        """It was removed while the folder was read, or could not be opened for now."""
        return self.index is None and self.damage is None


class OpenDocsets:
    """The docsets of one folder, opened once."""

    def __init__(self, folder: DocsetFolder, ticks: Callable[[], float]) -> None:
        """Open the docsets in `folder`; `ticks` gives seconds that never go back."""
        self._folder = folder
        self._ticks = ticks
        self._lock = threading.Lock()
        self._held: Mapping[str, Sequence[HeldDocset]] = {}
        self._named = set[str]()  # paths of damaged files that were logged
        self._stamp = self._seen = 0
        self._next_look = self._next_scan = float("-inf")

    def revision(self) -> int:
        """Return a number that changes when a docset comes, changes or goes."""
        now = self._ticks()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._stamp = self._folder.stamp()
        return self._stamp

    def look_again(self) -> None:
        """Look at the folder the next time that docsets are read."""
        self._next_look = self._next_scan = float("-inf")

    def indexes(self) -> Sequence[DocsetIndex]:
        """Return the docsets of all owners that can be read."""
        self._look()
        return _indexes(self._held)

    def at_once(self) -> Sequence[DocsetIndex] | None:
        """Return what `indexes` would, without blocking; None if a look at the folder is due."""
        held, is_seen = self._held, self._stamp == self._seen
        if not is_seen or self._ticks() >= self._next_look:
            return None
        return _indexes(held)

    def of(self, stem: str) -> tuple[DocsetFile, DocsetIndex] | None:
        """Return the file and the index of a docset as they are now, None without one."""
        self.look_again()
        self._look()
        for each in self._held.get(stem, ()):
            if each.index is not None:
                return each.file, each.index
        return None

    def damaged(self) -> Sequence[DamagedDocset]:
        """Return the error of each file that cannot be read, sorted by its path."""
        self._look()
        found = (each.damage for held in self._held.values() for each in held)
        return sorted((each for each in found if each is not None), key=lambda each: each.path)

    def log_damaged(self, library: LibraryId) -> None:
        """Log the damaged files that would have answered for a library, each once."""
        for stem, held in self._held.items():
            if may_be_of(stem, library.base, library.version):
                for damage in (each.damage for each in held if each.damage is not None):
                    self._log(damage)

    def set_aside(self, index: DocsetIndex, damage: DamagedDocset) -> None:
        """Leave a docset aside from now on: reading it failed with `damage`."""
        with self._lock:
            self._held = {
                stem: [_aside(each, damage) if each.index is index else each for each in held]
                for stem, held in self._held.items()
            }
        self._log(damage)

    def forget(self, stem: str) -> None:
        """Hold a docset no longer: an open file cannot be removed on Windows."""
        with self._lock:
            self._held = {each: held for each, held in self._held.items() if each != stem}

    def _log(self, damage: DamagedDocset) -> None:
        if damage.path not in self._named:
            self._named.add(damage.path)
            log.error("%s", damage)

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

    def _read(
        self, files: Sequence[DocsetFile], before: Mapping[Path, HeldDocset]
    ) -> Iterator[HeldDocset]:
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

    def _opened(self, file: DocsetFile) -> HeldDocset:
        try:
            index = _open_file(file.path)
        except SearchUnavailable:
            return HeldDocset(file)
        except DamagedDocset as damage:
            if not file.path.exists() or not can_open(_FILES):  # removed meanwhile, or a limit
                return HeldDocset(file)
            return HeldDocset(file, None, damage)
        if index.is_outdated:
            self._rewrite(file, index)
        return HeldDocset(file, index)

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


def _indexes(held: Mapping[str, Sequence[HeldDocset]]) -> list[DocsetIndex]:
    found = (each.index for generations in held.values() for each in generations)
    return [index for index in found if index is not None]


def _open_file(path: Path) -> DocsetIndex:
    index = open_docset(path)
    # Not sooner: a call may still read an index that is no longer held here.
    weakref.finalize(index, index.database.close)
    return index


def _aside(held: HeldDocset, damage: DamagedDocset) -> HeldDocset:
    return HeldDocset(held.file, None, damage)
