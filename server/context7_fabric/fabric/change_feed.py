"""Change feed: keys that any process writes to a shared store, where its medium announces them.

A listener of a medium that announces nothing, or fails to, has to look at the store by itself.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import aclosing
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import anyio

from context7_fabric.errors import StoreClosed, StoreError
from context7_fabric.fabric.backend import Backend, WrittenKeys

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Seconds until the medium is listened to again after it failed."""

UNEXPECTED_RETRY_SECONDS = 60.0
"""The same after an error that is no store error."""

MOST_KEYS = 1_000
"""Keys that a listener collects; beyond them it only knows that there were many."""


@runtime_checkable
class AnnouncingBackend(Protocol):
    """A backend that announces the writes of all processes."""

    def announcements(self) -> AsyncGenerator[WrittenKeys]:
        """Yield None once it listens, for all keys may have changed, then the keys written.

        It ends where the medium never announces anything.

        Raises:
            StoreUnavailable: The medium cannot be listened to now.
            StoreClosed: The backend is closed.
        """
        ...


class ChangeListener:
    """Collects the written keys below some prefixes until they are taken."""

    def __init__(self, feed: ChangeFeed, prefixes: Collection[str]) -> None:
        """Collect keys that begin with one of `prefixes`."""
        self._feed = feed
        self._keys: set[str] | None = None
        self._changed = anyio.Event()
        self.prefixes = tuple(prefixes)

    def __enter__(self) -> Self:
        """Return the listener itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening."""
        self._feed.remove(self)

    @property
    def is_live(self) -> bool:
        """Return whether writes are announced now."""
        return self._feed.is_live

    def take(self) -> frozenset[str] | None:
        """Return the keys written since the last call, None for any number of unknown keys."""
        keys = self._keys if self._feed.is_live else None
        self._keys = set()
        if self._changed.is_set():  # an unset event may have waiters
            self._changed = anyio.Event()
        return None if keys is None else frozenset(keys)

    async def wait(self, seconds: float, alone: float) -> None:
        """Return after a write, or after `seconds`; after `alone` where none is announced."""
        with anyio.move_on_after(seconds if self._feed.is_live else alone):
            await self._changed.wait()

    def receive(self, written: WrittenKeys) -> None:
        """Collect the keys that begin with a prefix of this listener."""
        if written is None:
            self._keys = None
        elif not self._add(key for key in written if key.startswith(self.prefixes)):
            return
        self._changed.set()

    def _add(self, keys: Iterable[str]) -> bool:
        """Collect `keys`; return whether there were any."""
        new = set(keys)
        if self._keys is not None:
            self._keys |= new
            if len(self._keys) > MOST_KEYS:
                self._keys = None
        return bool(new)


class ChangeFeed:
    """Passes the announcements of a backend to the listeners of this process."""

    def __init__(
        self,
        backend: Backend,
        retry: float = RETRY_SECONDS,
        unexpected_retry: float = UNEXPECTED_RETRY_SECONDS,
    ) -> None:
        """Listen to `backend` once `run`, and again `retry` seconds after it failed."""
        self._backend = backend
        self._retry = retry
        self._unexpected_retry = unexpected_retry
        self._listeners: list[ChangeListener] = []
        self.is_live = False

    def listen(self, *prefixes: str) -> ChangeListener:
        """Return a listener, a context manager, for keys that begin with one of `prefixes`."""
        listener = ChangeListener(self, prefixes)
        self._listeners.append(listener)
        return listener

    def remove(self, listener: ChangeListener) -> None:
        """Pass nothing more to `listener`."""
        self._listeners.remove(listener)

    async def run(self) -> None:
        """Listen, and retry after failures; return where the medium announces nothing."""
        if not isinstance(self._backend, AnnouncingBackend):
            return
        while True:
            try:
                await self._pass_on(self._backend)
            except StoreClosed:
                return
            except StoreError as error:
                log.debug("writes of other processes are not announced: %s", error)
                await anyio.sleep(self._retry)
            except Exception as error:  # noqa: BLE001  # listeners can still look for themselves
                log.warning("writes of other processes are not announced: %r", error)
                await anyio.sleep(self._unexpected_retry)
            else:
                return

    async def _pass_on(self, backend: AnnouncingBackend) -> None:
        try:
            async with aclosing(backend.announcements()) as announced:
                async for written in announced:
                    self.is_live = True
                    for listener in tuple(self._listeners):
                        listener.receive(written)
        finally:
            self.is_live = False
