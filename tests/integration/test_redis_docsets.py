"""Servers on one Redis: snippets of stored answers, and ratings of docset pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from context7_fabric.errors import UpstreamUnreachable
from context7_fabric.models import Answer, Caller, Question
from context7_fabric.parsing.snippets import parse_snippets
from context7_fabric.runtime.app import App
from context7_fabric.views.purge import Purge
from support.held_docsets import GEARS, KNOWN, place_docset
from support.redis_servers import RedisServer, redis_server
from support.scripted import FakeClock, ScriptedUpstream, scripted_app

LIBRARY = "/acme/pumps"
GONE = UpstreamUnreachable("the test", "no route to host")
FORM = "### {0}\n\nSource: https://pumps.example/a.md\n\nSet it.\n\n```py\npump.set()\n```"
SEALS, VALVES = FORM.format("Shaft seal"), FORM.format("Relief valve")
NOTICED_SECONDS = 30.0
"""Longest time until a server knows what another wrote, on a busy machine."""


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """Return a Redis server."""
    with redis_server() as server:
        yield server


@pytest.fixture
def upstream() -> ScriptedUpstream:
    """Return an upstream with two answers about one library."""
    texts = {"seals": SEALS, "valves": VALVES}
    return ScriptedUpstream(say=lambda _tool, arguments: texts.get(arguments["query"], SEALS))


@pytest.fixture
async def apps(
    redis: RedisServer, upstream: ScriptedUpstream, tmp_path: Path
) -> AsyncGenerator[tuple[App, App]]:
    """Return two servers with homes of their own, both with the docset, on one Redis."""
    clock = FakeClock()
    for name in ("a", "b"):
        await to_thread.run_sync(partial(place_docset, tmp_path / name))
    async with (
        scripted_app(upstream, clock, tmp_path / "a", BACKEND=redis.patient_url) as one,
        scripted_app(upstream, clock, tmp_path / "b", BACKEND=redis.patient_url) as other,
    ):
        for app in (one, other):  # a loop that loads answers Redis late
            await app.services.registry.loaded.wait()
        yield one, other


async def ask(app: App, query: str, library: str = LIBRARY) -> Answer:
    caller = Caller(app.principal, connection=None)
    answer = await app.services.query(Question(library, query), caller)
    app.services.note("query-docs", {"query": query}, caller, answer)
    return answer


async def titles(app: App) -> list[str]:
    answer = await ask(app, "relief valve shaft seal")
    return sorted(each.title for each in parse_snippets(answer.text))


async def test_snippets_that_one_server_purges_are_gone_at_the_other(
    apps: tuple[App, App], upstream: ScriptedUpstream
) -> None:
    one, other = apps
    for query in ("seals", "valves"):
        await ask(one, query)
    upstream.error = GONE
    assert await titles(one) == await titles(other) == ["Relief valve", "Shaft seal"]
    await Purge(one.fabric).matching("relief valve")
    with anyio.fail_after(NOTICED_SECONDS):
        while await titles(other) != ["Shaft seal"]:
            await anyio.lowlevel.checkpoint()


async def test_page_rated_badly_at_one_server_is_passed_by_at_the_other(
    apps: tuple[App, App], upstream: ScriptedUpstream
) -> None:
    one, other = apps
    answer = await ask(one, KNOWN, GEARS)
    assert answer.tier == "docset"
    await one.services.feedback.give(answer.execution_id, 1)
    assert (await ask(other, KNOWN, GEARS)).tier == "upstream"
    assert len(upstream.calls) == 1
