"""Docsets and libraries: ids, versions, private ones, look-ups that list what only a docset knows."""

from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path

import pytest
from anyio import to_thread

from context7_fabric.errors import UpstreamUnreachable
from context7_fabric.models import Caller, Question
from context7_fabric.parsing.libraries import parse_list
from context7_fabric.runtime.app import App
from support.app_server import call, connected, provenance, texts
from support.held_docsets import GEARS, KNOWN, UNKNOWN, place_docset
from support.scripted import FakeClock, ScriptedUpstream, docs_text, list_text, scripted_app

GONE = UpstreamUnreachable("the test", "no route to host")
PRIVATE = "/local/gears"
MOVED = "Library /acme/gears has been redirected to this library: /newacme/gears."
NO_LIBRARY = "No libraries found matching the provided name."


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return the folder of a home."""
    return tmp_path / "home"


@pytest.fixture
async def app(upstream: ScriptedUpstream, clock: FakeClock, home: Path) -> AsyncGenerator[App]:
    """Return an open app on that home."""
    async with scripted_app(upstream, clock, home) as opened:
        yield opened


async def hold(home: Path, library: str = GEARS, version: str | None = None, **facts: object) -> None:
    """Put a docset into the home before the app looks for the first time."""
    await to_thread.run_sync(partial(place_docset, home, library, version, **facts))


async def tier_of(app: App, library: str, query: str = KNOWN) -> str:
    answer = await app.services.query(Question(library, query), Caller(app.principal))
    return f"{answer.outcome} {answer.tier}"


async def test_docset_answers_for_its_other_ids(app: App, home: Path) -> None:
    await hold(home, also=("/websites/gears",))
    assert await tier_of(app, "/websites/gears") == "hit docset"
    assert await tier_of(app, "/websites/wheels") == "miss upstream"


@pytest.mark.parametrize("filed", ["/acme/gears", "/newacme/gears"])
async def test_docset_answers_for_both_ends_of_a_learned_redirect(
    app: App, upstream: ScriptedUpstream, home: Path, filed: str
) -> None:
    upstream.say = lambda _tool, arguments: (
        MOVED if arguments["libraryId"] == "/acme/gears" else docs_text(arguments)
    )
    assert await tier_of(app, "/acme/gears", UNKNOWN) == "miss upstream"
    await hold(home, filed)
    await app.services.docs.looked_again()
    asked = len(upstream.calls)
    assert await tier_of(app, "/acme/gears") == "hit docset"
    assert await tier_of(app, "/newacme/gears") == "hit docset"
    assert len(upstream.calls) == asked
