"""Projects that clients work in: their folders, and their pins as long as no file changes."""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from context7_fabric.project.lockfiles import LOCK_FILES
from context7_fabric.project.pins import (
    NO_PINS,
    PROJECT_FILE,
    USER_FILE,
    ProjectPins,
    read_project,
)

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
"""Seconds for which a look at a project's files holds: then a change of one counts."""

WAIT_SECONDS: Final = 1.0
"""Longest wait of a call for a project that is read again; then the last known pins count."""

FIRST_SECONDS: Final = 15.0
"""Longest wait of a call for a project that was never read, as without its pins an answer would be
of another version; a large lock file takes some seconds."""

MOST_PROJECTS: Final = 64
"""Projects that are kept; the one used longest ago goes first."""

MOST_LEVELS: Final = 32
"""Folders that are looked at, from the working directory up."""

MOST_NAMES: Final = 10_000
"""Entries of a folder that are looked at."""

WORKERS: Final = 2
"""Threads that look at projects at once."""

_LOCKS: Final = frozenset({*LOCK_FILES, "go.mod"})
_MANIFESTS: Final = frozenset(
    {PROJECT_FILE, "pyproject.toml", "package.json", "Cargo.toml", "composer.json", "Gemfile"}
)
_MORE: Final = re.compile(r"requirements.*\.(?:txt|in)|requirements|pnpm-workspace\.yaml")
_REPOSITORY: Final = (".git", ".hg", ".jj")

Stamp: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""State of a project's files: path, time of change (ns), size, and number of each."""


def project_folders(directory: Path, user: Path) -> tuple[Path, ...]:
    """Return the folders of the project that `directory` lies in, the nearest first.

    They are the first folder upwards with a manifest, the first from there with a lock file, and
    the one where the repository begins, which is the last that is looked at. The root of the file
    system, the folder of the `user`, those above it, and folders above `directory` that everyone
    may write to are none. This blocks.
    """
    found: list[Path] = []
    has_lock = False
    for folder in _upwards(directory, user):
        names = _names(folder)
        locks, is_top = _LOCKS & names, not names.isdisjoint(_REPOSITORY)
        is_manifest = bool(locks or _MANIFESTS & names or _matching(names))
        if is_top or (locks and not has_lock) or (is_manifest and not found):
            found.append(folder)
        has_lock = has_lock or bool(locks)
        if is_top:
            break
    return tuple(found)


def _upwards(directory: Path, user: Path) -> Iterator[Path]:
    if not directory.is_absolute() or "\0" in str(directory):
        return
    start = Path(os.path.realpath(directory))
    beyond = {Path(start.anchor), *_and_above(Path(os.path.realpath(user)))}
    for folder in _and_above(start)[:MOST_LEVELS]:
        if folder in beyond or (folder != start and _is_open_to_all(folder)):
            return
        yield folder


def _and_above(folder: Path) -> list[Path]:
    return [folder, *folder.parents]


def _is_open_to_all(folder: Path) -> bool:
    try:
        return os.name == "posix" and bool(folder.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return True


def _names(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(each.name for each in islice(entries, MOST_NAMES))
    except OSError:
        return frozenset()


def _matching(names: Iterable[str]) -> list[str]:
    return list(filter(_MORE.fullmatch, names))


@dataclass(frozen=True, slots=True)
class _Look:
    """The pins of one directory's project, and the state of its files when it was read."""

    pins: ProjectPins
    stamp: Stamp
    at: float


class Projects:
    """Pins by the directory that a client works in; reading is done in threads."""

    def __init__(
        self,
        tasks: TaskGroup,
        home: Path,
        user: Path,
        ticks: Callable[[], float] = time.monotonic,
        read: Callable[[tuple[Path, ...], Path], ProjectPins] = read_project,
        waits: tuple[float, float] = (FIRST_SECONDS, WAIT_SECONDS),
    ) -> None:
        """Read the user's own pins from `home`; no project is in `user` itself or above it.

        Reading goes on in `tasks`; `ticks` gives seconds that never go back. `waits` are those of a
        call for the first reading of a project, and for a later one.
        """
        self._tasks = tasks
        self._home = home
        self._user = user
        self._ticks = ticks
        self._read = read
        self._first, self._again = waits
        self._looks: OrderedDict[str, _Look] = OrderedDict()
        self._looking: dict[str, anyio.Event] = {}
        self._limiter = anyio.CapacityLimiter(WORKERS)

    def digest(self, directory: str) -> str | None:
        """Return the digest of the pins in force, None where the files have to be looked at first.

        It is empty without pins, and for an empty `directory`, which stands for no project at all.
        """
        if not directory:
            return ""
        look = self._looks.get(directory)
        return look.pins.digest if look is not None and self._holds(look) else None

    async def of(self, directory: str) -> ProjectPins:
        """Return the pins in force for a client in `directory`, empty for none.

        A project that takes long to read is waited for a little; then the last known pins count.
        """
        if self.digest(directory) is None:
            with anyio.move_on_after(self._again if directory in self._looks else self._first):
                await self.look(directory).wait()
        look = self._looks.get(directory)
        return NO_PINS if look is None else look.pins

    def look(self, directory: str) -> anyio.Event:
        """Begin to look at a project, unless that is under way; return the event of its end."""
        done = self._looking.get(directory)
        if done is None:
            done = self._looking[directory] = anyio.Event()
            self._tasks.start_soon(self._looked, directory, done)
        return done

    async def _looked(self, directory: str, done: anyio.Event) -> None:
        before = self._looks.get(directory)
        try:
            look = await to_thread.run_sync(
                self._look, directory, before, limiter=self._limiter, abandon_on_cancel=True
            )
            self._keep(directory, look)
        except Exception:
            log.exception("a project could not be read")
            last = NO_PINS if before is None else before.pins
            self._keep(directory, _Look(last, (), self._ticks()))
        finally:
            del self._looking[directory]
            done.set()

    def _look(self, directory: str, before: _Look | None) -> _Look:
        at = self._ticks()
        folders = project_folders(Path(directory), self._user)
        same = before is not None and before.pins.folders == folders
        if before is not None and same and self._stamp(before.pins) == before.stamp:
            return replace(before, at=at)
        stamp = self._stamp(ProjectPins(folders))
        pins = self._read(folders, self._home)
        after = self._stamp(pins)
        # A file that changed while it was read is read again by the next call.
        return _Look(pins, after if set(stamp) <= set(after) else (), at)

    def _stamp(self, pins: ProjectPins) -> Stamp:
        """Return the state of the files that decide about `pins`; this blocks."""
        paths = [self._home / USER_FILE]
        for folder in pins.folders:
            names = _names(folder)
            decisive = (_LOCKS | _MANIFESTS) & names
            paths += [folder / each for each in sorted(decisive.union(_matching(names)))]
        paths += [folder / each.file for folder in pins.folders for each in pins.dependencies]
        return tuple(_state(str(path)) for path in dict.fromkeys(paths))

    def _keep(self, directory: str, look: _Look) -> None:
        self._looks.pop(directory, None)
        self._looks[directory] = look
        while len(self._looks) > MOST_PROJECTS:
            self._looks.popitem(last=False)

    def _holds(self, look: _Look) -> bool:
        return 0 <= self._ticks() - look.at < LOOK_SECONDS


def _state(path: str) -> tuple[str, int, int, int]:
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return path, 0, 0, 0
    return path, found.st_mtime_ns, found.st_size, found.st_ino
