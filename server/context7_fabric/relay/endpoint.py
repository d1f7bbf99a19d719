"""Endpoint of a daemon: its socket in the home, and the start of a daemon where none listens."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time
import zlib

from context7_fabric.relay.folders import append_to, make_home, make_private
from context7_fabric.relay.handshake import FULL, WELCOME, WINDOW_ENVIRONMENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = "daemon"
"""Folder of the home for the sockets and logs of daemons."""

PATIENCE = 20.0
"""Seconds to wait for a daemon's first word, as it may have to start, and for the lock."""

LAST_PATIENCE = 1.0
"""Seconds that an ending daemon waits for the lock; the next one replaces a socket that stays."""

_LISTENER = 3
"""Descriptor of the daemon's listening socket."""

_CANNOT_RUN = 127
_SUFFIX = ".sock"
_ATTEMPTS = 3
_TRY_EVERY = 0.01
_BACKLOG = 128
_LONGEST_PATH = 100
"""Bytes of a path that a socket's address takes on every platform; Linux has room for 107."""

_LONGEST_WORD = 4096
_PEER_OPTION = (0, 1, 76)  # macOS: SOL_LOCAL, LOCAL_PEERCRED, the size of a struct xucred
_NO_ROOM = "it has as many open files as it may, raise the limit (`ulimit -n`)"


class NoDaemon(Exception):
    """No daemon can be used; the argument is the reason, empty where it need not be reported."""


class _Locked(TimeoutError):
    """Another process keeps the lock; the argument is the message."""


class Endpoint:
    """Socket, log and lock of the daemons of one identity."""

    def __init__(
        self,
        home: str,
        name: str,
        patience: float = PATIENCE,
        last_patience: float = LAST_PATIENCE,
    ) -> None:
        """Use the files with `name` in the folder of `home`.

        A daemon's first word and the lock are waited for `patience` seconds, the lock at the end
        `last_patience` seconds.
        """
        self.home = home
        self._patience = patience
        self._last_patience = last_patience
        self.folder = os.path.join(home, FOLDER)
        self.name = name
        self._socket = f"{name}{_SUFFIX}"

    @classmethod
    def of(cls, home: str, identity: dict[str, object]) -> Endpoint:
        """Return the endpoint for `identity`, which a daemon compares with its own as well."""
        return cls(home, f"{zlib.crc32(ascii(identity).encode()):08x}")

    @property
    def log(self) -> str:
        """The path of the daemon's log."""
        return os.path.join(self.folder, f"{self.name}.log")

    def connect_or_start(
        self, hello: bytes, start: Callable[[socket.socket], None]
    ) -> socket.socket:
        """Return a connection to a daemon that accepts `hello`; `start` runs one at a socket.

        Raises:
            NoDaemon: There is none, and none can be started.
        """
        try:
            for _attempt in range(_ATTEMPTS):
                connection = self._connected(start)
                word = _answer(connection, hello)
                if word == WELCOME:
                    return connection
                connection.close()
                if word:
                    raise NoDaemon(_NO_ROOM if word == FULL else "")
        except _Locked as error:
            raise NoDaemon(str(error)) from error
        except TimeoutError as error:
            raise NoDaemon(f"it does not answer within {self._patience:g} s") from error
        except OSError as error:
            raise NoDaemon from error  # the in-process server reports an unusable home
        raise NoDaemon(f"it ends before it answers, {self.log} may tell why")

    def connect(self) -> socket.socket:
        """Return a connection to the process of this user that listens.

        Raises:
            OSError: None listens, or it is another user's.
        """
        return _at(self.folder, self._socket, self._connect_to)

    def listen(self) -> socket.socket:
        """Return a listening socket, for a daemon that no client started.

        Raises:
            OSError: A daemon listens already, or the home cannot be used.
        """
        lock = self._locked_home()
        try:
            self.connect().close()
        except (FileNotFoundError, ConnectionRefusedError):
            return _at(self.folder, self._socket, _listen)
        finally:
            os.close(lock)
        raise FileExistsError("a daemon listens there already")

    def socket_id(self) -> tuple[int, int]:
        """Return the identity of the socket's file, which another daemon's does not share."""
        status = os.stat(os.path.join(self.folder, self._socket))
        return status.st_dev, status.st_ino

    def is_current(self, socket_id: tuple[int, int]) -> bool:
        """Tell whether the socket with `socket_id` is still in its place."""
        try:
            return self.socket_id() == socket_id
        except OSError:
            return False

    def is_stale(self) -> bool:
        """Tell whether there is a socket at which no process listens."""
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False

    def remove_stale(self) -> bool:
        """Remove a socket at which no process listens; return whether there was one.

        Raises:
            OSError: It stays, because another process keeps the lock or the folder is gone.
        """
        lock = self._locked(self._last_patience)
        try:
            if not self.is_stale():
                return False
            os.unlink(os.path.join(self.folder, self._socket))
        finally:
            os.close(lock)
        return True

    def remove(self, socket_id: tuple[int, int]) -> None:
        """Remove the socket, if it is still the one with `socket_id`.

        Raises:
            OSError: It stays, because another process keeps the lock or the folder is gone.
        """
        lock = self._locked(self._last_patience)
        try:
            if self.is_current(socket_id):
                os.unlink(os.path.join(self.folder, self._socket))
        finally:
            os.close(lock)

    def _connected(self, start: Callable[[socket.socket], None]) -> socket.socket:
        try:
            return self.connect()
        except (FileNotFoundError, ConnectionRefusedError):
            pass
        lock = self._locked_home()
        try:
            return self._started(start)
        finally:
            os.close(lock)

    def _started(self, start: Callable[[socket.socket], None]) -> socket.socket:
        """Connect under the lock, where no other process can start a daemon meanwhile."""
        try:
            return self.connect()
        except (FileNotFoundError, ConnectionRefusedError):
            listener = _at(self.folder, self._socket, _listen)
        try:
            start(listener)
            return self.connect()
        finally:
            listener.close()

    def _locked_home(self) -> int:
        make_home(self.home)
        make_private(self.folder)
        return self._locked(self._patience)

    def _locked(self, patience: float) -> int:
        """Return a descriptor of the folder that holds its lock.

        Raises:
            TimeoutError: Another process has kept it for `patience` seconds.
        """
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _lock(descriptor, self.folder, patience)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _connect_to(self, path: str) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(self._patience)
            connection.connect(path)
            if peer(connection) != os.getuid():
                raise PermissionError("the daemon is another user's")
        except OSError:
            connection.close()
            raise
        return connection


def endpoints(home: str) -> list[Endpoint]:
    """Return the endpoint of each socket in `home`."""
    try:
        names = sorted(os.listdir(os.path.join(home, FOLDER)))
    except OSError:
        return []
    return [Endpoint(home, name[: -len(_SUFFIX)]) for name in names if name.endswith(_SUFFIX)]


def peer(connection: socket.socket) -> int:
    """Return the user id of the process at the other end."""
    level, option, size = _PEER_OPTION
    if sys.platform == "linux":
        level, option, size = socket.SOL_SOCKET, socket.SO_PEERCRED, 12
    credentials = connection.getsockopt(level, option, size)
    return int.from_bytes(credentials[4:8], sys.byteorder)  # behind a pid there, a version here


def start(listener: socket.socket, environ: dict[str, str], log: str) -> None:
    """Start a daemon at `listener`; what it prints goes to the file `log`.

    Its environment is `environ` without a client's own variables, credentials above all.

    Raises:
        OSError: There can be no process.
    """
    shared = {name: text for name, text in environ.items() if name not in WINDOW_ENVIRONMENT}
    shared["PATH"] = environ.get("PATH", os.defpath)
    child = os.fork()
    if child == 0:
        _detach(listener.fileno(), shared, log)
    os.waitpid(child, 0)


def _detach(listener: int, environ: dict[str, str], log: str) -> None:
    """Fork once more and become the daemon, so that it has no parent here; never returns."""
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
    """Keep the listening socket, and none of the starter's other descriptors."""
    os.umask(0o077)
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        output = append_to(log)
    except OSError:
        output = nothing
    kept = os.dup(listener)
    for fd, source in enumerate((nothing, output, output, kept)):
        os.dup2(source, fd)
    os.chdir("/")
    for name in os.listdir("/dev/fd"):
        if int(name) > _LISTENER:
            try:
                os.close(int(name))
            except OSError:
                pass


def _at(folder: str, name: str, open_at: Callable[[str], socket.socket]) -> socket.socket:
    """Return `open_at` of the path, from within the folder where the whole path is too long."""
    path = os.path.join(folder, name)
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        return open_at(path)
    here = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.chdir(folder)
        return open_at(name)
    finally:
        os.fchdir(here)
        os.close(here)


def _lock(descriptor: int, folder: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                message = f"another process has kept {folder} locked for {patience:g} s"
                raise _Locked(message) from error
            time.sleep(_TRY_EVERY)
        else:
            return


def _listen(path: str) -> socket.socket:
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


def _answer(connection: socket.socket, hello: bytes) -> bytes:
    """Send `hello` and return the line that answers it, empty if the connection is closed."""
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
