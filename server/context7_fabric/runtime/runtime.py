"""One store, and what everybody who comes needs of it: one app for each upstream and credential.

A process that serves one client has one app in it; the daemon has as many as its windows differ.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from context7_fabric.fabric.change_feed import ChangeFeed
from context7_fabric.models import LOCAL_OWNER, Clock, Viewer
from context7_fabric.privacy.principals import SECRET_KEY, SharedSecret
from context7_fabric.privacy.redaction import redact
from context7_fabric.runtime.app import (
    App,
    Connect,
    LibraryKnowledge,
    SharedResources,
    open_app_on,
    open_knowledge,
)
from context7_fabric.runtime.pool import Pool
from context7_fabric.runtime.store import is_shared, open_store, read_principal
from context7_fabric.settings import Settings
from context7_fabric.settings.values import CommandTarget, SuggestionSettings
from context7_fabric.suggestions.worker_client import WorkerClient, open_worker
from context7_fabric.telemetry.observer import Observer
from context7_fabric.telemetry.opening import TraceObserver, open_traces


class Runtime:
    """The fabric, and the apps, the knowledge of libraries and the workers that are open on it."""

    def __init__(
        self,
        commons: SharedResources,
        tasks: TaskGroup,
        linger: float | None,
        secret: SharedSecret | None = None,
        traces: TraceObserver | None = None,
    ) -> None:
        """Open apps on `commons`, kept for `linger` seconds (None: ever) after their last use.

        `secret` is the store's, where machines share it; `traces` are closed with the rest.
        """
        self._secret = secret
        self.fabric = commons.fabric
        self._traces = traces
        self._commons = commons
        self._apps = Pool[Hashable, App](tasks, linger)
        self._knowledge = Pool[Hashable, LibraryKnowledge](tasks, 0)
        self._workers = Pool[SuggestionSettings, WorkerClient](tasks, 0)

    def app(
        self,
        settings: Settings,
        connect: Connect | None = None,
        *,
        owner: str = LOCAL_OWNER,
    ) -> AbstractAsyncContextManager[App]:
        """Lend the app for `settings`, of which only what differs between windows is looked at.

        `connect` puts another upstream in the place of the settings'; `owner` is whose the
        contexts in USER are.
        """
        opening = partial(self._opened, settings, connect, owner)
        return self._apps.use((owner, self.epoch, _distinct(settings)), opening)

    @property
    def epoch(self) -> int:
        """Changes when principals are called by other names: who had an app wants another then."""
        return 0 if self._secret is None else self._secret.epoch

    async def principal(self, settings: Settings) -> str:
        """Return whose credential `settings` hold."""
        return await read_principal(settings, self.fabric, self._secret)

    @property
    def apps(self) -> int:
        """How many apps are open."""
        return len(self._apps)

    @property
    def open_apps(self) -> list[App]:
        """The apps that are open."""
        return self._apps.things

    async def aclose(self) -> None:
        """Write what is not written yet, end what we started, and close the store."""
        async with anyio.create_task_group() as closing:
            closing.start_soon(self._close_traces)
            await self._apps.aclose()
            await self._knowledge.aclose()
            await self._workers.aclose()
            await self.fabric.aclose()

    async def _close_traces(self) -> None:
        if self._traces is not None:
            await anyio.to_thread.run_sync(self._traces.close, abandon_on_cancel=True)

    @asynccontextmanager
    async def _opened(
        self, settings: Settings, connect: Connect | None, owner: str
    ) -> AsyncGenerator[App]:
        principal = await self.principal(settings)
        credential = await self.principal(replace(settings, principal=None))
        opening = partial(self._learned, settings, principal)
        key = (principal, settings.suggestions)
        async with (
            self._knowledge.use(key, opening) as knowledge,
            open_app_on(
                self._commons, knowledge, settings, Viewer(principal, owner), credential, connect
            ) as app,
        ):
            yield app

    @asynccontextmanager
    async def _learned(
        self, settings: Settings, principal: str
    ) -> AsyncGenerator[LibraryKnowledge]:
        suggestions = settings.suggestions
        async with (
            self._workers.use(suggestions, partial(open_worker, suggestions)) as worker,
            open_knowledge(settings, self._commons, principal, worker) as knowledge,
        ):
            yield knowledge


@asynccontextmanager
async def open_household(
    settings: Settings,
    *,
    clock: Clock = time.time,
    linger: float | None = 0,
    observers: Sequence[Observer] = (),
    traced: bool = False,
) -> AsyncGenerator[Runtime]:
    """Open the store that `settings` name, and close it with everything on it.

    `observers` hear of every call. Who serves is `traced` where the settings want it: the tracer
    provider is the process's, which in somebody's own program is not ours.
    """
    traces = await anyio.to_thread.run_sync(_traces, settings) if traced else None
    observers = (*observers, *([] if traces is None else [traces]))
    store = await anyio.to_thread.run_sync(open_store, settings, clock)
    async with store as fabric, anyio.create_task_group() as tasks:
        news = ChangeFeed(fabric.backend)
        tasks.start_soon(news.run)
        secret = None
        if is_shared(settings):
            secret = SharedSecret(fabric.backend, fabric.faults, news.listen(SECRET_KEY))
            tasks.start_soon(secret.watch)
        commons = SharedResources(fabric, clock, news, observers)
        household = Runtime(commons, tasks, linger, secret, traces)
        try:
            yield household
        finally:
            with anyio.CancelScope(shield=True):
                await household.aclose()
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def open_app(
    settings: Settings, *, clock: Clock = time.time, connect: Connect | None = None
) -> AsyncGenerator[App]:
    """Open everything that `settings` ask for; `connect` puts another upstream in place."""
    async with (
        open_household(settings, clock=clock) as household,
        household.app(settings, connect) as app,
    ):
        yield app


def _traces(settings: Settings) -> TraceObserver | None:
    return open_traces(settings.telemetry, redact if settings.redact else str)


def _distinct(settings: Settings) -> Hashable:
    """Return what two windows must have in common to share an app."""
    upstream = settings.upstream
    child = (
        (upstream.directory, tuple(sorted(upstream.child_environment.items())))
        if isinstance(upstream.target, CommandTarget)
        else None
    )
    return (
        upstream.target,
        upstream.api_key,
        upstream.origin,
        child,
        settings.principal,
        settings.tools,
    )
