"""How everything is that a household has open, told to whoever watches.

It opens and starts nothing, and a store that hangs does not keep it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import get_args

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from context7_fabric.answers.single_flight import SingleFlight
from context7_fabric.errors import StoreError
from context7_fabric.fabric.backends.standby import StandbyBackend
from context7_fabric.models import Progress, no_progress
from context7_fabric.runtime.app import App
from context7_fabric.runtime.runtime import Runtime
from context7_fabric.settings import Settings
from context7_fabric.suggestions.suggester import WorkerState
from context7_fabric.telemetry.observer import StateFigures, StoreFigures
from context7_fabric.upstream.quota import Quota
from context7_fabric.version import __version__

STORE_SECONDS = 1.0
"""How long the store may take before it counts as down."""

LOOK_EVERY = 1.0
"""Seconds between two looks at how late the event loop is."""

_KEY = "health"


class HealthMonitor:
    """Looks at a household when it is asked to."""

    def __init__(self, household: Runtime, settings: Settings, tasks: TaskGroup) -> None:
        """Look at `household`, whose own credential is that of `settings`; work in `tasks`."""
        self._household = household
        self._settings = settings
        self._looks = SingleFlight[StoreFigures](tasks)
        self._meter: Quota | None = None

    async def figures(self) -> StateFigures:
        """Return how everything is at this moment."""
        store, fabric, apps = await self._store(), self._household.fabric, self._household.open_apps
        suggesters = {id(app.desk.suggester): app.desk.suggester for app in apps}.values()
        states = Counter(suggester.state for suggester in suggesters)
        return StateFigures(
            version=__version__,
            backend=self._backend,
            store=store,
            faults=fabric.faults.count,
            apps=len(apps),
            connections=_count(apps, lambda app: app.connected),
            breakers_open=_count(apps, lambda app: app.desk.turnstile.is_open),
            resting=_count(apps, lambda app: app.desk.turnstile.is_backing_off),
            rows=max((app.desk.registry.size for app in apps), default=0),
            suggesters={state: states[state] for state in get_args(WorkerState)},
            flights=_count(apps, lambda app: app.desk.docs.flights),
            executions_waiting=_count(apps, lambda app: app.desk.executions.waiting),
        )

    @property
    def _backend(self) -> str:
        chosen, backend = self._settings.store.backend, self._household.fabric.backend
        if isinstance(backend, StandbyBackend) and backend.trouble() is not None:
            return "memory"
        return chosen if chosen in ("disk", "memory") else "redis"

    async def _store(self) -> StoreFigures:
        """Return what the store tells in time; a look that is late goes on, and no second one."""
        look, _started = self._looks.board(_KEY, self._look)
        with anyio.move_on_after(STORE_SECONDS):
            return await look.land(no_progress)
        return StoreFigures()

    async def _look(self, _progress: Progress) -> StoreFigures:
        has_model = await anyio.to_thread.run_sync(self._settings.suggestions.has_model)
        try:
            await self._household.fabric.backend.get(_KEY)
            calls = (await (await self._own_meter()).month()).calls
        except StoreError:
            return StoreFigures(has_model=has_model)
        plan = self._settings.monthly_calls
        left = None if plan is None else max(0, plan - calls)
        return StoreFigures(up=True, month_calls=calls, quota_left=left, has_model=has_model)

    async def _own_meter(self) -> Quota:
        """Return a meter that reads what those of the server's own credential wrote."""
        if self._meter is None:
            fabric = self._household.fabric
            principal = await self._household.principal(self._settings)
            self._meter = Quota(fabric, time.time, principal, None)
        return self._meter


async def watch_loop(was_late: Callable[[float], None]) -> None:
    """Tell once a second by how many seconds the event loop is late; until it is cancelled."""
    while True:
        due = anyio.current_time() + LOOK_EVERY
        await anyio.sleep_until(due)
        was_late(anyio.current_time() - due)


def _count(apps: Sequence[App], told: Callable[[App], int]) -> int:
    return sum(told(app) for app in apps)
