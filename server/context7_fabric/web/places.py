"""Places for things that are kept between uses: so many in all, and no more than a share for one.

Who has none left gets the place that was used longest ago, if nobody uses what is there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Hashable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, TypeAlias, TypeVar

from anyio.abc import TaskGroup

from context7_fabric.pool import Pool

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
Opening: TypeAlias = Callable[[], AbstractAsyncContextManager[T]]


class Places(Generic[K, T]):
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
