"""Leases of work that one at a time does, over all processes on a store.

A lease's value names who holds it, and is replaced or removed only while it stands there. A store
that fails lets everybody go.
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


class Lease:
    """One holder's claim on a name, signed in a way that no other is."""

    def __init__(self, backend: Backend, reader: ContextReader, name: str) -> None:
        """Claim `name` in `backend`, whose faults `reader` notes; nothing is taken yet."""
        self._backend = backend
        self._guarded = reader.guarded
        self._key = lease_address(name)
        self._signed = holder()

    async def take(self, seconds: float) -> bool:
        """Take it for `seconds`, from one who has died as well; False when one who lives has it."""
        if await self._added(seconds):
            return True
        held = await self._guarded(self._backend.get(self._key), otherwise=None)
        if held is None or not has_died(held.value):
            return False
        return await self._replaced(held.value, seconds)

    async def renew(self, seconds: float) -> bool:
        """Keep it for another `seconds`; False when it is another's by now.

        One that has ended meanwhile, and that nobody took, is taken again.
        """
        return await self._replaced(self._signed, seconds) or await self._added(seconds)

    async def release(self) -> None:
        """Give it back, if it is still ours."""
        swapped = self._backend.swap(self._key, self._signed, None)
        await self._guarded(swapped, otherwise=False)

    async def _added(self, seconds: float) -> bool:
        added = self._backend.add(self._key, self._signed, expires_in=seconds)
        return await self._guarded(added, otherwise=True)

    async def _replaced(self, held: bytes, seconds: float) -> bool:
        swapped = self._backend.swap(self._key, held, self._signed, expires_in=seconds)
        return await self._guarded(swapped, otherwise=True)
