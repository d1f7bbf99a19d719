"""Migration of the home of earlier versions from the user's cache folder to the data folder.

It is copied into a folder inside the new home and moved from there, the store last: a home with a
store is complete, and never overwritten. A process that is killed leaves that folder, which the
next one empties. Until the migration succeeds, store, secret and tokens are used at the old place,
and a lock keeps other processes from copying them meanwhile.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sqlite3
import stat
import sys
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from context7_fabric.fabric.backends.disk.file import DATABASE, FILES, prepare
from context7_fabric.fabric.backends.disk.repair import ASIDE, mended
from context7_fabric.fabric.backends.disk.schema import VALUE_FILE
from context7_fabric.relay.folders import HOME, make_home, make_private
from context7_fabric.settings import Settings

log = logging.getLogger(__name__)

STORE, SECRET, TOKENS = "fabric", "secret", "tokens"
STAGING = "migration"
"""Folder of the new home for the copy, which is the lock as well."""

LOCK_SECONDS = 60.0
"""Longest wait for another process that copies; a full store of 512 MiB takes seconds."""

_TRY_EVERY = 0.02
_LOOKS = 3
"""Failed attempts to lock alone after which a shared lock counts as another process's use."""

_USED = (
    "another process that was started earlier uses it there, and it is copied after the end of all;"
    " `context7-fabric daemon stop` ends a daemon"
)
_REMEDY = f"correct that and start again, or set {HOME}"

_staying: dict[Path, tuple[int, str]] = {}
"""Lock and reason by old home, until the end of this process."""


def settled(settings: Settings) -> Settings:
    """Migrate a home that is at its old place; return the settings for where it is then; blocks."""
    old = settings.old_home
    if old is None:
        return settings
    if not _is_due(old, settings.home):
        with suppress(OSError):  # empty, left by a process that was killed at its last step
            (settings.home / STAGING).rmdir()
        return settings
    stays = _staying[old][1] if old in _staying else _migrated(old, settings.home)
    if stays is None:
        return settings
    log.warning("the home is still %s: %s", old, stays)
    named = settings.web.wants_tokens
    web = settings.web if named else replace(settings.web, tokens_file=old / TOKENS)
    return replace(settings, stays=stays, web=web)


def leftovers(settings: Settings) -> list[Path]:
    """Return what is still at the old place although the home has a store of its own."""
    old = settings.old_home
    if old is None or settings.stays is not None:
        return []
    return [old / name for name in (STORE, SECRET, TOKENS) if os.path.lexists(old / name)]


def _is_due(old: Path, home: Path) -> bool:
    if os.path.lexists(home / STORE) or not _is_ours(old):
        return False
    return any(os.path.lexists(old / name) for name in (STORE, SECRET, TOKENS))


def _is_ours(path: Path) -> bool:
    try:
        return sys.platform == "win32" or path.stat().st_uid == os.getuid()
    except OSError:
        return False


def _migrated(old: Path, home: Path) -> str | None:
    """Migrate; return the reason why the home stays, None if it is at its new place."""
    staging = home / STAGING
    try:
        make_home(str(home))
        make_private(str(staging))
        if sys.platform == "win32":  # neither daemons nor locks of folders
            return _copy_failure(old, home)
        descriptor = os.open(staging, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if not _is_due(old, home):  # another process has done it
            return None
        return f"{home} cannot be used ({error}): {_REMEDY}"
    stays = _migrated_under_lock(old, home, descriptor)
    if stays is None:
        os.close(descriptor)
    else:
        _staying[old] = descriptor, stays
    return stays


def _migrated_under_lock(old: Path, home: Path, descriptor: int) -> str | None:
    """Migrate as `_migrated`; the lock of `descriptor` is shared where the home stays."""
    import fcntl  # noqa: PLC0415  # missing on Windows

    try:
        alone = _locked_alone(descriptor)
        if not _is_due(old, home):  # another process has done it
            return None
        if not alone:
            return _daemon_at(old) or _USED
        stays = _daemon_at(old) or _copy_failure(old, home)
        if stays is None:
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError as error:
        return f"{home / STAGING} cannot be locked ({error}): {_REMEDY}"
    return stays if _is_due(old, home) else None


def _locked_alone(descriptor: int) -> bool:
    """Lock a folder; return False if the lock is shared with processes that use the old home.

    Raises:
        OSError: Another process copies for longer than `LOCK_SECONDS`, or there are no locks.
    """
    import fcntl  # noqa: PLC0415  # missing on Windows

    deadline, shared = time.monotonic() + LOCK_SECONDS, 0
    while time.monotonic() < deadline:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            shared += 1
            if shared == _LOOKS:
                return False
            fcntl.flock(
                descriptor, fcntl.LOCK_UN
            )  # two that start at once must not stop each other
        time.sleep(_TRY_EVERY)
    raise TimeoutError(f"another process has kept it locked for {LOCK_SECONDS:g} s")


def _daemon_at(old: Path) -> str | None:
    """Return why a daemon in the old home forbids the migration, None without one."""
    from context7_fabric.relay.endpoint import endpoints  # noqa: PLC0415  # it needs Unix sockets

    for endpoint in endpoints(str(old)):
        try:
            endpoint.connect().close()
        except TimeoutError:
            pass
        except OSError:
            continue
        stop = f"{HOME}={shlex.quote(str(old))} context7-fabric daemon stop"
        return f"a daemon of an earlier version serves it; `{stop}` ends it, then start again"
    return None


def _copy_failure(old: Path, home: Path) -> str | None:
    """Copy the old home and move the copy into place; return the reason for a failure."""
    staging = home / STAGING
    try:
        _empty(staging)
        _copy(old, staging)
        _move(staging, home)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            _empty(staging)
        return f"it cannot be copied to {home} ({error}): {_REMEDY}"
    with suppress(OSError):
        staging.rmdir()
    log.warning("the home is now %s: it is copied from %s, which is left as it is", home, old)
    return None


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _copy(old: Path, staging: Path) -> None:
    for name in (SECRET, TOKENS):
        path = old / name
        if name == SECRET and not _is_ours(path):  # as it is not used either
            continue
        if path.is_symlink():
            (staging / name).symlink_to(os.path.realpath(path))
        elif path.exists():
            _copy_file(path, staging / name)
    make_private(str(staging / STORE))
    if os.path.lexists(old / STORE):
        _copy_store(old / STORE, staging / STORE)


def _move(staging: Path, home: Path) -> None:
    """Move everything into place, the store last; the secret belongs to the store."""
    if sys.platform != "win32":
        os.sync()
    if os.path.lexists(staging / SECRET):
        (staging / SECRET).replace(home / SECRET)
    if os.path.lexists(staging / TOKENS) and not os.path.lexists(home / TOKENS):
        (staging / TOKENS).rename(home / TOKENS)
    (staging / STORE).rename(home / STORE)


def _copy_store(source: Path, target: Path) -> None:
    if not stat.S_ISDIR(source.lstat().st_mode):
        raise NotADirectoryError(f"{source} is not a folder")
    for path in source.glob("??/??/*.val"):
        name = path.relative_to(source)
        if VALUE_FILE.fullmatch(str(name)):
            with suppress(FileNotFoundError):  # removed meanwhile
                for folder in (target / name.parts[0], (target / name).parent):
                    make_private(str(folder))
                _copy_file(path, target / name)
    with suppress(FileNotFoundError):
        if (source / DATABASE).lstat().st_size or (source / FILES[1]).exists():
            _copy_database(source, target)


def _copy_database(source: Path, target: Path) -> None:
    """Copy the database, of a damaged one all that can be read."""
    prepare(target)
    try:
        _back_up(source, target)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
            raise
        for name in FILES[:2]:  # the repair reads past damage, which the backup does not
            (target / name).unlink(missing_ok=True)
            if (source / name).exists():
                _copy_file(source / name, target / name)
    try:
        done = mended(target)
    except sqlite3.Error as error:
        log.warning("the store in %s is damaged, none of it can be read: %s", source, error)
        for name in FILES:
            (target / name).unlink(missing_ok=True)
        return
    if done is not None:
        log.warning("the store in %s is damaged, and left as it is: %s", source, done)
    for name in FILES:  # the damaged file is at the old place
        (target / f"{ASIDE}{name}").unlink(missing_ok=True)


def _back_up(source: Path, target: Path) -> None:
    """Copy by SQLite's backup; without a log no file is created beside the source."""
    _check_file(source / DATABASE)
    mode = "mode=ro" if (source / FILES[1]).exists() else "immutable=1"
    uri = f"{(source / DATABASE).absolute().as_uri()}?{mode}"
    with (
        closing(sqlite3.connect(uri, uri=True)) as before,
        closing(sqlite3.connect(target / DATABASE)) as after,
    ):
        before.backup(after)


def _copy_file(source: Path, target: Path) -> None:
    """Copy a file, readable by this user alone."""
    _check_file(source)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as after, source.open("rb") as before:
        shutil.copyfileobj(before, after)


def _check_file(path: Path) -> None:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise PermissionError(f"{path} is not a regular file")
