"""The worker as suggestions see it: asked when it is there, started when it is not.

All principals of a process share one, which loads the model once; each has an index of its own
there. A worker lives for as long as it is used. Its end, by idleness, by a crash or because it
hangs, shows here only in that nothing is near; the next question starts another, unless those
before were of no use.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import anyio.to_thread
from anyio import CancelScope
from anyio.abc import TaskGroup

from context7_fabric.settings.values import SuggestionSettings
from context7_fabric.suggestions.index_sync import IndexSync, WorkerRequests
from context7_fabric.suggestions.worker.process import WorkerProcess, open_link
from context7_fabric.suggestions.worker.wire import Message

_RELEASE_SECONDS = 60.0


class WorkerIndexes:
    """The indexes of one worker."""

    def __init__(
        self,
        tasks: TaskGroup,
        worker: WorkerRequests,
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
        self._kept: dict[IndexSync, CancelScope] = {}  # the one used last comes last
        self.useful = False
        """Whether any index was ever as it should be."""

    def __contains__(self, mirror: IndexSync) -> bool:
        """Tell whether the index of `mirror` is kept, or begun."""
        return mirror in self._kept

    def use(self, mirror: IndexSync) -> None:
        """Keep the index of `mirror`; those that were not used for longest make room."""
        life = self._kept.pop(mirror, None)
        if life is None:
            if any(each.principal == mirror.principal for each in self._kept):
                return  # one that came before, and is still to be let go of, has this name
            life = CancelScope()
            self._tasks.start_soon(self._keep, mirror, life)
        self._kept[mirror] = life
        self._make_room()

    def let_go(self, mirror: IndexSync) -> None:
        """Have the worker forget the index of `mirror`, if it has one."""
        if life := self._kept.get(mirror):
            life.cancel()

    def _make_room(self) -> None:
        if self._room is not None:
            mirrors = [each for each, life in self._kept.items() if not life.cancel_called]
            for mirror in mirrors[: _surplus([len(each) for each in mirrors], self._room)]:
                self.let_go(mirror)

    async def _keep(self, mirror: IndexSync, life: CancelScope) -> None:
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

    def __init__(self, worker: WorkerRequests) -> None:
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


log = logging.getLogger(__name__)

WorkerState = Literal["off", "idle", "starting", "ready", "trouble"]
"""How it is with model and index: not wanted, not needed lately, on their way, in use, not had."""

_HELLO_SECONDS = 60.0
_FETCH_SECONDS = 3600.0
_MOST_SLOW = 3
"""After so many questions in a row without an answer in time a worker counts as hanging."""

_FIRST_REST, _LONGEST_REST = 5.0, 300.0
NO_MODEL = "there is no embedding model: `context7-fabric model fetch` downloads it"


class WorkerClient:
    """At most one worker at a time, which has the indexes that mirrors keep."""

    def __init__(self, tasks: TaskGroup, settings: SuggestionSettings) -> None:
        """Run workers in `tasks`."""
        self.settings = settings
        self._tasks = tasks
        self._fetching = anyio.Lock()
        self._wanted: dict[IndexSync, None] = {}
        self._life: anyio.CancelScope | None = None
        self._link: WorkerProcess | None = None
        self._keeper: WorkerIndexes | None = None
        self._news = anyio.Event()
        self._closed = False
        self._useless = 0
        self._rest_until = 0.0
        self._slow = 0
        self.trouble: str | None = None
        """Why there is no worker, where that is for a reason."""

    @property
    def pid(self) -> int | None:
        """The process id of the worker that is ready, None while none is."""
        return self._link.pid if self._link else None

    def state(self, mirror: IndexSync) -> WorkerState:
        """Tell how it is with the index of `mirror`; one being filled is still on its way."""
        if mirror.complete:
            return "ready"
        if mirror in self._wanted or (self._keeper is not None and mirror in self._keeper):
            return "starting"
        return "trouble" if self.trouble or self._useless else "idle"

    def wake(self, mirror: IndexSync) -> bool:
        """Have the index of `mirror` kept, by a worker that is started if there is none.

        Tells whether one is there or on its way.
        """
        if mirror.left:
            return False
        if self._life is None and not self._closed and anyio.current_time() >= self._rest_until:
            self._life = anyio.CancelScope()
            self._tasks.start_soon(self._live, self._life)
        if self._keeper is not None:
            self._keeper.use(mirror)
        elif self._life is not None:
            self._wanted[mirror] = None
        return self._life is not None

    def leave(self, mirror: IndexSync) -> None:
        """Have the index of `mirror` let go of for good; the worker lives on."""
        mirror.left = True
        self._wanted.pop(mirror, None)
        if self._keeper is not None:
            self._keeper.let_go(mirror)

    async def near(
        self, mirror: IndexSync, text: str, limit: int
    ) -> list[tuple[str, float]] | None:
        """Return the keys of the rows of `mirror` nearest to `text`, the nearest first, how near.

        None when the index is not ready, or not in time; where there is none, one is made.
        """
        link = self._link if self.wake(mirror) else None
        if link is None or not link.open or not mirror.complete:
            return None
        asked = {"principal": mirror.principal, "text": text, "limit": limit}
        reply = await link.request("query", self.settings.patience, **asked)
        self._slow = 0 if reply else self._slow + 1
        if self._slow >= _MOST_SLOW:
            link.end()
        if reply is None or "error" in reply:
            return None
        return [(key, score) for key, score in reply["near"]]

    async def count(self, mirror: IndexSync) -> int | None:
        """Return how many rows the index of `mirror` holds, None while none is ready or in time."""
        link = self._link
        if link is None or not link.open or not mirror.complete:
            return None
        seconds, principal = self.settings.patience, mirror.principal
        reply = await link.request("status", seconds, principal=principal)
        return reply.get("count") if reply else None

    async def fetch(self) -> None:
        """Download the model if it is missing and may be; takes minutes, and fails quietly."""
        async with self._fetching:
            if self.settings.fetches and not await self._has_model():
                await self._fetch()

    async def settle(self, mirror: IndexSync, seconds: float) -> bool:
        """Start a worker if need be, and wait until the index of `mirror` equals its rows.

        False when that is not so within `seconds`, or no worker can be had.
        """
        with anyio.move_on_after(seconds):
            while not mirror.settled:
                if not self.wake(mirror):
                    return False
                await self._news.wait()
        return mirror.settled

    async def aclose(self) -> None:
        """End the worker, and start none any more."""
        self._closed = True
        while self._life is not None:
            self._life.cancel()
            await self._news.wait()

    async def _has_model(self) -> bool:
        return await anyio.to_thread.run_sync(self.settings.has_model)

    async def _fetch(self) -> None:
        wanted = {"model": self.settings.model, "model_folder": str(self.settings.model_folder)}
        try:
            async with open_link(_FETCH_SECONDS) as link:
                reply = await link.request("fetch", _FETCH_SECONDS, **wanted)
        except OSError as error:
            log.warning("no model: the worker cannot be started: %s", error)
            return
        if reply is None or "error" in reply:
            log.info("no model: %s", reply["error"] if reply else "the download ended early")
            return
        self._rest_until = 0.0

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def _live(self, life: anyio.CancelScope) -> None:
        """Hold one worker from its start to its end."""
        useful = False
        try:
            with life:
                useful = await self._hold()
        except Exception:
            log.exception("the worker could not be kept")
        finally:
            self._link = self._keeper = self._life = None
            self._wanted.clear()
            self._rest(useful=useful)
            self._tell()

    async def _hold(self) -> bool:
        """Return, when the worker has ended, whether it was of use."""
        if not await self._has_model():
            self.trouble = NO_MODEL
            return False
        async with open_link(self.settings.idle_seconds) as link:
            hello = await link.request("hello", _HELLO_SECONDS, **self.settings.hello())
            if hello is None or "error" in hello:
                self.trouble = hello["error"] if hello else "the worker does not start"
                log.info("no worker: %s", self.trouble)
                return False
            self._link, self._slow, self.trouble = link, 0, None
            async with anyio.create_task_group() as keeping:
                room = self.settings.room
                keeper = self._keeper = WorkerIndexes(
                    keeping, link, hello["model"], room, self._tell
                )
                while self._wanted:
                    keeper.use(self._wanted.popitem()[0])
                await link.ended.wait()
                keeping.cancel_scope.cancel()
        return keeper.useful

    def _rest(self, *, useful: bool) -> None:
        """After workers that were of no use the next is started later and later."""
        self._useless = 0 if useful else self._useless + 1
        if self._useless:
            rest = min(_FIRST_REST * 4 ** (self._useless - 1), _LONGEST_REST)
            self._rest_until = anyio.current_time() + rest


@asynccontextmanager
async def open_worker(settings: SuggestionSettings) -> AsyncGenerator[WorkerClient]:
    """Yield what starts workers as they are needed, and end the last one."""
    async with anyio.create_task_group() as tasks:
        worker = WorkerClient(tasks, settings)
        try:
            yield worker
        finally:
            with anyio.CancelScope(shield=True):
                await worker.aclose()
            tasks.cancel_scope.cancel()
