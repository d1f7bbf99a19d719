"""Health of a runtime: reading it opens, starts and waits for nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskGroup

from context7_fabric.errors import StoreUnavailable, UpstreamLimited, UpstreamUnreachable
from context7_fabric.fabric.backend import BackendEntry
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.models import Answer, Caller, Outcome, Question, Tier
from context7_fabric.runtime.app import App
from context7_fabric.runtime.health import HealthMonitor, watch_loop
from context7_fabric.runtime.runtime import Runtime, open_runtime
from context7_fabric.settings import Settings
from context7_fabric.telemetry.observer import StoreFigures
from support.scripted import ScriptedUpstream, settings_for

QUESTION = Question("/widgets/widget1", "start")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path, BACKEND="memory", MODEL="off", MONTHLY_CALLS="10")


@dataclass
class Opened:
    """A runtime, its health, and the upstream of the apps that a test opens."""

    runtime: Runtime
    health: HealthMonitor
    settings: Settings
    upstream: ScriptedUpstream = field(default_factory=ScriptedUpstream)

    def app(self, owner: str = "local") -> AbstractAsyncContextManager[App]:
        return self.runtime.app(self.settings, lambda _tasks: self.upstream, owner=owner)


@pytest.fixture
async def opened(settings: Settings, tasks: TaskGroup) -> AsyncIterator[Opened]:
    async with open_runtime(settings) as runtime:
        yield Opened(runtime, HealthMonitor(runtime, settings, tasks), settings)


class Hanging(MemoryBackend):
    """A store that answers nothing before it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let, self.reads = anyio.Event(), 0

    async def get(self, key: str) -> BackendEntry | None:
        self.reads += 1
        await self.let.wait()
        return await super().get(key)


class Failing(MemoryBackend):
    """A store that does not work."""

    async def get(self, key: str) -> BackendEntry | None:
        raise StoreUnavailable("get", "it is broken")


async def test_looking_opens_no_app(opened: Opened) -> None:
    figures = await opened.health.figures()
    assert (figures.apps, len(opened.runtime.open_apps), figures.rows) == (0, 0, 0)
    assert figures.store == StoreFigures(up=True, month_calls=0, quota_left=10, has_model=False)
    assert figures.backend == "memory"


async def test_sums_are_over_every_app_that_is_open(opened: Opened) -> None:
    async with opened.app("ann") as ann, opened.app("bob") as bob:
        for app in (ann, bob):
            await app.services.registry.loaded.wait()
            answer = Answer("text", Outcome.HIT, Tier.QUESTION)
            app.services.note("query-docs", {}, Caller(), answer)
        figures = await opened.health.figures()
    assert (figures.apps, figures.executions_waiting) == (2, 2)
    assert figures.rows == ann.services.registry.size > 400
    assert figures.connections == 0


async def test_suggestions_are_counted_once_where_several_apps_share_them(opened: Opened) -> None:
    async with opened.app("ann") as ann, opened.app("bob") as bob:
        assert ann.services.suggester is bob.services.suggester
        figures = await opened.health.figures()
    expected = {"off": 1, "idle": 0, "starting": 0, "ready": 0, "trouble": 0}
    assert figures.suggesters == expected


async def test_questions_under_way_are_counted_until_they_have_landed(
    opened: Opened, tasks: TaskGroup
) -> None:
    gate = opened.upstream.gate = anyio.Event()
    async with opened.app() as app:
        tasks.start_soon(app.services.query, QUESTION, Caller())
        await opened.upstream.arrived.wait()
        assert (await opened.health.figures()).flights == 1
        gate.set()
        await app.services.query(QUESTION, Caller())
        assert (await opened.health.figures()).flights == 0


async def test_figures_have_the_calls_of_the_month_and_the_rest_of_the_plan(opened: Opened) -> None:
    async with opened.app() as app:
        await app.services.query(QUESTION, Caller())
        await app.services.quota.flush()
        sent = (await app.services.quota.month()).calls
    store = (await opened.health.figures()).store
    assert sent > 0
    assert (store.month_calls, store.quota_left) == (sent, 10 - sent)


async def test_figures_without_a_known_plan_have_no_rest(opened: Opened, tasks: TaskGroup) -> None:
    settings = replace(opened.settings, monthly_calls=None)
    figures = await HealthMonitor(opened.runtime, settings, tasks).figures()
    assert (figures.store.month_calls, figures.store.quota_left) == (0, None)


async def test_figures_count_an_open_circuit_breaker(opened: Opened) -> None:
    opened.upstream.error = UpstreamUnreachable("there", "it is gone")
    async with opened.app() as app:
        for number in range(5):
            assert (await opened.health.figures()).breakers_open == 0
            await app.services.query(Question("/widgets/widget1", f"part {number}"), Caller())
        figures = await opened.health.figures()
    assert (figures.breakers_open, figures.resting) == (1, 0)


async def test_figures_count_a_back_off_that_upstream_asked_for(opened: Opened) -> None:
    opened.upstream.error = UpstreamLimited("there", 60)
    async with opened.app() as app:
        assert (await opened.health.figures()).resting == 0
        await app.services.query(QUESTION, Caller())
        assert (await opened.health.figures()).resting == 1


async def test_a_store_that_hangs_is_down_and_asked_once_until_it_answers(
    opened: Opened,
) -> None:
    store = opened.runtime.fabric.backend = Hanging()
    for _scrape in range(3):
        assert (await opened.health.figures(store_seconds=0.05)).store == StoreFigures()
    assert store.reads == 1
    store.let.set()
    assert (await opened.health.figures(store_seconds=10)).store.up


async def test_figures_of_a_store_that_fails_are_down_and_unknown(
    opened: Opened,
) -> None:
    opened.runtime.fabric.backend = Failing()
    figures = await opened.health.figures()
    assert figures.store == StoreFigures(up=False, has_model=False)


async def test_watch_loop_reports_the_delay_repeatedly(tasks: TaskGroup) -> None:
    delays, enough = list[float](), anyio.Event()

    def note(late: float) -> None:
        delays.append(late)
        if len(delays) == 3:
            enough.set()

    tasks.start_soon(watch_loop, note, 0.01)
    await enough.wait()
    assert min(delays) >= 0
