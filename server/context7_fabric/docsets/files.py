"""Files of the docsets: their names, a lock for each docset, and moves into place.

A folder holds one SQLite file for each docset, `{name}.{revision}.{generation}.sqlite`. A docset
that is written anew gets the next generation: an open file cannot be replaced on Windows, and a
reader keeps what it has open. Readers take the highest generation. `locks/` has a lock for each
docset, `work/` what is being written; a killed run leaves its part of `work/`, which is removed
by the next one that holds the lock.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from context7_fabric.relay.folders import make_home, make_private

_NAME = re.compile(r"(?P<stem>.+)\.[0-9a-z_-]{1,16}\.(?P<generation>\d{6,12})\.(?:sqlite|gone)")
_UNSAFE = re.compile(r"[^a-z0-9._@-]+")
_LONGEST_SLUG = 80
_LONGEST_REVISION = 12
_GONE = ".gone"
"""End of the name of an empty file that marks a docset as removed while a reader holds it open."""

_ASIDE = ".damaged"
"""End of the name of a file that cannot be read as a docset, and is kept."""

WAIT_SECONDS = 0.1
"""Time between two attempts to take a lock that another process holds."""


@dataclass(frozen=True, slots=True)
class DocsetFile:
    """A file of a docset; `checked_at` is its modification time in epoch seconds."""

    path: Path
    stem: str
    generation: int
    size: int
    checked_at: float

    @property
    def is_gone(self) -> bool:
        """Tell whether it marks that the docset was removed."""
        return self.path.suffix == _GONE


def stem_of(docset_id: str, version: str | None) -> str:
    """Return the beginning of the names of a docset's files.

    It is readable, has no separator of folders, and is the same for ids that differ in case only.
    """
    name = docset_id.casefold() + ("" if version is None else f"@{version.casefold()}")
    whole = f"{docset_id}\0{version}".casefold()
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    slug = _UNSAFE.sub("-", name.strip("/").replace("/", "-")).lstrip(".-")[:_LONGEST_SLUG]
    return f"{slug or 'docset'}.{digest}"


class DocsetFolder:
    """The folder of the docsets; every method blocks."""

    def __init__(self, path: Path) -> None:
        """Use the folder `path`, which is made at the first write."""
        self.path = path

    def stamp(self) -> int:
        """Return a number that changes with every change to the folder; 0 while there is none."""
        try:
            return os.stat(self.path).st_mtime_ns  # noqa: PTH116  # a Path takes twice as long
        except OSError:
            return 0

    def files(self) -> dict[str, list[DocsetFile]]:
        """Return the files of each docset by its stem, the newest generation first.

        Raises:
            OSError: The folder cannot be read.
        """
        found: dict[str, list[DocsetFile]] = {}
        for each in self._entries():
            found.setdefault(each.stem, []).append(each)
        for generations in found.values():
            generations.sort(key=lambda file: file.generation, reverse=True)
        return found

    def size(self, without: str = "") -> int:
        """Return the bytes of all docsets but the one with the stem `without`.

        Raises:
            OSError: The folder cannot be read.
        """
        return sum(each.size for each in self._entries() if each.stem != without)

    @contextmanager
    def turn(self, stem: str, task: str, on_wait: Callable[[str], None]) -> Generator[Path]:
        """Hold the lock of a docset for the block; yield an empty folder for what is written.

        `task` says what is done, for those that wait meanwhile; `on_wait` is called with the task
        of the one that holds the lock, if it is held.

        Raises:
            OSError: The folder cannot be used.
        """
        self._prepare()
        holder = self.path / "locks" / f"{stem}.holder"
        with self._locked(stem, lambda: on_wait(_read(holder))):
            with suppress(OSError):  # on a full disk a docset can still be removed
                _write(holder, task)
            try:
                with self._work(stem) as folder:
                    yield folder
            finally:
                with suppress(OSError):
                    holder.unlink()

    @contextmanager
    def _locked(self, stem: str, on_wait: Callable[[], None] | None) -> Generator[bool]:
        """Hold a lock for the block, and yield True; without `on_wait`, False if it is held."""
        from filelock import FileLock, Timeout  # noqa: PLC0415  # takes a while

        lock = FileLock(self.path / "locks" / f"{stem}.lock", mode=0o600)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if on_wait is None:
                yield False
                return
            on_wait()
            lock.acquire(poll_interval=WAIT_SECONDS)
        try:
            yield True
        finally:
            lock.release()

    def place(self, written: Path, stem: str, revision: str, checked_at: float) -> Path:
        """Move a whole file into place as the newest generation, and remove the older ones.

        The caller holds the lock of the docset.

        Raises:
            OSError: The file cannot be moved; the older ones are unchanged.
        """
        older = self.files().get(stem, [])
        generation = older[0].generation + 1 if older else 1
        short = re.sub(r"[^0-9a-z]+", "-", revision.lower())[:_LONGEST_REVISION].strip("-")
        target = self.path / f"{stem}.{short or 'none'}.{generation:06}.sqlite"
        os.utime(written, (checked_at, checked_at))
        written.replace(target)
        _sync(self.path)
        self._remove(older)
        self._touch()
        return target

    def check(self, file: DocsetFile, checked_at: float) -> None:
        """Note that the source of a docset had not changed at `checked_at` (epoch seconds).

        Raises:
            OSError: It cannot be noted.
        """
        os.utime(file.path, (checked_at, checked_at))
        self._touch()

    def try_again(self, stem: str, now: float, pause: float) -> bool:
        """Note an attempt at `now` (epoch seconds), unless the last was within `pause` seconds.

        Raises:
            OSError: It cannot be noted.
        """
        self._prepare()
        mark = self.path / "locks" / f"{stem}.tried"
        with suppress(FileNotFoundError):
            if 0 <= now - mark.stat().st_mtime < pause:
                return False
        mark.touch(0o600)
        os.utime(mark, (now, now))
        return True

    def discard(self, stem: str) -> None:
        """Remove every file of a docset; the caller holds its lock.

        Raises:
            OSError: A file cannot be removed, other than because a reader has it open.
        """
        held = self.files().get(stem, [])
        if held and not self._remove(held):
            (self.path / f"{stem}.removed.{held[0].generation + 1:06}{_GONE}").touch(0o600)
        self._touch()

    def put_aside(self, file: DocsetFile) -> Path:
        """Rename a file so that it is no docset any more, and return its path; nothing is lost.

        The caller holds the lock of the docset.

        Raises:
            OSError: It cannot be renamed.
        """
        target = file.path.with_name(f"{file.path.name}{_ASIDE}")
        file.path.rename(target)
        self._touch()
        return target

    def sweep(self) -> None:
        """Remove what killed runs and earlier readers left."""
        for left in self._listed(self.path / "work"):
            with suppress(OSError), self._locked(left.name, None) as is_free:
                if is_free:
                    shutil.rmtree(left.path, ignore_errors=True)
        for generations in self.files().values():
            newest, older = generations[0], generations[1:]
            self._remove([newest, *older] if newest.is_gone else older)

    def _prepare(self) -> None:
        make_home(str(self.path.parent))
        for folder in (self.path, self.path / "locks", self.path / "work"):
            make_private(str(folder))

    @contextmanager
    def _work(self, stem: str) -> Generator[Path]:
        folder = self.path / "work" / stem
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _remove(self, files: list[DocsetFile]) -> bool:
        """Remove files, the newest last; stop and return False if a reader holds one open."""
        try:
            for each in reversed(files):
                each.path.unlink(missing_ok=True)
        except PermissionError:
            return False
        return True

    def _touch(self) -> None:
        """Change the folder's stamp, also if the clock has not moved since the last change."""
        with suppress(OSError):
            later = max(time.time_ns(), self.path.stat().st_mtime_ns + 1)
            os.utime(self.path, ns=(later, later))

    def _entries(self) -> Generator[DocsetFile]:
        for entry in self._listed(self.path):
            form = _NAME.fullmatch(entry.name)
            if form is None:
                continue
            with suppress(OSError):  # removed meanwhile
                if not entry.is_file(follow_symlinks=False):
                    continue
                status = entry.stat(follow_symlinks=False)
                number = int(form["generation"])
                path = Path(entry.path)
                yield DocsetFile(path, form["stem"], number, status.st_size, status.st_mtime)

    def _listed(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except FileNotFoundError:
            return []


def _sync(folder: Path) -> None:
    """Have the system write the names in a folder to the disk, where it can."""
    with suppress(OSError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  # no path
        file.write(text)
