"""Paths that the environment names, and folders for this user alone."""

from __future__ import annotations

import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

HOME = "CONTEXT7_FABRIC_HOME"
DATA, CACHE = "XDG_DATA_HOME", "XDG_CACHE_HOME"
_NAME = "context7-fabric"
_PLACES = {
    ("darwin", DATA): "Library/Application Support",
    ("darwin", CACHE): "Library/Caches",
    ("linux", DATA): ".local/share",
    ("linux", CACHE): ".cache",
}
"""Folders of the platforms below the user's own, by the variable that names another."""

_FIRST_PRINTABLE, _DELETE = " ", "\x7f"


class UnusablePath(ValueError):
    """A variable's path cannot be used; the fields are those of `SettingError`."""

    def __init__(self, variable: str, value: str, expected: str) -> None:
        """Keep the variable, its value and the expected form."""
        super().__init__(variable, value, expected)
        self.variable, self.value, self.expected = variable, value, expected


def home_of(environ: Mapping[str, str]) -> str:
    """Return the home that `environ` names, else the default; relay and daemon use this function.

    Raises:
        UnusablePath: The path is relative, or as `written_out` says.
    """
    home = environ.get(HOME, "").strip()
    if not home:
        return default_home(environ)
    path = written_out(HOME, home)
    if not os.path.isabs(path):
        raise UnusablePath(HOME, home, "an absolute path: begin it with / or ~")
    return os.path.normpath(path)


def default_home(environ: Mapping[str, str]) -> str:
    """Return the folder in the user's data folder of this platform.

    Raises:
        UnusablePath: As `base_folder`.
    """
    if sys.platform == "win32":
        return os.path.join(_local_data(environ), _NAME, _NAME)
    return os.path.join(base_folder(environ, DATA), _NAME)


def cache_folder_of(environ: Mapping[str, str]) -> str:
    """Return the folder of what can be fetched again: a home that is set, else the default.

    The default is in the user's cache folder of this platform.

    Raises:
        UnusablePath: As `home_of` and `base_folder`.
    """
    if environ.get(HOME, "").strip():
        return home_of(environ)
    if sys.platform == "win32":
        return os.path.join(default_home(environ), "Cache")
    return os.path.join(base_folder(environ, CACHE), _NAME)


def old_home_of(environ: Mapping[str, str]) -> str | None:
    """Return the default home of earlier versions, in the cache folder; None where one is set."""
    if environ.get(HOME, "").strip():
        return None
    if sys.platform == "win32":
        return cache_folder_of(environ)
    if sys.platform == "darwin":
        return os.path.expanduser(f"~/Library/Caches/{_NAME}")
    cache = os.path.expanduser(environ.get(CACHE, "").strip())
    if not os.path.isabs(cache):
        cache = os.path.expanduser("~/.cache")
    return os.path.join(cache, _NAME)


def base_folder(environ: Mapping[str, str], variable: str) -> str:
    """Return the user's data or cache folder, by `variable` (`DATA`, `CACHE`), except on Windows.

    It is that of the package platformdirs: a relative path counts as not set, as the XDG Base
    Directory Specification says.

    Raises:
        UnusablePath: The path of the variable has a `$` or a control character, or no folder of
            this user is known.
    """
    path = environ.get(variable, "")
    if os.path.isabs(path):
        return written_out(variable, path)
    platform = "darwin" if sys.platform == "darwin" else "linux"
    return os.path.join(user_folder(), _PLACES[platform, variable])


def user_folder() -> str:
    """Return the user's own folder; an empty or relative `HOME` counts as not set."""
    folder = os.path.expanduser("~")
    if not os.path.isabs(os.environ.get("HOME", folder)):
        import pwd

        try:
            folder = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            pass
    if not os.path.isabs(folder):
        raise UnusablePath("HOME", folder, f"an absolute path: correct it, or set {HOME}")
    return folder


def _local_data(environ: Mapping[str, str]) -> str:
    """Return the user's folder of local data on Windows."""
    folder = environ.get("LOCALAPPDATA") or os.path.expanduser("~/AppData/Local")
    return os.path.normpath(folder)


def written_out(variable: str, path: str) -> str:
    """Return the `path` of a variable with the user's folder in the place of `~`.

    Raises:
        UnusablePath: It has a `$`, which only a shell expands, a control character, or a `~` of an
            unknown user.
    """
    if "$" in path:
        expected = "a path without '$': no variable in it is expanded, write the path out"
        raise UnusablePath(variable, path, expected)
    if any(sign < _FIRST_PRINTABLE or sign == _DELETE for sign in path):
        raise UnusablePath(variable, path, "a path without control characters")
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise UnusablePath(variable, path, "a path: its user is not known here")
    return expanded


def make_home(home: str) -> None:
    """Make the home unless it exists, and let no other user write to it.

    It may be a link to a folder of this user. A sticky folder keeps its mode: in a file system
    that all users share by design, they cannot change this user's files.

    Raises:
        OSError: It cannot be made, or is another user's.
    """
    os.makedirs(os.path.dirname(home), exist_ok=True)
    try:
        os.mkdir(home, 0o700)
    except FileExistsError:
        pass
    status = os.stat(home)
    _check_owner(home, status)
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o022 and not mode & stat.S_ISVTX:
        os.chmod(home, mode & ~0o022)


def make_private(folder: str) -> None:
    """Make a folder unless it exists, and let no other user open it.

    Raises:
        OSError: It cannot be made, is another user's, or a link.
    """
    try:
        os.makedirs(folder, 0o700)
    except FileExistsError:
        pass
    status = os.lstat(folder)
    if stat.S_ISLNK(status.st_mode):
        raise PermissionError(
            f"{folder} is a symbolic link, which is not followed: move the whole home ({HOME})"
        )
    _check_owner(folder, status)
    if status.st_mode & 0o077:
        try:
            os.chmod(folder, 0o700)
        except OSError:
            pass  # a read-only file system


def append_to(path: str) -> int:
    """Open a file for appending, readable by this user alone; a link in its place is removed.

    Raises:
        OSError: It cannot be opened.
    """
    if os.path.islink(path):
        os.unlink(path)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)


def _check_owner(folder: str, status: os.stat_result) -> None:
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(f"{folder} is not a folder")
    if sys.platform != "win32" and status.st_uid != os.getuid():
        raise PermissionError(f"{folder} is another user's")
