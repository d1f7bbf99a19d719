"""Docsets as resources: facts and the way to ask, completion, notifications."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import mcp_types as types
import pytest
from anyio import to_thread
from mcp import Client
from mcp.shared.exceptions import MCPError

from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.models import PUBLIC, Viewer
from context7_fabric.runtime.app import App
from context7_fabric.settings.values import DocsetSettings
from support.app_server import MODES, connected
from support.held_docsets import GEARS, place_docset
from support.notices import UPDATED, Inbox, subscribed
from support.scripted import NOW

URI = "library://acme/gears"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return the folder of the app's home."""
    return tmp_path / "home"


async def read(client: Client, uri: str = URI) -> dict[str, object]:
    content = (await client.read_resource(uri)).contents[0]
    value: dict[str, object] = json.loads(content.text)  # type: ignore[union-attr]
    return value


async def test_library_shows_its_docsets_and_the_way_to_ask_them(app: App, home: Path) -> None:
    place = partial(place_docset, home, GEARS, "2.1", licence="MIT", also=("/websites/gears",))
    docset = await to_thread.run_sync(place)
    async with connected(app) as client:
        view, by_other_id = await read(client), await read(client, "library://websites/gears")
    assert view["docsets"] == by_other_id["docsets"]
    assert view["docsets"] == [
        {
            "id": GEARS,
            "version": "2.1",
            "also": ["/websites/gears"],
            "files": 4,
            "snippets": docset.snippets,
            "revision": "r1",
            "licence": "MIT",
            "added_at": NOW,
            "checked_at": NOW,
            "private": False,
            "ask": {"tool": "query-docs", "libraryId": f"{GEARS}/2.1"},
        }
    ]


async def test_registry_lists_the_libraries_that_only_docsets_know(app: App, home: Path) -> None:
    for library_id, version, owner in (
        (GEARS, "1.0", PUBLIC),
        ("/Acme/Gears", "2.0", PUBLIC),
        ("/pallets/flask", None, PUBLIC),
        ("/alice/notes", None, "alice"),
    ):
        await to_thread.run_sync(partial(place_docset, home, library_id, version, owner=owner))
    async with connected(app) as client:
        listed = (await read(client, "library://registry"))["rows"]
        named = (await read(client, "library://registry?q=gears"))["rows"]
        alike = (await read(client, "library://registry?q=gears%20machine"))["rows"]
        private = (await read(client, "library://registry?q=notes"))["rows"]
    assert isinstance(listed, list)
    held = [each for each in listed if each["ranked_by"] == "docset"]
    assert [(each["id"].lower(), each["name"].lower()) for each in held] == [(GEARS, "gears")]
    for rows, by in ((named, "namesake"), (alike, "words")):
        assert isinstance(rows, list)
        assert (rows[0]["id"].lower(), rows[0]["ranked_by"]) == (GEARS, by)
    assert "/alice/notes" not in str(private) + str(listed)


async def test_private_docset_is_shown_to_its_owner_alone(app: App, home: Path) -> None:
    await to_thread.run_sync(partial(place_docset, home, owner="alice"))
    async with connected(app) as client:
        with pytest.raises(MCPError, match="Resource not found"):
            await read(client)


async def test_ids_of_docsets_are_completed(app: App, home: Path) -> None:
    await to_thread.run_sync(place_docset, home)
    async with connected(app) as client:
        await app.services.registry.loaded.wait()
        ref = types.ResourceTemplateReference(uri="library://{org}/{project}")
        orgs = await client.complete(ref, {"name": "org", "value": "acm"})
        given = {"org": "acme"}
        projects = await client.complete(
            ref, {"name": "project", "value": ""}, context_arguments=given
        )
    assert orgs.completion.values == ["acme"]
    assert projects.completion.values == ["gears"]


@pytest.mark.parametrize("mode", MODES)
async def test_subscriber_is_notified_when_a_docset_comes_and_when_it_goes(
    app: App, home: Path, mode: str
) -> None:
    inbox = Inbox()
    async with connected(app, mode, inbox) as client, subscribed(client, URI):
        changes: tuple[Callable[[Path], object], ...] = (place_docset, remove)
        for times, change in enumerate(changes, start=1):
            await to_thread.run_sync(change, home)
            await inbox.wait_for(UPDATED, URI, times)


def remove(home: Path) -> None:
    library = DocsetLibrary(home / "docsets", DocsetSettings())
    for docset in library.all(Viewer()):
        library.remove(docset)
