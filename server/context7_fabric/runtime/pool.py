"""Pools of shared resources: opened for the first user, closed a while after the last has left."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator, Hashable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from context7_fabric.process import exhausted

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Slot(Generic[T]):
    """One resource, from its first request to its end."""

    resources: list[T] = field(default_factory=list)  # empty before it is open
    error: Exception | None = None
    users: int = 0
    evicted: bool = False
    ready: anyio.Event = field(default_factory=anyio.Event)
    scopes: set[anyio.CancelScope] = field(default_factory=set)  # of its users
    changed: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)

    @property
    def resource(self) -> T:
        """The open resource; raises the error that prevents it."""
        if self.error is not None:
            raise self.error
        if not self.resources:
            raise RuntimeError("it is being closed")
        return self.resources[0]

    @contextmanager
    def scope(self) -> Generator[anyio.CancelScope]:
        """Run a block that ends when the resource fails."""
        with anyio.CancelScope() as scope:
            self.scopes.add(scope)
            try:
                yield scope
            finally:
                self.scopes.discard(scope)

    def fail(self, error: Exception) -> None:
        self.error = error
        for scope in self.scopes:
            scope.cancel()

    def notify(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


class Pool(Generic[K, T]):
    """Shared resources by key; a task holds each, for the same task must open and close it."""

    def __init__(self, tasks: TaskGroup, linger: float | None) -> None:
        """Hold resources in `tasks`, for `linger` seconds (None: ever) after their last use."""
        self._tasks = tasks
        self._linger = linger
        self._slots: dict[K, _Slot[T]] = {}
        self._held: list[_Slot[T]] = []
        self._closing = False

    @asynccontextmanager
    async def use(
        self, key: K, open_resource: Callable[[], AbstractAsyncContextManager[T]]
    ) -> AsyncGenerator[T]:
        """Yield the resource under `key`, opened by `open_resource` where there is none.

        Errors of opening are raised here. A resource that fails later ends the block of each of its
        users, with that error.
        """
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = _Slot()
            self._held.append(slot)
            self._tasks.start_soon(self._hold, key, slot, open_resource)
        slot.users += 1
        slot.notify()
        try:
            await slot.ready.wait()
            with slot.scope() as scope:
                yield slot.resource
            if scope.cancelled_caught and slot.error is not None:
                raise slot.error
        finally:
            slot.users -= 1
            slot.notify()

    def evict(self, key: K) -> bool:
        """Close the resource under `key` soon if it is unused; return whether it is."""
        slot = self._slots.get(key)
        if slot is None or slot.users:
            return False
        self._forget(key, slot)
        slot.evicted = True
        slot.notify()
        return True

    async def aclose(self) -> None:
        """Close everything, used or not, and wait until it is closed."""
        self._closing = True
        held = tuple(self._held)
        for slot in held:
            slot.notify()
        for slot in held:
            await slot.ended.wait()

    def __len__(self) -> int:
        """Return the number of resources."""
        return len(self._slots)

    @property
    def resources(self) -> list[T]:
        """The resources that are open."""
        return [slot.resource for slot in self._slots.values() if slot.resources]

    async def _hold(
        self, key: K, slot: _Slot[T], open_resource: Callable[[], AbstractAsyncContextManager[T]]
    ) -> None:
        try:
            async with open_resource() as resource:
                slot.resources.append(resource)
                slot.ready.set()
                await self._until_unused(slot)
                self._forget(key, slot)
        except Exception as error:
            limit = exhausted(error)
            if limit is not None:
                log.error("what several clients share has failed: %s", limit)  # noqa: TRY400  # one line
            elif slot.ready.is_set():
                log.exception("something that is shared has failed")
            slot.fail(error)
        finally:
            self._forget(key, slot)
            self._held.remove(slot)
            slot.ready.set()
            slot.ended.set()

    async def _until_unused(self, slot: _Slot[T]) -> None:
        """Wait until it was unused for a while, is evicted, or the pool is closed."""
        while not (self._closing or slot.evicted):
            changed = slot.changed
            with anyio.move_on_after(self._linger if slot.users == 0 else None) as pause:
                await changed.wait()
            if pause.cancelled_caught and slot.users == 0:
                return

    def _forget(self, key: K, slot: _Slot[T]) -> None:
        if self._slots.get(key) is slot:
            del self._slots[key]


class BoundedPool(Pool[K, T]):
    """A pool with a bound for all, and a share for each holder; the first to ask holds a key."""

    def __init__(self, tasks: TaskGroup, most: int, share: int, linger: float) -> None:
        """Keep up to `most` resources, `share` of one holder, `linger` seconds after their use."""
        super().__init__(tasks, linger)
        self._most = most
        self._share = share
        self._holders: dict[K, str] = {}  # used longest ago first; some may be closed meanwhile

    def make_room(self, holder: str, key: K) -> bool:
        """Return whether `holder` may use `key` now; a new one may evict an unused resource."""
        if key not in self._slots and not self._has_room(holder):
            return False
        self._holders[key] = self._holders.pop(key, holder)
        return True

    def _has_room(self, holder: str) -> bool:
        self._holders = {key: of for key, of in self._holders.items() if key in self._slots}
        own = [key for key, of in self._holders.items() if of == holder]
        if len(own) >= self._share:
            return self._evict_one(own)
        return len(self._slots) < self._most or self._evict_one(self._holders)

    def _evict_one(self, keys: Iterable[K]) -> bool:
        """Evict the first of `keys` that is unused; return whether there is one."""
        return any(self.evict(key) for key in keys)
