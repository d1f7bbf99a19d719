"""Principals: whose credential an answer was fetched with, named without giving the key away."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from urllib.parse import quote

from context7_fabric.errors import StoreUnavailable
from context7_fabric.fabric.backends.base import Backend, Put
from context7_fabric.models import PUBLIC

SECRET_BYTES = 32
DRAFT_SECONDS = 60.0
_SHARED = "secret"
"""Where a shared store keeps its secret: below no scope, so that it is shown to nobody."""

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
        return _made(path) or path.read_bytes()
    except OSError:
        return secrets.token_bytes(SECRET_BYTES)


async def shared_secret(backend: Backend) -> bytes:
    """Return the secret that all machines on a store share, made when there is none yet.

    Whoever adds the draft of it makes it stay; should that one die on the way, another is made.

    Raises:
        StoreError: The store does not work.
    """
    entry = await backend.get(_SHARED)
    if entry is None:
        fresh = secrets.token_bytes(SECRET_BYTES)
        if await backend.add(_SHARED, fresh, expires_in=DRAFT_SECONDS):
            await backend.write([Put(_SHARED, fresh, disposable=False)])
        entry = await backend.get(_SHARED)
    if entry is None:
        raise StoreUnavailable("get", "it keeps nothing")
    return entry.value


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
    return path.exists() and path.stat().st_size == SECRET_BYTES
