"""Who holds a lease, told so that another process of the same machine sees when it has died.

A signature is the process's id, a token, and the machine: `4711.9f2c… host pid:[…]`. Earlier
releases wrote no token; to them a signature with one is somebody's who lives.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from secrets import token_hex


def _machine() -> str:
    """Name where process ids mean what they mean here: this machine, this sandbox."""
    space = ""
    with suppress(OSError):
        space = str(Path("/proc/self/ns/pid").readlink())
    return f"{socket.gethostname()} {space}"


_MACHINE = _machine()


def lease_address(name: str) -> str:
    """Return the key under which the lease `name` lies in a medium."""
    return f"lease/{name}"


def holder() -> bytes:
    """Return how this process signs a lease, each in a way of its own."""
    return f"{os.getpid()}.{token_hex(8)} {_MACHINE}".encode()


def has_died(signed: bytes) -> bool:
    """Tell whether the process that signed so is known to be gone; of other machines' none is."""
    who, _, machine = signed.decode(errors="replace").partition(" ")
    pid = who.partition(".")[0]
    if machine != _MACHINE or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return False
