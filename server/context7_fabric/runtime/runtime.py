"""Process-wide resources: one store, and one app per upstream, credential and owner.

A process that serves one client has one app; the daemon has one for each kind of client session.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.fabric.change_feed import ChangeFeed
from context7_fabric.models import LOCAL_OWNER, Clock, Viewer
from context7_fabric.privacy.principals import SECRET_KEY, SharedSecret
from context7_fabric.privacy.redaction import redact
from context7_fabric.project.projects import Projects
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
from context7_fabric.telemetry.observer import Observer, TraceObserver, open_traces


class Runtime:
    """The fabric, and the apps, the library knowledge and the workers that are open on it."""

    def __init__(
        self,
        shared: SharedResources,
        tasks: TaskGroup,
        linger: float | None,
        secret: SharedSecret | None = None,
        traces: TraceObserver | None = None,
    ) -> None:
        """Open apps on `shared`, kept for `linger` seconds (None: ever) after their last use.

        `secret` is the store's, where machines share it; `traces` are closed with the rest.
        """
        self.fabric = shared.fabric
        self._shared = shared
        self._secret = secret
        self._traces = traces
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
        """Use the app for `settings`, which is shared by all with equal upstreams and credentials.

        `connect` replaces the upstream of the settings; `owner` owns the contexts in USER.
        """
        opening = partial(self._open_app, settings, connect, owner)
        return self._apps.use((owner, self.epoch, _distinct(settings)), opening)

    @property
    def epoch(self) -> int:
        """Number that changes when principals get other names, and apps have to be opened anew."""
        return 0 if self._secret is None else self._secret.epoch

    async def principal(self, settings: Settings) -> str:
        """Return the principal of the credential in `settings`."""
        return await read_principal(settings, self.fabric, self._secret)

    @property
    def open_apps(self) -> list[App]:
        """The apps that are open."""
        return self._apps.resources

    async def aclose(self) -> None:
        """Write what is not written yet, stop what was started, and close the store."""
        async with anyio.create_task_group() as closing:
            closing.start_soon(self._close_traces)
            await self._apps.aclose()
            await self._knowledge.aclose()
            await self._workers.aclose()
            self._shared.docsets.close()
            await self.fabric.aclose()

    async def _close_traces(self) -> None:
        if self._traces is not None:
            await anyio.to_thread.run_sync(self._traces.close, abandon_on_cancel=True)

    @asynccontextmanager
    async def _open_app(
        self, settings: Settings, connect: Connect | None, owner: str
    ) -> AsyncGenerator[App]:
        viewer = Viewer(await self.principal(settings), owner)
        credential = await self.principal(replace(settings, principal=None))
        opening = partial(self._open_knowledge, settings, viewer.principal)
        async with (
            self._knowledge.use((viewer.principal, settings.suggestions), opening) as knowledge,
            open_app_on(self._shared, knowledge, settings, viewer, credential, connect) as app,
        ):
            yield app

    @asynccontextmanager
    async def _open_knowledge(
        self, settings: Settings, principal: str
    ) -> AsyncGenerator[LibraryKnowledge]:
        suggestions = settings.suggestions
        async with (
            self._workers.use(suggestions, partial(open_worker, suggestions)) as worker,
            open_knowledge(settings, self._shared, principal, worker) as knowledge,
        ):
            yield knowledge


@asynccontextmanager
async def open_runtime(
    settings: Settings,
    *,
    clock: Clock = time.time,
    linger: float | None = 0,
    observers: Sequence[Observer] = (),
    traced: bool = False,
) -> AsyncGenerator[Runtime]:
    """Open the store that `settings` name, and close it with everything on it.

    `observers` observe every call. Servers are `traced` if the settings say so; a library is not,
    for the tracer provider belongs to the program that imports it.
    """
    traces = await anyio.to_thread.run_sync(_open_traces, settings) if traced else None
    observers = (*observers, *([] if traces is None else [traces]))
    store = await anyio.to_thread.run_sync(open_store, settings, clock)
    async with store as fabric, anyio.create_task_group() as tasks:
        change_feed = ChangeFeed(fabric.backend)
        tasks.start_soon(change_feed.run)
        secret = None
        if is_shared(settings):
            secret = SharedSecret(fabric.backend, fabric.faults, change_feed.listen(SECRET_KEY))
            tasks.start_soon(secret.watch)
        docsets = DocsetLibrary(settings.home / "docsets", settings.docsets, clock)
        projects = Projects(tasks, settings.home, Path.home())
        shared = SharedResources(fabric, clock, change_feed, docsets, projects, observers)
        runtime = Runtime(shared, tasks, linger, secret, traces)
        try:
            yield runtime
        finally:
            with anyio.CancelScope(shield=True):
                await runtime.aclose()
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def open_app(
    settings: Settings, *, clock: Clock = time.time, connect: Connect | None = None
) -> AsyncGenerator[App]:
    """Open one app on a runtime of its own; `connect` replaces the upstream of the settings."""
    async with (
        open_runtime(settings, clock=clock) as runtime,
        runtime.app(settings, connect) as app,
    ):
        yield app


def _open_traces(settings: Settings) -> TraceObserver | None:
    return open_traces(settings.telemetry, redact if settings.redact else str)


def _distinct(settings: Settings) -> Hashable:
    """Return the settings that have to be equal for an app to be shared."""
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
