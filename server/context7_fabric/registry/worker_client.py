"""The worker as suggestions see it: asked when it is there, started when it is not.

A worker lives for as long as it is used. Its end, by idleness, by a crash or because it hangs,
shows here only in that nothing is near; the next question starts another, unless those before
were of no use.
"""

from __future__ import annotations

import logging

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from context7_fabric.registry.worker.link import Link, open_link
from context7_fabric.registry.worker.mirror import Mirror
from context7_fabric.registry.worker.settings import SuggestionSettings

log = logging.getLogger(__name__)

_HELLO_SECONDS = 60.0
_FETCH_SECONDS = 3600.0
_MOST_SLOW = 3
"""After so many questions in a row without an answer in time a worker counts as hanging."""

_FIRST_REST, _LONGEST_REST = 5.0, 300.0
NO_MODEL = "there is no embedding model: `context7-fabric model fetch` downloads it"


class WorkerClient:
    """At most one worker at a time, which mirrors the rows."""

    def __init__(self, tasks: TaskGroup, settings: SuggestionSettings, mirror: Mirror) -> None:
        """Run workers in `tasks`, each with an index that `mirror` keeps."""
        self._tasks = tasks
        self._settings = settings
        self._mirror = mirror
        self._life: anyio.CancelScope | None = None
        self._link: Link | None = None
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

    def wake(self) -> bool:
        """Start a worker if there is none; tell whether one is there or on its way."""
        if self._life is None and not self._closed and anyio.current_time() >= self._rest_until:
            self._life = anyio.CancelScope()
            self._tasks.start_soon(self._live, self._life)
        return self._life is not None

    async def near(self, text: str, limit: int) -> list[tuple[str, float]] | None:
        """Return the keys of the rows nearest to `text`, the nearest first, and how near.

        None when the worker is not ready, or not in time; where none is, one is started.
        """
        link = self._link if self.wake() else None
        if link is None or not link.open or not self._mirror.complete:
            return None
        reply = await link.request("query", self._settings.patience, text=text, limit=limit)
        self._slow = 0 if reply else self._slow + 1
        if self._slow >= _MOST_SLOW:
            link.end()
        if reply is None or "error" in reply:
            return None
        return [(key, score) for key, score in reply["near"]]

    async def count(self) -> int | None:
        """Return how many rows the index holds, None while no worker is ready or in time."""
        link = self._link
        reply = await link.request("status", self._settings.patience) if link else None
        return reply.get("count") if reply else None

    async def fetch(self) -> None:
        """Download the model if it is missing and may be; takes minutes, and fails quietly."""
        settings = self._settings
        if not settings.fetches or await anyio.to_thread.run_sync(settings.has_model):
            return
        async with open_link(_FETCH_SECONDS) as link:
            folder = str(settings.model_folder)
            reply = await link.request(
                "fetch", _FETCH_SECONDS, model=settings.model, model_folder=folder
            )
        if reply is None or "error" in reply:
            log.info("no model: %s", reply["error"] if reply else "the download ended early")
            return
        self._rest_until = 0.0

    async def settle(self, seconds: float) -> bool:
        """Start a worker if need be, and wait until its index equals the rows.

        False when that is not so within `seconds`, or no worker can be had.
        """
        with anyio.move_on_after(seconds):
            while not self._settled:
                if not self.wake():
                    return False
                await self._news.wait()
        return self._settled

    async def aclose(self) -> None:
        """End the worker, and start none any more."""
        self._closed = True
        while self._life is not None:
            self._life.cancel()
            await self._news.wait()

    @property
    def _settled(self) -> bool:
        return self._link is not None and self._mirror.settled

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
            self._link = self._life = None
            self._rest(useful=useful)
            self._tell()

    async def _hold(self) -> bool:
        """Return, when the worker has ended, whether it was of use."""
        if not await anyio.to_thread.run_sync(self._settings.has_model):
            self.trouble = NO_MODEL
            return False
        async with open_link(self._settings.idle_seconds) as link:
            hello = await link.request("hello", _HELLO_SECONDS, **self._settings.hello())
            if hello is None or "error" in hello:
                self.trouble = hello["error"] if hello else "the worker does not start"
                log.info("no worker: %s", self.trouble)
                return False
            self._link, self._slow, self.trouble = link, 0, None
            async with anyio.create_task_group() as keeping:
                keeping.start_soon(self._mirror.keep, link, hello["model"], self._tell)
                await link.ended.wait()
                keeping.cancel_scope.cancel()
        return self._mirror.complete

    def _rest(self, *, useful: bool) -> None:
        """After workers that were of no use the next is started later and later."""
        self._useless = 0 if useful else self._useless + 1
        if self._useless:
            rest = min(_FIRST_REST * 4 ** (self._useless - 1), _LONGEST_REST)
            self._rest_until = anyio.current_time() + rest
