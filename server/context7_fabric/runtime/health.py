"""Health of a runtime: figures for metrics; reading opens nothing and waits for no slow store."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import get_args

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from context7_fabric.answers.single_flight import SingleFlight
from context7_fabric.errors import StoreError
from context7_fabric.fabric.backends.standby import StandbyBackend
from context7_fabric.models import Progress, no_progress
from context7_fabric.runtime.runtime import Runtime
from context7_fabric.settings import Settings
from context7_fabric.suggestions.worker_client import WorkerState
from context7_fabric.telemetry.observer import StateFigures, StoreFigures
from context7_fabric.upstream.quota import Quota
from context7_fabric.version import __version__

STORE_SECONDS = 1.0
"""Seconds without an answer after which the store counts as down."""

LOOK_EVERY = 1.0
"""Seconds between two measurements of the event loop's delay."""

_KEY = "health"


class HealthMonitor:
    """Reads the state of a runtime on request."""

    def __init__(self, runtime: Runtime, settings: Settings, tasks: TaskGroup) -> None:
        """Read `runtime`, whose own credential is that of `settings`; work in `tasks`."""
        self._runtime = runtime
        self._settings = settings
        self._looks = SingleFlight[StoreFigures](tasks)
        self._quota: Quota | None = None

    async def figures(self, store_seconds: float = STORE_SECONDS) -> StateFigures:
        """Return the present state; a store that takes longer than `store_seconds` is down."""
        store = await self._store(store_seconds)
        apps = self._runtime.open_apps
        services = [app.services for app in apps]
        suggesters = {id(each.suggester): each.suggester for each in services}.values()
        states = Counter(suggester.state for suggester in suggesters)
        return StateFigures(
            version=__version__,
            backend=self._backend,
            store=store,
            faults=self._runtime.fabric.faults.count,
            apps=len(apps),
            connections=sum(app.connected for app in apps),
            breakers_open=sum(each.call_gate.is_open for each in services),
            resting=sum(each.call_gate.is_backing_off for each in services),
            rows=max((each.registry.size for each in services), default=0),
            suggesters={state: states[state] for state in get_args(WorkerState)},
            flights=sum(each.docs.flights for each in services),
            executions_waiting=sum(each.call_log.waiting for each in services),
        )

    @property
    def _backend(self) -> str:
        chosen, backend = self._settings.store.backend, self._runtime.fabric.backend
        if isinstance(backend, StandbyBackend) and backend.trouble() is not None:
            return "memory"
        return chosen if chosen in ("disk", "memory") else "redis"

    async def _store(self, seconds: float) -> StoreFigures:
        """Return the store's figures if they come in time; a late look goes on, alone."""
        look, _started = self._looks.board(_KEY, self._look)
        with anyio.move_on_after(seconds):
            return await look.land(no_progress)
        return StoreFigures()

    async def _look(self, _progress: Progress) -> StoreFigures:
        has_model = await anyio.to_thread.run_sync(self._settings.suggestions.has_model)
        try:
            await self._runtime.fabric.backend.get(_KEY)
            calls = (await (await self._own_quota()).month()).calls
        except StoreError:
            return StoreFigures(has_model=has_model)
        plan = self._settings.monthly_calls
        left = None if plan is None else max(0, plan - calls)
        return StoreFigures(up=True, month_calls=calls, quota_left=left, has_model=has_model)

    async def _own_quota(self) -> Quota:
        """Return a quota that reads the counts of the server's own credential."""
        if self._quota is None:
            principal = await self._runtime.principal(self._settings)
            self._quota = Quota(self._runtime.fabric, time.time, principal, None)
        return self._quota


async def watch_loop(report: Callable[[float], None], every: float = LOOK_EVERY) -> None:
    """Report the delay of the event loop `every` so many seconds, until it is cancelled."""
    while True:
        due = anyio.current_time() + every
        await anyio.sleep_until(due)
        report(anyio.current_time() - due)
