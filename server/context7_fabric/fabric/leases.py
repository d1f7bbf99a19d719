"""Leases of work that one process at a time does, over all processes on a store.

The value of a lease is the signature of its holder, and is only replaced or removed by `swap`.
When the store fails, every caller gets the lease.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from context7_fabric.fabric.backend import Backend
from context7_fabric.fabric.reader import ContextReader


def _machine() -> str:
    """Return the name of this machine and of its space of process ids."""
    space = ""
    with suppress(OSError):
        space = str(Path("/proc/self/ns/pid").readlink())
    return f"{socket.gethostname()} {space}"


_MACHINE = _machine()


def lease_address(name: str) -> str:
    """Return the key of the lease `name` in a medium."""
    return f"lease/{name}"


def new_signature() -> bytes:
    """Return a unique signature of this process."""
    return f"{os.getpid()}.{token_hex(8)} {_MACHINE}".encode()


def is_dead(signature: bytes) -> bool:
    """Return whether the signing process is known to have ended; False on other machines."""
    who, _, machine = signature.decode(errors="replace").partition(" ")
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


class Lease:
    """A claim on a name, with a signature of its own."""

    def __init__(self, backend: Backend, reader: ContextReader, name: str) -> None:
        """Prepare to take `name` in `backend`; `reader` counts its errors."""
        self._backend = backend
        self._guarded = reader.guarded
        self._key = lease_address(name)
        self._signature = new_signature()

    async def take(self, seconds: float) -> bool:
        """Take it for `seconds`, also from a dead holder; return False if a live one has it."""
        if await self._add(seconds):
            return True
        held = await self._guarded(self._backend.get(self._key), otherwise=None)
        if held is None or not is_dead(held.value):
            return False
        return await self._replace(held.value, seconds)

    async def renew(self, seconds: float) -> bool:
        """Keep it for another `seconds`; return False if another holder has it.

        A lease that has expired and is free is taken again.
        """
        return await self._replace(self._signature, seconds) or await self._add(seconds)

    async def release(self) -> None:
        """Release it, if it is still ours."""
        swapped = self._backend.swap(self._key, self._signature, None)
        await self._guarded(swapped, otherwise=False)

    async def _add(self, seconds: float) -> bool:
        added = self._backend.add(self._key, self._signature, expires_in=seconds)
        return await self._guarded(added, otherwise=True)

    async def _replace(self, held: bytes, seconds: float) -> bool:
        swapped = self._backend.swap(self._key, held, self._signature, expires_in=seconds)
        return await self._guarded(swapped, otherwise=True)
