"""The way to the daemon: a socket in the home, behind which one is started when there is none."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time
import zlib

from context7_fabric.relay.folders import append_to, make_home, make_private
from context7_fabric.relay.handshake import FULL, WELCOME, WINDOW_ENVIRONMENT

_LISTENER = 3
"""The descriptor at which the daemon finds its listening socket."""

_CANNOT_RUN = 127


def start(listener: socket.socket, environ: dict[str, str], log: str) -> None:
    """Let a daemon listen at `listener`; whatever it prints goes to the file `log`.

    Its environment is `environ` without what is a window's own, credentials above all.

    Raises:
        OSError: There can be no process.
    """
    own = {name: text for name, text in environ.items() if name not in WINDOW_ENVIRONMENT}
    own["PATH"] = environ.get("PATH", os.defpath)
    child = os.fork()
    if child == 0:
        _detach(listener.fileno(), own, log)
    os.waitpid(child, 0)


def _detach(listener: int, environ: dict[str, str], log: str) -> None:
    """Become the daemon's parent for a moment, and the daemon; never returns."""
    try:
        os.setsid()
        if os.fork() == 0:
            _take_descriptors(listener, log)
            # -P: no module of the folder that an editor happens to be in is taken for one of ours.
            words = [sys.executable, "-P", "-m", "context7_fabric", "daemon", "run"]
            os.execve(sys.executable, [*words, "--listener", str(_LISTENER)], environ)
    finally:
        os._exit(_CANNOT_RUN)


def _take_descriptors(listener: int, log: str) -> None:
    """Keep the listening socket, and of the starter's other descriptors none."""
    os.umask(0o077)
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        printed = append_to(log)
    except OSError:
        printed = nothing
    kept = os.dup(listener)
    for fd, source in enumerate((nothing, printed, printed, kept)):
        os.dup2(source, fd)
    os.chdir("/")
    for name in os.listdir("/dev/fd"):
        if int(name) > _LISTENER:
            try:
                os.close(int(name))
            except OSError:
                pass


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_ENDING = ".sock"
FOLDER = "daemon"
"""The folder of the home that sockets and logs of daemons are in."""

PATIENCE = 20.0
"""Seconds that a daemon may take for its first word, for it may have to start first, and that
another process may keep the lock, for it may have been stopped."""

LAST_PATIENCE = 1.0
"""Seconds that who leaves waits for the lock; a socket that stays is the next one's to replace."""

_ATTEMPTS = 3
_TRY_EVERY = 0.01
_BACKLOG = 128
_LONGEST_PATH = 100
"""Bytes of a path that a socket's address takes on every platform; Linux has room for 107."""

_LONGEST_WORD = 4096
_PEER_OPTION = (0, 1, 76)  # macOS: SOL_LOCAL, LOCAL_PEERCRED, the size of a struct xucred


_NO_ROOM = "it has as many open files as it may, raise the limit (`ulimit -n`)"


class NoDaemon(Exception):
    """No daemon can be had; the one argument says why, and is empty where that is no news."""


class _Locked(TimeoutError):
    """Another process keeps the lock; the one argument says so."""


class Endpoint:
    """Where the daemons of one identity listen."""

    def __init__(self, home: str, name: str) -> None:
        """Look for `name` in the folder of `home`."""
        self.home = home
        self.folder = os.path.join(home, FOLDER)
        self.name = name
        self._socket = f"{name}{_ENDING}"

    @classmethod
    def of(cls, home: str, identity: dict[str, object]) -> Endpoint:
        """Return the door of the daemons with `identity`, which they compare for themselves."""
        return cls(home, f"{zlib.crc32(ascii(identity).encode()):08x}")

    @property
    def log(self) -> str:
        """The path of the daemon's log."""
        return os.path.join(self.folder, f"{self.name}.log")

    def enter(self, hello: bytes, start: Callable[[socket.socket], None]) -> socket.socket:
        """Return a connection to a daemon that takes us in; `start` lets one listen.

        Raises:
            NoDaemon: There is none, and none can be started.
        """
        try:
            for _attempt in range(_ATTEMPTS):
                connection = self._reached(start)
                word = _answered(connection, hello)
                if word == WELCOME:
                    return connection
                connection.close()
                if word:
                    raise NoDaemon(_NO_ROOM if word == FULL else "")
        except _Locked as error:
            raise NoDaemon(str(error)) from error
        except TimeoutError as error:
            raise NoDaemon(f"it does not answer within {PATIENCE:g} s") from error
        except OSError as error:
            raise NoDaemon from error  # so much for the home, and whoever serves says so
        raise NoDaemon(f"it ends before it answers, {self.log} may tell why")

    def connect(self) -> socket.socket:
        """Return a connection to whoever listens, which is this user's process.

        Raises:
            OSError: Nobody listens, or it is somebody else.
        """
        return _at(self.folder, self._socket, _connected)

    def _reached(self, start: Callable[[socket.socket], None]) -> socket.socket:
        try:
            return self.connect()
        except (FileNotFoundError, ConnectionRefusedError):
            pass
        make_home(self.home)
        make_private(self.folder)
        lock = self._locked(PATIENCE)
        try:
            return self._started(start)
        finally:
            os.close(lock)

    def _locked(self, patience: float) -> int:
        """Return a descriptor of the folder, on which only one process at a time has the lock.

        Raises:
            TimeoutError: Another one has kept it for `patience` seconds.
        """
        lock = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _lock(lock, self.folder, patience)
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _started(self, start: Callable[[socket.socket], None]) -> socket.socket:
        """Connect, now that nobody else starts one; nobody listens at a socket that refuses."""
        try:
            return self.connect()
        except (FileNotFoundError, ConnectionRefusedError):
            listener = _at(self.folder, self._socket, _listening)
        try:
            start(listener)
            return self.connect()
        finally:
            listener.close()

    def claim(self) -> socket.socket:
        """Return a socket to listen at, for a daemon that nobody started.

        Raises:
            OSError: There is a daemon already, or the home cannot be used.
        """
        make_home(self.home)
        make_private(self.folder)
        lock = self._locked(PATIENCE)
        try:
            self.connect().close()
        except (FileNotFoundError, ConnectionRefusedError):
            return _at(self.folder, self._socket, _listening)
        finally:
            os.close(lock)
        raise FileExistsError("a daemon listens there already")

    def mark(self) -> tuple[int, int]:
        """Return what tells this socket from one that another daemon puts in its place."""
        status = os.stat(os.path.join(self.folder, self._socket))
        return status.st_dev, status.st_ino

    def is_marked(self, mark: tuple[int, int]) -> bool:
        """Tell whether the socket with `mark` is still in its place."""
        try:
            return self.mark() == mark
        except OSError:
            return False

    def leave(self, mark: tuple[int, int]) -> None:
        """Take the socket away, if it is still the one with `mark`.

        Raises:
            OSError: It stays, because another process keeps the lock or the folder is gone.
        """
        lock = self._locked(LAST_PATIENCE)
        try:
            if self.is_marked(mark):
                os.unlink(os.path.join(self.folder, self._socket))
        finally:
            os.close(lock)


def doors(home: str) -> list[Endpoint]:
    """Return a door for each socket in `home`."""
    try:
        names = os.listdir(os.path.join(home, FOLDER))
    except OSError:
        return []
    return [
        Endpoint(home, name[: -len(_ENDING)]) for name in sorted(names) if name.endswith(_ENDING)
    ]


def peer(connection: socket.socket) -> int:
    """Return the user id of who is at the other end."""
    level, option, size = _PEER_OPTION
    if sys.platform == "linux":
        level, option, size = socket.SOL_SOCKET, socket.SO_PEERCRED, 12
    told = connection.getsockopt(level, option, size)
    return int.from_bytes(told[4:8], sys.byteorder)  # behind a pid there, a version here


def _at(folder: str, name: str, do: Callable[[str], socket.socket]) -> socket.socket:
    """Return what `do` makes of the path, from within the folder where the whole is too long."""
    path = os.path.join(folder, name)
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        return do(path)
    here = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.chdir(folder)
        return do(name)
    finally:
        os.fchdir(here)
        os.close(here)


def _connected(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(PATIENCE)
        connection.connect(path)
        if peer(connection) != os.getuid():
            raise PermissionError("the daemon is another user's")
    except OSError:
        connection.close()
        raise
    return connection


def _lock(descriptor: int, folder: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                told = f"another process has kept {folder} locked for {patience:g} s"
                raise _Locked(told) from error
            time.sleep(_TRY_EVERY)
        else:
            return


def _listening(path: str) -> socket.socket:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        listener.bind(path)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(mask)
    return listener


def _answered(connection: socket.socket, hello: bytes) -> bytes:
    """Say `hello`, and return the answer's line, empty if the other end is closed instead."""
    word = b""
    try:
        connection.sendall(hello)
        while not word.endswith(b"\n"):
            part = connection.recv(1)
            if not part or len(word) > _LONGEST_WORD:
                return b""
            word += part
    except (BrokenPipeError, ConnectionResetError):
        return b""
    except OSError:
        connection.close()
        raise
    connection.settimeout(None)
    return word[:-1]
