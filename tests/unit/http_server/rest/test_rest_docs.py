"""Documentation over REST: docsets and Context7, ids and exact names, asked again."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from context7_fabric.client.remote import RemoteRegistry
from context7_fabric.client.source import RemoteServer
from context7_fabric.errors import UpstreamUnreachable
from context7_fabric.runtime.app import App
from support.held_docsets import GEARS, KNOWN, NEXT, UNKNOWN, place_docset
from support.rest import asking, rest_app
from support.scripted import FakeClock, ScriptedUpstream, scripted_app

GONE = UpstreamUnreachable("the test", "no route to host")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home that holds the docset of the made-up library."""
    place_docset(tmp_path)
    return tmp_path


@pytest.fixture
def upstream() -> ScriptedUpstream:
    """Return the upstream that the app asks."""
    return ScriptedUpstream()


@pytest.fixture
async def app(home: Path, upstream: ScriptedUpstream) -> AsyncGenerator[App]:
    """Return an open app on that home."""
    async with scripted_app(upstream, FakeClock(), home, MODEL="off") as app:
        await app.services.registry.loaded.wait()
        yield app


async def ask(app: App, **form: object) -> tuple[int, dict[str, Any]]:
    async with asking(app) as http:
        reply = await http.post("/docs", json=form)
    return reply.status_code, reply.json()


@pytest.mark.parametrize("library", [GEARS, "gears"])
async def test_docs_are_answered_by_a_confident_docset(
    app: App, upstream: ScriptedUpstream, library: str
) -> None:
    upstream.error = GONE
    status, reply = await ask(app, library=library, query=KNOWN)
    assert status == 200
    assert "compensate_backlash" in reply["text"]
    assert (reply["outcome"], reply["tier"]) == ("hit", "docset")
    assert "Ask again" in reply["note"]
    record = await app.services.call_log.find(reply["execution_id"], lambda _context: True)
    assert record.docset is not None


async def test_docs_are_asked_without_the_pins_of_a_project(
    home: Path, upstream: ScriptedUpstream
) -> None:
    folder = home / "shop"
    folder.mkdir()
    (home / "pins.toml").write_text('[pins]\nfastapi = "/fastapi/fastapi/0.115.0"\n')
    named = {"MODEL": "off", "PROJECT": str(folder)}
    async with scripted_app(upstream, FakeClock(), home, **named) as app:
        assert app.settings.project == str(folder)
        await ask(app, library="/fastapi/fastapi", query="how to start")
    assert [each.arguments["libraryId"] for each in upstream.calls] == ["/fastapi/fastapi"]


async def test_docs_asked_again_from_the_same_address_go_upstream(
    app: App, upstream: ScriptedUpstream
) -> None:
    await ask(app, library=GEARS, query=KNOWN)
    _, reply = await ask(app, library=GEARS, query=KNOWN)
    assert reply["tier"] == "upstream"
    assert len(upstream.calls) == 1


async def test_docs_that_no_docset_answers_go_upstream_unless_that_is_refused(
    app: App, upstream: ScriptedUpstream
) -> None:
    status, reply = await ask(app, library=GEARS, query=UNKNOWN, upstream=False)
    assert (status, upstream.calls) == (404, [])
    assert GEARS in reply["error"]
    _, reply = await ask(app, library=GEARS, query=UNKNOWN)
    assert reply["tier"] == "upstream"


async def test_docs_of_a_name_without_an_exact_match_are_not_found(app: App) -> None:
    status, reply = await ask(app, library="no such thing", query="x")
    assert status == 404
    assert "no exact match" in reply["error"]


async def test_docs_without_any_answer_are_not_found_with_the_reason(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.error = GONE
    status, reply = await ask(app, library="/other/one", query="x")
    assert status == 404
    assert "no route to host" in reply["error"]


async def test_query_finds_a_library_that_only_a_docset_knows(app: App) -> None:
    async with asking(app) as http:
        reply = await http.post("/query", json={"query": "gears"})
    first = reply.json()["results"][0]
    assert first["metadata"]["library_id"] == GEARS
    assert first["relevance_score"] == 1.0


async def test_remote_client_gets_pages_of_the_servers_docsets(
    app: App, upstream: ScriptedUpstream
) -> None:
    transport = httpx2.ASGITransport(app=rest_app(app))
    remote = RemoteRegistry(RemoteServer("http://here"), FakeClock(), transport=transport)
    page = await remote.docs(GEARS, NEXT)
    assert page is not None
    assert "sensor.calibrate" in page
    assert await remote.docs(GEARS, UNKNOWN) is None
    assert upstream.calls == []
