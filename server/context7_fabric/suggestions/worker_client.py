"""Client of the suggestion worker: starts one when it is needed, and asks it.

All principals of a process share one worker, which loads the model once and has an index for each
of them. A worker lives while it is used. After its end, by idleness, a crash or a hang, there are
no vectors; the next question starts another one, unless earlier ones were of no use.
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

log = logging.getLogger(__name__)

WorkerState = Literal["off", "idle", "starting", "ready", "trouble"]
"""State of model and index: not wanted, not needed lately, being made, in use, unavailable."""

NO_MODEL = "there is no embedding model: `context7-fabric model fetch` downloads it"

_RELEASE_SECONDS = 60.0
_HELLO_SECONDS = 60.0
_FETCH_SECONDS = 3600.0
_MOST_SLOW = 3
"""Questions in a row without an answer in time after which a worker counts as hanging."""

_FIRST_BACK_OFF, _LONGEST_BACK_OFF = 5.0, 300.0


class WorkerIndexes:
    """Indexes that one worker holds."""

    def __init__(
        self,
        tasks: TaskGroup,
        worker: WorkerRequests,
        model: str,
        room: int | None,
        on_change: Callable[[], None],
    ) -> None:
        """Keep indexes of up to `room` rows together (None: no limit) in `worker`, in `tasks`.

        Calls `on_change` whenever one is settled or released.
        """
        self._tasks = tasks
        self._worker = _OneAtATime(worker)
        self._model = model
        self._room = room
        self._on_change = on_change
        self._kept: dict[IndexSync, CancelScope] = {}  # the one used last comes last
        self.useful = False
        """True once any index was settled."""

    def __contains__(self, index: IndexSync) -> bool:
        """Return whether `index` is kept, or begun."""
        return index in self._kept

    def use(self, index: IndexSync) -> None:
        """Keep `index`; the least recently used ones make room."""
        life = self._kept.pop(index, None)
        if life is None:
            if any(each.principal == index.principal for each in self._kept):
                return  # an earlier one of the principal is still to be released
            life = CancelScope()
            self._tasks.start_soon(self._keep, index, life)
        self._kept[index] = life
        self._make_room()

    def let_go(self, index: IndexSync) -> None:
        """Have the worker release `index`, if it holds it."""
        if life := self._kept.get(index):
            life.cancel()

    def _make_room(self) -> None:
        if self._room is not None:
            indexes = [each for each, life in self._kept.items() if not life.cancel_called]
            for index in indexes[: _surplus([len(each) for each in indexes], self._room)]:
                self.let_go(index)

    async def _keep(self, index: IndexSync, life: CancelScope) -> None:
        with life:
            await index.keep(self._worker, self._model, self._settled)
        await self._worker.request("release", _RELEASE_SECONDS, principal=index.principal)
        # Not before, or an index that is used meanwhile would be filled and then released.
        del self._kept[index]
        self._on_change()

    def _settled(self) -> None:
        self.useful = True
        self._on_change()


class _OneAtATime:
    """Worker that gets one request at a time."""

    def __init__(self, worker: WorkerRequests) -> None:
        self._lock = anyio.Lock()
        self._worker = worker
        self.end = worker.end

    async def request(self, do: str, seconds: float, **details: Any) -> Message | None:  # noqa: ANN401  # JSON
        async with self._lock:
            return await self._worker.request(do, seconds, **details)


def _surplus(sizes: Sequence[int], room: int) -> int:
    """Return how many of the first there is no room for; there is always room for the last."""
    taken = 0
    for index, size in reversed(list(enumerate(sizes))):
        taken += size
        if taken > room and index < len(sizes) - 1:
            return index + 1
    return 0


class WorkerClient:
    """At most one worker at a time, and the indexes in it."""

    def __init__(self, tasks: TaskGroup, settings: SuggestionSettings) -> None:
        """Run workers in `tasks`."""
        self.settings = settings
        self._tasks = tasks
        self._fetching = anyio.Lock()
        self._wanted: dict[IndexSync, None] = {}
        self._life: anyio.CancelScope | None = None
        self._worker: WorkerProcess | None = None
        self._indexes: WorkerIndexes | None = None
        self._changed = anyio.Event()
        self._closed = False
        self._useless = 0
        self._next_start = 0.0
        self._slow = 0
        self.trouble: str | None = None
        """Reason for the lack of a worker, if there is one."""

    @property
    def pid(self) -> int | None:
        """Process id of the worker that is ready, None if none is."""
        return self._worker.pid if self._worker else None

    def state(self, index: IndexSync) -> WorkerState:
        """Return the state of `index`; one that is being filled is still starting."""
        if index.complete:
            return "ready"
        if index in self._wanted or (self._indexes is not None and index in self._indexes):
            return "starting"
        return "trouble" if self.trouble or self._useless else "idle"

    def ensure(self, index: IndexSync) -> bool:
        """Have a worker keep `index`, starting one if there is none.

        Returns whether one is there or starting.
        """
        if index.released:
            return False
        if self._life is None and not self._closed and anyio.current_time() >= self._next_start:
            self._life = anyio.CancelScope()
            self._tasks.start_soon(self._run, self._life)
        if self._indexes is not None:
            self._indexes.use(index)
        elif self._life is not None:
            self._wanted[index] = None
        return self._life is not None

    def release(self, index: IndexSync) -> None:
        """Release `index` for good; the worker lives on."""
        index.released = True
        self._wanted.pop(index, None)
        if self._indexes is not None:
            self._indexes.let_go(index)

    async def nearest(
        self, index: IndexSync, text: str, limit: int
    ) -> list[tuple[str, float]] | None:
        """Return the keys of the rows nearest to `text` with their scores, the nearest first.

        None if the index is not ready, or not in time; if there is none, one is made.
        """
        worker = self._worker if self.ensure(index) else None
        if worker is None or not worker.open or not index.complete:
            return None
        asked = {"principal": index.principal, "text": text, "limit": limit}
        reply = await worker.request("query", self.settings.patience, **asked)
        self._slow = 0 if reply else self._slow + 1
        if self._slow >= _MOST_SLOW:
            worker.end()
        if reply is None or "error" in reply:
            return None
        return [(key, score) for key, score in reply["near"]]

    async def count(self, index: IndexSync) -> int | None:
        """Return the number of rows in `index`, None if it is not ready or not in time."""
        worker = self._worker
        if worker is None or not worker.open or not index.complete:
            return None
        seconds, principal = self.settings.patience, index.principal
        reply = await worker.request("status", seconds, principal=principal)
        return reply.get("count") if reply else None

    async def fetch(self) -> None:
        """Download a missing model if the settings allow it; takes minutes, logs a failure."""
        async with self._fetching:
            if self.settings.fetches and not await self._has_model():
                await self._fetch()

    async def settle(self, index: IndexSync, seconds: float) -> bool:
        """Start a worker if needed, and wait until `index` equals its rows.

        False if that is not so within `seconds`, or no worker can be started.
        """
        with anyio.move_on_after(seconds):
            while not index.settled:
                if not self.ensure(index):
                    return False
                await self._changed.wait()
        return index.settled

    async def aclose(self) -> None:
        """End the worker, and start no other."""
        self._closed = True
        while self._life is not None:
            self._life.cancel()
            await self._changed.wait()

    async def _has_model(self) -> bool:
        return await anyio.to_thread.run_sync(self.settings.has_model)

    async def _fetch(self) -> None:
        wanted = {"model": self.settings.model, "model_folder": str(self.settings.model_folder)}
        try:
            async with open_link(_FETCH_SECONDS) as worker:
                reply = await worker.request("fetch", _FETCH_SECONDS, **wanted)
        except OSError as error:
            log.warning("no model: the worker cannot be started: %s", error)
            return
        if reply is None or "error" in reply:
            log.info("no model: %s", reply["error"] if reply else "the download ended early")
            return
        self._next_start = 0.0

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _run(self, life: anyio.CancelScope) -> None:
        """Run one worker from its start to its end."""
        useful = False
        try:
            with life:
                useful = await self._hold()
        except Exception:
            log.exception("the worker failed")
        finally:
            self._worker = self._indexes = self._life = None
            self._wanted.clear()
            self._back_off(useful=useful)
            self._notify()

    async def _hold(self) -> bool:
        """Return, when the worker has ended, whether it was of use."""
        if not await self._has_model():
            self.trouble = NO_MODEL
            return False
        async with open_link(self.settings.idle_seconds) as worker:
            hello = await worker.request("hello", _HELLO_SECONDS, **self.settings.hello())
            if hello is None or "error" in hello:
                self.trouble = hello["error"] if hello else "the worker does not start"
                log.info("no worker: %s", self.trouble)
                return False
            self._worker, self._slow, self.trouble = worker, 0, None
            async with anyio.create_task_group() as keeping:
                indexes = self._indexes = WorkerIndexes(
                    keeping, worker, hello["model"], self.settings.room, self._notify
                )
                while self._wanted:
                    indexes.use(self._wanted.popitem()[0])
                await worker.ended.wait()
                keeping.cancel_scope.cancel()
        return indexes.useful

    def _back_off(self, *, useful: bool) -> None:
        """Delay the next start, longer after each worker in a row that was of no use."""
        self._useless = 0 if useful else self._useless + 1
        if self._useless:
            delay = min(_FIRST_BACK_OFF * 4 ** (self._useless - 1), _LONGEST_BACK_OFF)
            self._next_start = anyio.current_time() + delay


@asynccontextmanager
async def open_worker(settings: SuggestionSettings) -> AsyncGenerator[WorkerClient]:
    """Yield a client that starts workers on need; end the last one after the block."""
    async with anyio.create_task_group() as tasks:
        worker = WorkerClient(tasks, settings)
        try:
            yield worker
        finally:
            with anyio.CancelScope(shield=True):
                await worker.aclose()
            tasks.cancel_scope.cancel()
