"""Equal misses at the same moment cost one upstream call, even if a caller gives up."""

import anyio
import pytest

from context7_fabric.models import Caller, Question
from context7_fabric.runtime.app import App
from support.app_server import call, connected, provenance
from support.scripted import FakeClock, ScriptedUpstream, scripted_app

QUESTION = Question("/widgets/widget1", "start")


async def test_fifty_callers_share_one_call(app: App, upstream: ScriptedUpstream) -> None:
    upstream.gate = anyio.Event()
    outcomes: list[str] = []

    async with connected(app) as client:

        async def ask() -> None:
            result = await call(client, "query-docs", libraryId="/widgets/widget1", query="start")
            outcomes.append(provenance(result)["outcome"])

        async with anyio.create_task_group() as tasks:
            for _caller in range(50):
                tasks.start_soon(ask)
            with anyio.fail_after(30):
                await upstream.arrived.wait()
                await client.list_tools()  # stood behind all of them in the line
                await anyio.wait_all_tasks_blocked()
            upstream.gate.set()
    assert len(upstream.calls) == 1
    assert sorted(outcomes) == ["coalesced"] * 49 + ["miss"]


async def test_caller_that_gives_up_does_not_end_the_flight_of_others(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.gate = anyio.Event()
    outcomes: list[str] = []

    async def ask(scope: anyio.CancelScope) -> None:
        with scope:
            outcomes.append((await app.services.query(QUESTION, Caller())).outcome)

    first = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, first)
        with anyio.fail_after(30):
            await upstream.arrived.wait()
        tasks.start_soon(ask, anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        first.cancel()
        upstream.gate.set()
    assert outcomes == ["coalesced"]
    assert len(upstream.calls) == 1


async def test_progress_reaches_all_callers_of_a_flight(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.gate = anyio.Event()
    heard: list[str] = []

    async def ask(name: str) -> None:
        async def progress(progress: float, total: float | None, message: str | None) -> None:
            heard.append(f"{name} {progress} {total} {message}")

        await app.services.query(QUESTION, Caller(progress=progress))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "one")
        with anyio.fail_after(30):
            await upstream.arrived.wait()
        tasks.start_soon(ask, "two")
        await anyio.wait_all_tasks_blocked()
        upstream.gate.set()
    assert sorted(heard) == ["one 0.5 1.0 half way", "two 0.5 1.0 half way"]


async def test_two_apps_on_one_home_share_one_call(
    upstream: ScriptedUpstream,
    clock: FakeClock,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = tmp_path_factory.mktemp("shared")
    upstream.gate = anyio.Event()
    outcomes: list[str] = []
    async with (
        scripted_app(upstream, clock, home) as one,
        scripted_app(upstream, clock, home) as two,
    ):

        async def ask(app: App) -> None:
            outcomes.append((await app.services.query(QUESTION, Caller())).outcome)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, one)
            with anyio.fail_after(30):
                await upstream.arrived.wait()
            tasks.start_soon(ask, two)
            upstream.gate.set()
    assert "miss" in outcomes
    assert outcomes.count("miss") == len(upstream.calls) == 1
