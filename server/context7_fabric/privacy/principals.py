"""Principals: whose credential an answer was fetched with, named without giving the key away."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import anyio

from context7_fabric.errors import StoreError, StoreUnavailable
from context7_fabric.fabric.backend import Backend, WriteRequest
from context7_fabric.fabric.change_feed import ChangeListener
from context7_fabric.fabric.stats import StoreErrors
from context7_fabric.models import PUBLIC

SECRET_BYTES = 32
FINGERPRINT_LENGTH = 24
LONGEST_NAME = 60


def principal_of(name: str | None, credential: str | None, secret: bytes) -> str:
    """Return the principal: the given name, else a keyed fingerprint of the credential.

    Without either it is `PUBLIC`. The fingerprint is an HMAC-SHA-256 with a secret of this store,
    so that it tells nothing of the key and differs from store to store.
    """
    if name is not None:
        return f"name-{_short(quote(name, safe='', errors='surrogatepass'))}"
    if credential is None:
        return PUBLIC
    digest = hmac.new(secret, credential.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return f"key-{digest.hexdigest()[:FINGERPRINT_LENGTH]}"


def _short(name: str) -> str:
    """Return `name`, where it is too long for a key a digest of it."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"!{hashlib.sha256(name.encode()).hexdigest()[:LONGEST_NAME]}"  # ! is never quoted


def read_secret(home: Path) -> bytes:
    """Return the store's secret, made (mode 0600) when it is not there yet.

    A home that cannot be written gives a secret for this process alone.
    """
    path = home / "secret"
    try:
        return _made(path) or _read(path)
    except OSError:
        return secrets.token_bytes(SECRET_BYTES)


def _read(path: Path) -> bytes:
    """Return the secret, which no other user may read."""
    status = path.stat()
    if status.st_mode & 0o077 and not path.is_symlink():
        path.chmod(0o600)
    return path.read_bytes()


def _made(path: Path) -> bytes | None:
    """Write a new secret in one step; None when there is one, or another process was first."""
    if _is_whole(path):
        return None
    fresh = path.with_name(f"secret.{os.getpid()}.{secrets.token_hex(4)}")
    secret = secrets.token_bytes(SECRET_BYTES)
    try:
        fresh.touch(mode=0o600)
        fresh.write_bytes(secret)
        os.link(fresh, path)
    except FileExistsError:
        if _is_whole(path):
            return None
        fresh.replace(path)  # it was cut short: a crash, a full disk
    except OSError:
        fresh.replace(path)  # a file system without links: the last of two at once wins
    finally:
        fresh.unlink(missing_ok=True)
    return secret


def _is_whole(path: Path) -> bool:
    """Tell whether there is a secret, which this user made."""
    with suppress(OSError):
        status = path.stat()
        is_ours = sys.platform == "win32" or status.st_uid == os.getuid()
        return is_ours and status.st_size == SECRET_BYTES
    return False


def owned(key: str, principal: str) -> str:
    """Return the key under which `principal` has what the public has under `key`."""
    return key if principal == PUBLIC else f"{key}#{principal}"


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
            await backend.write([WriteRequest(PLACE, fresh, disposable=False)])
        entry = await backend.get(PLACE)
    if entry is None:
        raise StoreUnavailable("get", "it keeps nothing")
    return entry.value


class SharedSecret:
    """The secret as this process knows it.

    Until the store tells one it is made up: nothing is served from such a store either. `epoch`
    counts how often it became another, and with it every principal that has a key.
    """

    def __init__(self, backend: Backend, faults: StoreErrors, ear: ChangeListener) -> None:
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
