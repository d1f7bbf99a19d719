"""Status requests to the daemons of a home, each with a time-out; the answers are checked."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from context7_fabric.relay.endpoint import FOLDER, Endpoint, endpoints
from context7_fabric.relay.folders import HOME, home_of
from context7_fabric.relay.handshake import hello

ANSWER_SECONDS = 5.0
"""Seconds that a daemon may take to answer: it may have to start first."""

_LONGEST_ANSWER = 65536
_CHUNK = 4096
_LOOK_EVERY = 0.05
_FARTHEST = 2**32
"""Latest time in epoch seconds that every platform's calendar takes."""


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """Status of a daemon of any version; `memory` is in bytes, 0 if unknown."""

    pid: Annotated[int, Field(gt=1, lt=2**31)]
    version: str
    since: Annotated[float, Field(ge=0, le=_FARTHEST)]
    windows: int = 0
    idle_seconds: float | None = None
    apps: int = 0
    memory: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, slots=True)
class DaemonProbe:
    """Result of asking the daemon with this log: its status, or the trouble with it."""

    log: str
    status: DaemonStatus | None = None
    trouble: str | None = None


_STATUS = TypeAdapter(DaemonStatus)


def daemon_home() -> str:
    """Return the home whose daemons serve the clients of this environment."""
    return home_of(os.environ)


def probe_all(home: str, purpose: str, seconds: float = ANSWER_SECONDS) -> Iterator[DaemonProbe]:
    """Send `purpose` to every daemon of `home` in turn; each may take `seconds` to answer.

    A socket that refuses connections has no daemon.
    """
    # Without a client's environment: no key is needed for this.
    handshake = hello(purpose, {HOME: home}, "/", None)
    for endpoint in endpoints(home):
        try:
            yield DaemonProbe(endpoint.log, status=_status(endpoint, handshake, seconds))
        except (FileNotFoundError, ConnectionRefusedError):
            continue
        except TimeoutError:
            yield DaemonProbe(endpoint.log, trouble=f"did not answer within {seconds:g} s")
        except ValidationError:
            yield DaemonProbe(endpoint.log, trouble="gave an answer that is not a daemon's")
        except OSError as error:
            trouble = f"could not be asked: {error.strerror or error}"
            yield DaemonProbe(endpoint.log, trouble=trouble)


def folder_trouble(home: str) -> str | None:
    """Return the reason why no daemon can have its socket in `home`, None without one."""
    folder = Path(home, FOLDER)
    try:
        owner = folder.stat().st_uid
        next(folder.iterdir(), None)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{folder} cannot be used: {error.strerror or error}"
    return None if owner == os.getuid() else f"{folder} is another user's"


def wait_for_end(pid: int, seconds: float) -> bool:
    """Wait up to `seconds` for the end of a process, by polling: it is not a child of ours."""
    deadline = time.monotonic() + seconds
    while not _is_gone(pid):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_EVERY)
    return True


def _is_gone(pid: int) -> bool:
    """Tell whether a process has ended; a zombie has."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # the number is another user's process now
        return True
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].startswith(b"Z")
    return False


def _status(endpoint: Endpoint, handshake: bytes, seconds: float) -> DaemonStatus:
    deadline = time.monotonic() + seconds
    with endpoint.connect() as connection:
        connection.settimeout(seconds)
        connection.sendall(handshake)
        return _STATUS.validate_json(_line(connection, deadline))


def _line(connection: socket.socket, deadline: float) -> bytes:
    """Return the input up to a line's end, the end of the stream, or far too many bytes."""
    line = b""
    while b"\n" not in line and len(line) < _LONGEST_ANSWER:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        part = connection.recv(_CHUNK)
        if not part:
            break
        line += part
    return line
