"""One store, and what everybody who comes needs of it: one app for each upstream and credential.

A process that serves one client has one app in it; the daemon has as many as its windows differ.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from context7_fabric.app import App, Commons, Connect, Knowledge, open_app_on, open_knowledge
from context7_fabric.home import open_store, read_principal
from context7_fabric.models import LOCAL_OWNER, Clock
from context7_fabric.pool import Pool
from context7_fabric.services.views import Viewer
from context7_fabric.settings import Settings
from context7_fabric.telemetry.observer import Observer
from context7_fabric.upstream.settings import CommandTarget


class Household:
    """The fabric, and the apps and the knowledge of libraries that are open on it."""

    def __init__(self, commons: Commons, tasks: TaskGroup, linger: float | None) -> None:
        """Open apps on `commons`, kept for `linger` seconds (None: ever) after their last use."""
        self.fabric = commons.fabric
        self._commons = commons
        self._apps = Pool[Hashable, App](tasks, linger)
        self._knowledge = Pool[Hashable, Knowledge](tasks, 0)

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
        return self._apps.use((owner, _distinct(settings)), opening)

    @property
    def apps(self) -> int:
        """How many apps are open."""
        return len(self._apps)

    async def aclose(self) -> None:
        """Write what is not written yet, end what we started, and close the store."""
        await self._apps.aclose()
        await self._knowledge.aclose()
        await self.fabric.aclose()

    @asynccontextmanager
    async def _opened(
        self, settings: Settings, connect: Connect | None, owner: str
    ) -> AsyncGenerator[App]:
        principal = await anyio.to_thread.run_sync(read_principal, settings)
        opening = partial(open_knowledge, settings, self._commons, principal)
        key = (principal, settings.suggestions)
        async with (
            self._knowledge.use(key, opening) as knowledge,
            open_app_on(
                self._commons, knowledge, settings, Viewer(principal, owner), connect
            ) as app,
        ):
            yield app


@asynccontextmanager
async def open_household(
    settings: Settings,
    *,
    clock: Clock = time.time,
    linger: float | None = 0,
    observers: Sequence[Observer] = (),
) -> AsyncGenerator[Household]:
    """Open the store that `settings` name, and close it with everything on it.

    `observers` hear of every call.
    """
    store = await anyio.to_thread.run_sync(open_store, settings, clock)
    async with store as fabric, anyio.create_task_group() as tasks:
        household = Household(Commons(fabric, clock, observers), tasks, linger)
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
