"""What was written to a store that several processes share, as far as its medium announces it.

A medium that announces nothing, or lately failed to, makes everybody look for themselves.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import aclosing
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import anyio

from context7_fabric.errors import StoreClosed, StoreError
from context7_fabric.fabric.backend import Backend, Written

log = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0
"""Seconds until the medium is listened to again after it failed."""

LATER_SECONDS = 60.0
"""The same after a failure that nobody has foreseen."""

MOST_KEYS = 1_000
"""Keys that an ear keeps; of more it knows only that there were many."""


@runtime_checkable
class AnnouncingBackend(Protocol):
    """A backend that tells its processes what any of them writes."""

    def announcements(self) -> AsyncGenerator[Written]:
        """Yield what was written; first, when listening has begun, that it may be anything.

        It ends where nothing can ever be heard.

        Raises:
            StoreUnavailable: Nothing can be heard now.
            StoreClosed: The backend is closed.
        """
        ...


class ChangeListener:
    """Keeps the keys below some prefixes that were written since somebody last took them."""

    def __init__(self, news: ChangeFeed, prefixes: Collection[str]) -> None:
        """Hear of keys that begin with one of `prefixes`."""
        self._news = news
        self._keys: set[str] | None = None
        self._heard = anyio.Event()
        self.prefixes = tuple(prefixes)

    def __enter__(self) -> Self:
        """Return the ear itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hear no more."""
        self._news.drop(self)

    @property
    def is_live(self) -> bool:
        """Tell whether anything can be heard now."""
        return self._news.is_live

    def take(self) -> frozenset[str] | None:
        """Return the keys written since the last call, None where it may have been any."""
        keys = self._keys if self._news.is_live else None
        self._keys = set()
        if self._heard.is_set():  # else somebody may still wait for it
            self._heard = anyio.Event()
        return None if keys is None else frozenset(keys)

    async def wait(self, seconds: float, alone: float) -> None:
        """Return when something was written, after `seconds` at the latest.

        After `alone` seconds while nothing can be heard.
        """
        with anyio.move_on_after(seconds if self._news.is_live else alone):
            await self._heard.wait()

    def hear(self, written: Written) -> None:
        """Note what was written, if it is of interest here."""
        if written is None:
            self._keys = None
        elif not self._add(key for key in written if key.startswith(self.prefixes)):
            return
        self._heard.set()

    def _add(self, keys: Iterable[str]) -> bool:
        """Keep `keys`; tell whether there were any."""
        new = set(keys)
        if self._keys is not None:
            self._keys |= new
            if len(self._keys) > MOST_KEYS:
                self._keys = None
        return bool(new)


class ChangeFeed:
    """Hears what every process writes to a store, and tells the ears of this one."""

    def __init__(self, backend: Backend) -> None:
        """Listen to `backend` once `run`."""
        self._backend = backend
        self._ears: list[ChangeListener] = []
        self.is_live = False

    def ear(self, *prefixes: str) -> ChangeListener:
        """Return an ear for keys that begin with one of `prefixes`, to be left in the end."""
        ear = ChangeListener(self, prefixes)
        self._ears.append(ear)
        return ear

    def drop(self, ear: ChangeListener) -> None:
        """Tell `ear` nothing more."""
        self._ears.remove(ear)

    async def run(self) -> None:
        """Listen, and again after a failure; returns where nothing can ever be heard."""
        if not isinstance(self._backend, AnnouncingBackend):
            return
        while True:
            try:
                await self._listen(self._backend)
            except StoreClosed:
                return
            except StoreError as error:
                log.debug("what others write is not heard: %s", error)
                await anyio.sleep(AGAIN_SECONDS)
            except Exception as error:  # noqa: BLE001  # whoever cannot hear can still look
                log.warning("what others write is not heard: %r", error)
                await anyio.sleep(LATER_SECONDS)
            else:
                return

    async def _listen(self, backend: AnnouncingBackend) -> None:
        try:
            async with aclosing(backend.announcements()) as announced:
                async for written in announced:
                    self.is_live = True
                    for ear in tuple(self._ears):
                        ear.hear(written)
        finally:
            self.is_live = False
