"""Visits to the daemons of a home: each has to answer in time, and what it says is only data."""

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

from context7_fabric.relay.endpoint import FOLDER, Endpoint, doors
from context7_fabric.relay.handshake import hello, resolved, working_directory

ANSWER_SECONDS = 5.0
"""How long a daemon may take to tell how it is: it may have to start first."""

_LONGEST_ANSWER = 65536
_CHUNK = 4096
_LOOK_EVERY = 0.05
_FARTHEST = 2**32
"""Seconds since the epoch that every platform's calendar still knows."""


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """What a daemon of whatever version says of itself; `memory` is in bytes, 0 if not told."""

    pid: Annotated[int, Field(gt=1, lt=2**31)]
    version: str
    since: Annotated[float, Field(ge=0, le=_FARTHEST)]
    windows: int = 0
    idle_seconds: float | None = None
    apps: int = 0
    memory: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, slots=True)
class DaemonProbe:
    """What came of a visit behind the log's door: a status, or what was wrong there."""

    log: str
    status: DaemonStatus | None = None
    trouble: str | None = None


_STATUS = TypeAdapter(DaemonStatus)


def home_of_daemons() -> str:
    """Return the home whose daemons the windows of this environment would ask."""
    return resolved(os.environ, working_directory())["CONTEXT7_FABRIC_HOME"]


def visits(home: str, wish: str, seconds: float = ANSWER_SECONDS) -> Iterator[DaemonProbe]:
    """Say `wish` to every daemon of `home`, one after the other.

    Each may take `seconds` to answer. A socket that nobody listens at is no daemon's.
    """
    # No window's environment goes along: no key is needed for this.
    said = hello(wish, {"CONTEXT7_FABRIC_HOME": home}, "/", None)
    for door in doors(home):
        try:
            yield DaemonProbe(door.log, status=_answered(door, said, seconds))
        except (FileNotFoundError, ConnectionRefusedError):
            continue
        except TimeoutError:
            yield DaemonProbe(door.log, trouble=f"did not answer within {seconds:g} s")
        except ValidationError:
            yield DaemonProbe(door.log, trouble="answered what no daemon says")
        except OSError as error:
            yield DaemonProbe(door.log, trouble=f"could not be asked: {error.strerror or error}")


def folder_trouble(home: str) -> str | None:
    """Return why no daemon can have its socket in `home`, None if nothing speaks against it."""
    folder = Path(home, FOLDER)
    try:
        owner = folder.stat().st_uid
        next(folder.iterdir(), None)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{folder} cannot be used: {error.strerror or error}"
    return None if owner == os.getuid() else f"{folder} is another user's"


def ends(pid: int, seconds: float) -> bool:
    """Wait for the end of a process for so long; it is no child of ours, so we have to look."""
    deadline = time.monotonic() + seconds
    while not _is_gone(pid):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_EVERY)
    return True


def _is_gone(pid: int) -> bool:
    """Tell whether a process has ended; one that waits for its parent to hear of it has."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # another user's: the number was given anew
        return True
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].startswith(b"Z")
    return False


def _answered(door: Endpoint, said: bytes, seconds: float) -> DaemonStatus:
    deadline = time.monotonic() + seconds
    with door.connect() as connection:
        connection.settimeout(seconds)
        connection.sendall(said)
        return _STATUS.validate_json(_line(connection, deadline))


def _line(connection: socket.socket, deadline: float) -> bytes:
    """Return what comes until the line's end, the other end's, or far too much of it."""
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
