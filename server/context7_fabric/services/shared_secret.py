"""The secret that names principals on a store of several machines, which share no home for it.

Whoever knows it keeps it there, also when the store lost everything; where two made one at the same
time, the one that is stored counts.
"""

from __future__ import annotations

import secrets
from typing import Final

import anyio

from context7_fabric.errors import StoreError, StoreUnavailable
from context7_fabric.fabric.backends.base import Backend, Put
from context7_fabric.fabric.gauge import Faults
from context7_fabric.fabric.news import Ear
from context7_fabric.services.principals import SECRET_BYTES

PLACE: Final = "secret"
"""Where it lies: below no scope, so that it is shown to nobody."""

DRAFT_SECONDS = 60.0
LOOK_EVERY = 5.0
SELDOM = 60.0
"""Seconds between two looks whether it is still there; seldom where its change would be heard."""


async def shared_secret(backend: Backend, known: bytes | None = None) -> bytes:
    """Return the secret of a store; where there is none, `known` or a new one is it from now on.

    Whoever adds the draft of it makes it stay; should that one die on the way, another is made.

    Raises:
        StoreError: The store does not work.
    """
    entry = await backend.get(PLACE)
    if entry is None:
        fresh = known or secrets.token_bytes(SECRET_BYTES)
        if await backend.add(PLACE, fresh, expires_in=DRAFT_SECONDS):
            await backend.write([Put(PLACE, fresh, disposable=False)])
        entry = await backend.get(PLACE)
    if entry is None:
        raise StoreUnavailable("get", "it keeps nothing")
    return entry.value


class SharedSecret:
    """The secret as this process knows it.

    Until the store tells one it is made up: nothing is served from such a store either. `epoch`
    counts how often it became another, and with it every principal that has a key.
    """

    def __init__(self, backend: Backend, faults: Faults, ear: Ear) -> None:
        """Ask `backend`; `ear` hears when somebody writes it."""
        self._backend = backend
        self._faults = faults
        self._ear = ear
        self._stored: bytes | None = None
        self._made_up = secrets.token_bytes(SECRET_BYTES)
        self._asked = anyio.Event()
        self.epoch = 0

    async def value(self) -> bytes:
        """Return it, once the store was asked."""
        await self._asked.wait()
        return self._stored or self._made_up

    async def keep(self) -> None:
        """Ask for it now and then, and whenever it was written; runs until it is cancelled."""
        while True:
            self._ear.take()  # first: what is written while the reply is on its way is heard
            told = await self.look()
            await self._ear.wait(SELDOM if told else LOOK_EVERY, LOOK_EVERY)

    async def look(self) -> bool:
        """Ask for it once; return whether the store told."""
        told = False
        try:
            found = await shared_secret(self._backend, self._stored)
        except StoreError as error:
            self._faults.note(error)
        else:
            told = True
            self.epoch += self._asked.is_set() and found != self._stored
            self._stored = found
        self._asked.set()
        return told
