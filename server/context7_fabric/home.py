"""What the settings' home holds: the store, and the name of whom its user's answers belong to."""

from __future__ import annotations

import logging
import secrets
import time

from anyio import to_thread

from context7_fabric.errors import StoreError, StoreUnavailable
from context7_fabric.fabric.backends.base import Backend
from context7_fabric.fabric.backends.disk import DiskBackend
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.backends.redis import RedisBackend
from context7_fabric.fabric.backends.spared import Spared
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Clock
from context7_fabric.services.principals import (
    SECRET_BYTES,
    principal_of,
    read_secret,
    shared_secret,
)
from context7_fabric.settings import Settings

log = logging.getLogger(__name__)


def open_backend(settings: Settings) -> Backend:
    """Open the medium that `settings` name; blocks.

    Raises:
        StoreUnavailable: The home cannot be used. (Redis is connected to when it is used.)
    """
    if settings.store.backend == "memory":
        return MemoryBackend()
    if settings.store.backend != "disk":
        return Spared(RedisBackend(settings.store.backend))
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable("open", str(error)) from error
    return DiskBackend(settings.home / "fabric")


def open_store(settings: Settings, clock: Clock = time.time) -> Fabric:
    """Open the fabric; blocks. Without a home that can be used it is in memory, which is logged."""
    try:
        backend = open_backend(settings)
    except StoreUnavailable as error:
        log.error(  # noqa: TRY400  # one line is wanted, no traceback
            "nothing will be remembered past this process: the home %s cannot be used (%s);"
            " CONTEXT7_FABRIC_HOME names another",
            settings.home,
            error.reason,
        )
        backend = MemoryBackend()
    return Fabric(backend, clock, value_limit=settings.store.value_limit)


async def read_principal(settings: Settings, fabric: Fabric) -> str:
    """Return whose credential the settings hold; the store's secret is read for it."""
    credential = settings.upstream.credential
    needed = settings.principal is None and credential is not None
    secret = await _read_secret(settings, fabric) if needed else b""
    return principal_of(settings.principal, credential, secret)


async def _read_secret(settings: Settings, fabric: Fabric) -> bytes:
    """Return the secret of a home, or of the Redis that machines share, for they share no home."""
    if settings.store.backend in ("disk", "memory"):
        return await to_thread.run_sync(read_secret, settings.home)
    try:
        return await shared_secret(fabric.backend)
    except StoreError as error:
        # Without the store nothing is served from it either: what we store later, we alone find.
        fabric.faults.note(error)
        return secrets.token_bytes(SECRET_BYTES)
