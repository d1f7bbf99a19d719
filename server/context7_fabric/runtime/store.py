"""Opening of the store that the settings name, and the principal of its user."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import time
from functools import partial

from anyio import to_thread

from context7_fabric.errors import StoreError, StoreUnavailable
from context7_fabric.fabric.backend import Backend
from context7_fabric.fabric.backends.circuit_breaker import CircuitBreakerBackend
from context7_fabric.fabric.backends.disk.backend import DiskBackend
from context7_fabric.fabric.backends.disk.schema import UNCOUNTED
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.backends.redis.backend import RedisBackend
from context7_fabric.fabric.backends.standby import StandbyBackend
from context7_fabric.fabric.context import Scope, address
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Clock
from context7_fabric.privacy.principals import (
    SECRET_BYTES,
    SharedSecret,
    principal_of,
    read_secret,
    shared_secret,
)
from context7_fabric.process import can_open
from context7_fabric.relay.folders import make_home
from context7_fabric.settings import Settings

log = logging.getLogger(__name__)

_FILES = 6
"""Open files of a store on disk: a database and its log twice, their shared memory, a lock."""

_COUNTS = tuple(address(Scope.GLOBAL, start) for start in ("meter:", "row", "vector:"))
"""Prefixes of call counts, of rows, which change with every count, and of vectors: no answer or
choice that is kept in memory depends on them."""


def open_backend(settings: Settings) -> Backend:
    """Open the backend that `settings` name; blocks.

    Raises:
        StoreUnavailable: The home cannot be used. (Redis is connected at its first use.)
        OSError: The limit of open files is too low for the store.
    """
    if settings.store.backend == "memory":
        return MemoryBackend()
    if settings.store.backend != "disk":
        return CircuitBreakerBackend(RedisBackend(settings.store.backend))
    try:
        return _open_disk(settings)
    except StoreUnavailable as error:
        if can_open(_FILES):
            raise
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from error


def _open_disk(settings: Settings) -> DiskBackend:
    try:
        make_home(str(settings.store_home))
    except OSError as error:
        raise StoreUnavailable("open", str(error)) from error
    return DiskBackend(settings.store_home / "fabric", uncounted=(*UNCOUNTED, *_COUNTS))


def open_store(settings: Settings, clock: Clock = time.time) -> Fabric:
    """Open the fabric; blocks.

    Where the home cannot be used, the store is in memory, which is logged, and the home is tried
    again; a store that can only be read is read.

    Raises:
        OSError: The limit of open files is too low for the store.
    """
    try:
        backend = open_backend(settings)
        if isinstance(backend, DiskBackend) and (trouble := backend.trouble()) is not None:
            log.error("nothing will be remembered past this process: %s", trouble)
            backend = StandbyBackend(partial(_open_disk, settings), trouble, readable=backend)
    except StoreUnavailable as error:
        log.error(  # noqa: TRY400  # one line is wanted, no traceback
            "nothing will be remembered past this process: the home %s cannot be used (%s);"
            " CONTEXT7_FABRIC_HOME names another",
            settings.store_home,
            error.reason,
        )
        place = f"the home {settings.store_home} cannot be used ({error.reason})"
        why = f"nothing is kept, because {place}"
        backend = StandbyBackend(partial(_open_disk, settings), why)
    return Fabric(backend, clock, value_limit=settings.store.value_limit)


async def read_principal(
    settings: Settings, fabric: Fabric, shared: SharedSecret | None = None
) -> str:
    """Return the principal of the credential in the settings, by the store's secret.

    The secret is in the home or, where machines share a store, in that: `shared`, if it is known.
    """
    credential = settings.upstream.credential
    if settings.principal is not None or credential is None:
        return principal_of(settings.principal, credential, b"")
    if not is_shared(settings):
        secret = await to_thread.run_sync(read_secret, settings.store_home)
    elif shared is not None:
        secret = await shared.value()
    else:
        secret = await _shared_secret(fabric)
    return principal_of(None, credential, secret)


def is_shared(settings: Settings) -> bool:
    """Return whether other machines may use the same store, each with a home of its own."""
    return settings.store.backend not in ("disk", "memory")


async def _shared_secret(fabric: Fabric) -> bytes:
    try:
        return await shared_secret(fabric.backend)
    except StoreError as error:
        fabric.faults.note(error)
        return secrets.token_bytes(SECRET_BYTES)
