"""Principals: whose credential an answer was fetched with, named without giving the key away."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

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
