"""Places for things that are kept between uses: so many in all, and no more than a share for one.

Who has none left gets the place that was used longest ago, if nobody uses what is there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Hashable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Generic, TypeAlias, TypeVar

import anyio
from anyio.abc import TaskGroup

from context7_fabric.pool import Pool

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
Opening: TypeAlias = Callable[[], AbstractAsyncContextManager[T]]


@dataclass(slots=True, eq=False)
class _Place:
    """Whose place it is, how many use it now, and how much longer it is kept without a use."""

    holder: str
    users: int = 0
    kept: bool = False
    keeping: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class Places(Generic[K, T]):
    """A thing for each key; each is somebody's who asked for it first."""

    def __init__(self, tasks: TaskGroup, most: int, share: int, linger: float) -> None:
        """Keep up to `most` things in `tasks`, `share` of one holder, `linger` seconds unused."""
        self._tasks = tasks
        self._most = most
        self._share = share
        self._linger = linger
        self._pool = Pool[K, T](tasks, 0)
        self._places: dict[K, _Place] = {}  # used longest ago first

    def __len__(self) -> int:
        """Tell how many places are taken."""
        return len(self._places)

    def make_room(self, holder: str, key: K) -> bool:
        """Tell whether `holder` may use `key`; for a new one an unused place is given up."""
        if key in self._places:
            return True
        own = sum(place.holder == holder for place in self._places.values())
        if own >= self._share:
            return self._give_up(holder)
        return len(self._places) < self._most or self._give_up(None)

    @asynccontextmanager
    async def use(self, holder: str, key: K, open_thing: Opening[T]) -> AsyncGenerator[T]:
        """Yield the thing called `key`, by `open_thing` if there is none; raises what that does."""
        place = self._places[key] = self._places.pop(key, _Place(holder))
        place.users += 1
        place.keeping.deadline = inf
        try:
            async with self._pool.use(key, open_thing) as thing:
                if not place.kept:
                    place.kept = True
                    self._tasks.start_soon(self._keep, key, place, open_thing)
                yield thing
        finally:
            place.users -= 1
            if not place.users:
                place.keeping.deadline = anyio.current_time() + self._linger
            if not place.kept:
                self._forget(key, place)

    async def _keep(self, key: K, place: _Place, open_thing: Opening[T]) -> None:
        """Use a thing until nobody else has for a while."""
        async with self._pool.use(key, open_thing):
            with place.keeping:
                await anyio.sleep_forever()
            self._forget(key, place)

    def _give_up(self, holder: str | None) -> bool:
        """Let go of what nobody uses, of `holder` or anybody; tell whether there was any."""
        for key, place in self._unused():
            if holder in (None, place.holder):
                place.keeping.cancel()
                self._forget(key, place)
                return True
        return False

    def _unused(self) -> Iterator[tuple[K, _Place]]:
        return ((key, each) for key, each in self._places.items() if not each.users)

    def _forget(self, key: K, place: _Place) -> None:
        if self._places.get(key) is place:
            del self._places[key]
