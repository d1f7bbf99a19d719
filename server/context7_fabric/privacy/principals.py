"""Principals: owners of answers, named after their credential without revealing it."""

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

SECRET_KEY: Final = "secret"  # noqa: S105  # the name of an entry
"""The key of the shared secret in a store: outside of all scopes, so that no client reads it."""

DRAFT_SECONDS = 60.0
REFRESH_SECONDS = 60.0
"""Seconds between two reads of a secret whose changes are announced."""

RETRY_SECONDS = 5.0
"""Seconds between two reads where changes are not announced, or the store fails."""


def principal_of(name: str | None, credential: str | None, secret: bytes) -> str:
    """Return the principal: the given name, else a keyed fingerprint of the credential.

    Without either it is `PUBLIC`. The fingerprint is an HMAC-SHA-256 with the secret of this store,
    so it does not reveal the credential and differs from store to store.
    """
    if name is not None:
        return f"name-{_short(quote(name, safe='', errors='surrogatepass'))}"
    if credential is None:
        return PUBLIC
    digest = hmac.new(secret, credential.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return f"key-{digest.hexdigest()[:FINGERPRINT_LENGTH]}"


def _short(name: str) -> str:
    """Return `name`, or a digest of one that is too long for a key."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"!{hashlib.sha256(name.encode()).hexdigest()[:LONGEST_NAME]}"  # ! is never quoted


def owned(key: str, principal: str) -> str:
    """Return the key under which `principal` has its own entry for the public `key`."""
    return key if principal == PUBLIC else f"{key}#{principal}"


def read_secret(home: Path) -> bytes:
    """Return the secret of the store in `home`, created with mode 0600 if it is missing.

    A home that cannot be written gets a secret for this process alone.
    """
    path = home / "secret"
    try:
        return _created(path) or _read(path)
    except OSError:
        return secrets.token_bytes(SECRET_BYTES)


def _read(path: Path) -> bytes:
    """Return the secret in a file, which is made private."""
    status = path.stat()
    if status.st_mode & 0o077 and not path.is_symlink():
        path.chmod(0o600)
    return path.read_bytes()


def _created(path: Path) -> bytes | None:
    """Write a new secret in one step; return None if there is one, also of another process."""
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
    """Return whether there is a complete secret of this user."""
    with suppress(OSError):
        status = path.stat()
        is_ours = sys.platform == "win32" or status.st_uid == os.getuid()
        return is_ours and status.st_size == SECRET_BYTES
    return False


async def shared_secret(backend: Backend, known: bytes | None = None) -> bytes:
    """Return the secret of a shared store; a store without one gets `known` or a new one.

    It is added as a draft that expires, and made permanent by the process that added it. If that
    process dies in between, another secret is created.

    Raises:
        StoreError: The store does not work.
    """
    entry = await backend.get(SECRET_KEY)
    if entry is None:
        fresh = known or secrets.token_bytes(SECRET_BYTES)
        if await backend.add(SECRET_KEY, fresh, expires_in=DRAFT_SECONDS):
            await backend.write([WriteRequest(SECRET_KEY, fresh, disposable=False)])
        entry = await backend.get(SECRET_KEY)
    if entry is None:
        raise StoreUnavailable("get", "it keeps nothing")
    return entry.value


class SharedSecret:
    """The shared secret as this process knows it.

    Until the store returns one it is random: no answer of such a store is served either. `epoch`
    counts its changes, each of which renames all principals with a credential.
    """

    def __init__(
        self,
        backend: Backend,
        faults: StoreErrors,
        listener: ChangeListener,
        retry: float = RETRY_SECONDS,
    ) -> None:
        """Read it from `backend`; `listener` receives its changes."""
        self._backend = backend
        self._faults = faults
        self._listener = listener
        self._retry = retry
        self._stored: bytes | None = None
        self._random = secrets.token_bytes(SECRET_BYTES)
        self._asked = anyio.Event()
        self.epoch = 0

    async def value(self) -> bytes:
        """Return it, after the first read of the store."""
        await self._asked.wait()
        return self._stored or self._random

    async def watch(self) -> None:
        """Read it now and then, and after each change, until cancelled."""
        while True:
            self._listener.take()  # first, so that a change during the read is noticed
            is_known = await self.refresh()
            await self._listener.wait(REFRESH_SECONDS if is_known else self._retry, self._retry)

    async def refresh(self) -> bool:
        """Read it once; return whether the store returned it."""
        is_known = False
        try:
            found = await shared_secret(self._backend, self._stored)
        except StoreError as error:
            self._faults.note(error)
        else:
            is_known = True
            self.epoch += self._asked.is_set() and found != self._stored
            self._stored = found
        self._asked.set()
        return is_known
