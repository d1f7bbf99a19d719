"""Things that several users share: opened for the first, closed a while after the last has left."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator, Hashable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

import anyio
from anyio.abc import TaskGroup

from context7_fabric.process import exhausted

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Slot(Generic[T]):
    """One thing, from the wish for it to its end."""

    things: list[T] = field(default_factory=list)  # none before it is open
    error: Exception | None = None
    users: int = 0
    let_go: bool = False
    ready: anyio.Event = field(default_factory=anyio.Event)
    scopes: set[anyio.CancelScope] = field(default_factory=set)  # of those who use it
    changed: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)

    @property
    def thing(self) -> T:
        """What is held; raises why there is none."""
        if self.error is not None:
            raise self.error
        if not self.things:
            raise RuntimeError("it is being closed")
        return self.things[0]

    @contextmanager
    def scope(self) -> Generator[anyio.CancelScope]:
        """Run a block that ends when the thing fails."""
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

    def count(self, change: int) -> None:
        self.users += change
        self.tell()

    def tell(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


class Pool(Generic[K, T]):
    """Each thing is held by a task of its own, for it must be opened and closed by the same."""

    def __init__(self, tasks: TaskGroup, linger: float | None) -> None:
        """Hold things in `tasks`, for `linger` seconds (None: ever) after their last use."""
        self._tasks = tasks
        self._linger = linger
        self._slots: dict[K, _Slot[T]] = {}
        self._held: list[_Slot[T]] = []
        self._closing = False

    @asynccontextmanager
    async def use(
        self, key: K, open_thing: Callable[[], AbstractAsyncContextManager[T]]
    ) -> AsyncGenerator[T]:
        """Yield the thing called `key`, by `open_thing` if there is none; raises what that does.

        A thing that fails later ends the block of each of its users, with that error.
        """
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = _Slot()
            self._held.append(slot)
            self._tasks.start_soon(self._hold, key, slot, open_thing)
        slot.count(+1)
        try:
            await slot.ready.wait()
            with slot.scope() as scope:
                yield slot.thing
            if scope.cancelled_caught and slot.error is not None:
                raise slot.error
        finally:
            slot.count(-1)

    def let_go(self, key: K) -> bool:
        """Close the thing called `key` soon, if there is one and nobody uses it; tell whether."""
        slot = self._slots.get(key)
        if slot is None or slot.users:
            return False
        self._forget(key, slot)
        slot.let_go = True
        slot.tell()
        return True

    async def aclose(self) -> None:
        """Close everything, used or not; also wait for what is closing already."""
        self._closing = True
        held = tuple(self._held)
        for slot in held:
            slot.tell()
        for slot in held:
            await slot.ended.wait()

    def __len__(self) -> int:
        """Tell how many things are open."""
        return len(self._slots)

    @property
    def things(self) -> list[T]:
        """The things that can be used now."""
        return [slot.thing for slot in self._slots.values() if slot.things]

    def __contains__(self, key: K) -> bool:
        """Tell whether the thing called `key` is open."""
        return key in self._slots

    async def _hold(
        self, key: K, slot: _Slot[T], open_thing: Callable[[], AbstractAsyncContextManager[T]]
    ) -> None:
        try:
            async with open_thing() as thing:
                slot.things.append(thing)
                slot.ready.set()
                await self._unused(slot)
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

    async def _unused(self, slot: _Slot[T]) -> None:
        """Wait until nobody has used it for a while, it is let go, or everything is closed."""
        while not (self._closing or slot.let_go):
            changed = slot.changed
            with anyio.move_on_after(self._linger if slot.users == 0 else None) as rest:
                await changed.wait()
            if rest.cancelled_caught and slot.users == 0:
                return

    def _forget(self, key: K, slot: _Slot[T]) -> None:
        if self._slots.get(key) is slot:
            del self._slots[key]


Opening: TypeAlias = Callable[[], AbstractAsyncContextManager[T]]


class BoundedPool(Generic[K, T]):
    """A thing for each key; each is somebody's who asked for it first."""

    def __init__(self, tasks: TaskGroup, most: int, share: int, linger: float) -> None:
        """Keep up to `most` things in `tasks`, `share` of one holder, `linger` seconds unused."""
        self._most = most
        self._share = share
        self._pool = Pool[K, T](tasks, linger)
        self._holders: dict[K, str] = {}  # used longest ago first; some may be closed meanwhile

    def __len__(self) -> int:
        """Tell how many places are taken."""
        return len(self._pool)

    def make_room(self, holder: str, key: K) -> bool:
        """Tell whether `holder` may use `key`; for a new one an unused place is given up."""
        if key in self._pool:
            return True
        self._holders = {each: of for each, of in self._holders.items() if each in self._pool}
        own = [each for each, of in self._holders.items() if of == holder]
        if len(own) >= self._share:
            return self._give_up(own)
        return len(self._pool) < self._most or self._give_up(self._holders)

    @asynccontextmanager
    async def use(self, holder: str, key: K, open_thing: Opening[T]) -> AsyncGenerator[T]:
        """Yield the thing called `key`, by `open_thing` if there is none; raises what that does."""
        self._holders[key] = self._holders.pop(key, holder)
        async with self._pool.use(key, open_thing) as thing:
            yield thing

    def _give_up(self, keys: Iterable[K]) -> bool:
        """Let go of the first of `keys` that nobody uses; tell whether there was any."""
        return any(self._pool.let_go(key) for key in keys)
