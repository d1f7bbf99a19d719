"""Which principals' indexes one worker has: those asked last, as far as there is room for them.

Each is kept by a task, and all take turns, so that a worker with many of them has one batch of rows
to take in before it comes to a question, as a worker with one has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
from anyio import CancelScope
from anyio.abc import TaskGroup

from context7_fabric.registry.worker.mirror import Asked, Mirror
from context7_fabric.registry.worker.wire import Message

_RELEASE_SECONDS = 60.0


class Keeper:
    """The indexes of one worker."""

    def __init__(
        self,
        tasks: TaskGroup,
        worker: Asked,
        model: str,
        room: int | None,
        told: Callable[[], None],
    ) -> None:
        """Keep indexes of up to `room` rows together (None: of all) in `worker`, in `tasks`.

        Calls `told` whenever one is settled or let go of.
        """
        self._tasks = tasks
        self._worker = _Turns(worker)
        self._model = model
        self._room = room
        self._told = told
        self._kept: dict[Mirror, CancelScope] = {}  # the one used last comes last
        self.useful = False
        """Whether any index was ever as it should be."""

    def __contains__(self, mirror: Mirror) -> bool:
        """Tell whether the index of `mirror` is kept, or begun."""
        return mirror in self._kept

    def use(self, mirror: Mirror) -> None:
        """Keep the index of `mirror`; those that were not used for longest make room."""
        life = self._kept.pop(mirror, None)
        if life is None:
            if any(each.principal == mirror.principal for each in self._kept):
                return  # one that came before, and is still to be let go of, has this name
            life = CancelScope()
            self._tasks.start_soon(self._keep, mirror, life)
        self._kept[mirror] = life
        self._make_room()

    def let_go(self, mirror: Mirror) -> None:
        """Have the worker forget the index of `mirror`, if it has one."""
        if life := self._kept.get(mirror):
            life.cancel()

    def _make_room(self) -> None:
        if self._room is not None:
            mirrors = [each for each, life in self._kept.items() if not life.cancel_called]
            for mirror in mirrors[: _surplus([len(each) for each in mirrors], self._room)]:
                self.let_go(mirror)

    async def _keep(self, mirror: Mirror, life: CancelScope) -> None:
        with life:
            await mirror.keep(self._worker, self._model, self._settled)
        await self._worker.request("release", _RELEASE_SECONDS, principal=mirror.principal)
        # Only now, so that whoever uses it meanwhile does not have it filled and then forgotten.
        del self._kept[mirror]
        self._told()

    def _settled(self) -> None:
        self.useful = True
        self._told()


class _Turns:
    """A worker that is asked one thing at a time."""

    def __init__(self, worker: Asked) -> None:
        self._worker = worker
        self._turn = anyio.Lock()

    async def request(self, do: str, seconds: float, **details: Any) -> Message | None:  # noqa: ANN401  # JSON
        async with self._turn:
            return await self._worker.request(do, seconds, **details)

    def end(self) -> None:
        self._worker.end()


def _surplus(sizes: Sequence[int], room: int) -> int:
    """Return how many of the first there is no room for; there is always room for the last."""
    taken = 0
    for index, size in reversed(list(enumerate(sizes))):
        taken += size
        if taken > room and index < len(sizes) - 1:
            return index + 1
    return 0
