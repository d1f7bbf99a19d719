"""Entries indexed over REST are found by their principal at once, and all of them or none."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from pathlib import Path

import anyio
import httpx2
import pytest

from context7_fabric.http_server.rest.collection import LIKENESS
from context7_fabric.runtime.app import App
from support.rest import asking, best, entries, found, refused
from support.scripted import FakeClock, ScriptedUpstream, scripted_app

PYDANTIC = "/pydantic/pydantic"
WIDGET = "/widgets/widget1"
SECRET = "ghp_" + "a1B2" * 9


async def test_what_is_indexed_is_found_at_once(http: httpx2.AsyncClient, clock: FakeClock) -> None:
    form = entries(**{"Some Widget": WIDGET, "gadget": "/gadgets/gadget"})
    form["metadatas"][0] |= {"aliases": ["sw", "pydantic"], "category": "toys", "source": "mine"}
    reply = await http.post("/index", json=form)
    assert reply.json() == {
        "indexed": 2,
        "ids": ["lib-other-some-widget", "lib-other-gadget"],
        "library_ids": [WIDGET, "/gadgets/gadget"],
    }
    assert await best(http, "gadget") == ("/gadgets/gadget", 1.0)
    first = (await found(http, "SW"))[0]
    assert first["metadata"] == {
        "library_name": "some-widget",
        "library_id": WIDGET,
        "aliases": ["sw"],
        "category": "toys",
        "ecosystem": "other",
        "description": "",
        "last_verified": first["metadata"]["last_verified"],
        "usage_count": 1,
        "source": "context7-live-resolve",
    }
    verified = datetime.fromisoformat(first["metadata"]["last_verified"])
    assert verified.timestamp() == clock.now
    assert await best(http, "pydantic") == (PYDANTIC, 1.0)


@pytest.mark.parametrize("path", ["", "/core", "/libs/widget", "/libs/partners/widget"])
@pytest.mark.parametrize("version", ["", "@2.0"])
async def test_index_of_an_id_drops_its_version_and_keeps_its_path(
    http: httpx2.AsyncClient, path: str, version: str
) -> None:
    reply = await http.post("/index", json=entries(widget=WIDGET + path + version))
    assert reply.json() == {
        "indexed": 1,
        "ids": ["lib-other-widget"],
        "library_ids": [WIDGET + path],
    }
    assert await best(http, "widget") == (WIDGET + path, 1.0)


async def test_index_leaves_the_registry_as_it_was(app: App, http: httpx2.AsyncClient) -> None:
    registry = app.services.registry
    await registry.loaded.wait()
    rows = registry.rows()
    await http.post("/index", json=entries(widget=WIDGET, pydantic=PYDANTIC, redis="/else/redis"))
    assert registry.rows() == rows


async def test_counts_that_are_written_later_do_not_undo_what_was_indexed(
    app: App, http: httpx2.AsyncClient
) -> None:
    await app.services.registry.loaded.wait()
    app.services.registry.used(PYDANTIC)
    await http.post("/index", json=entries(pydantic=PYDANTIC))
    await app.services.registry.flush()
    await app.services.registry.load()
    first = (await found(http, "pydantic"))[0]["metadata"]
    assert (first["usage_count"], first["last_verified"] != "") == (1, True)


async def test_two_names_of_one_library_in_one_form_are_one_row(
    http: httpx2.AsyncClient,
) -> None:
    reply = await http.post("/index", json=entries(widget=WIDGET, widgetry=WIDGET))
    assert reply.json()["ids"] == ["lib-other-widget"] * 2
    assert await best(http, "widgetry") == (WIDGET, 1.0)


async def test_of_what_is_indexed_at_once_nothing_is_lost(http: httpx2.AsyncClient) -> None:
    names = [f"widget{number}" for number in range(10)]
    async with anyio.create_task_group() as tasks:
        for name in names:
            form = entries(**{name: WIDGET, f"my-{name}": f"/mine/{name}"})
            tasks.start_soon(partial(http.post, "/index", json=form))
    assert [await best(http, name) for name in names] == [(WIDGET, 1.0)] * 10
    mine = [(f"/mine/{name}", 1.0) for name in names]
    assert [await best(http, f"my-{name}") for name in names] == mine


async def test_index_of_another_id_for_a_known_name_counts_for_the_principal_alone(
    app: App, http: httpx2.AsyncClient
) -> None:
    await http.post("/index", json=entries(pydantic="/else/where"))
    assert await best(http, "pydantic") == ("/else/where", 1.0)
    row = app.services.registry.find("pydantic")
    assert row is not None
    assert row.row.id == PYDANTIC


async def test_what_is_indexed_is_found_by_the_words_of_a_phrase(
    http: httpx2.AsyncClient,
) -> None:
    await found(http, "fills the word index")
    await http.post("/index", json=entries(sprocketry=WIDGET))
    results = await found(http, "about sprocketry for beginners")
    assert results[0]["metadata"]["library_id"] == WIDGET
    assert results[0]["relevance_score"] <= LIKENESS


async def test_what_one_principal_indexed_no_other_one_sees(
    tmp_path: Path, clock: FakeClock
) -> None:
    for principal, id_ in (("one", WIDGET), ("two", "/else/where")):
        apps = scripted_app(ScriptedUpstream(), clock, tmp_path, MODEL="off", PRINCIPAL=principal)
        async with apps as app, asking(app) as http:
            results = await found(http, "widget", n_results=50)
            assert WIDGET not in {each["metadata"]["library_id"] for each in results}
            await http.post("/index", json=entries(widget=id_))
            assert await best(http, "widget") == (id_, 1.0)


async def test_the_last_of_many_is_no_id_and_nothing_is_stored(
    http: httpx2.AsyncClient,
) -> None:
    names = {f"widget{number}": f"/widgets/number{number}" for number in range(99)}
    error = await refused(http, "/index", entries(**names, last="not an id"))
    wanted = "a library id (/org/project, with or without a version)"
    assert error == (422, f"metadatas[99].library_id: it is not {wanted}")
    assert await found(http, "widget0", metadata_filter={"library_name": "widget0"}) == []


async def test_secrets_in_what_is_indexed_are_not_stored(http: httpx2.AsyncClient) -> None:
    form = entries(**{f"widget {SECRET}": WIDGET})
    form["metadatas"][0] |= {"aliases": [f"{SECRET} gadget"], "category": SECRET}
    assert (await http.post("/index", json=form)).json()["indexed"] == 1
    results = await found(http, "widget", n_results=50)
    assert WIDGET in {each["metadata"]["library_id"] for each in results}
    assert "a1b2" not in json.dumps(results).lower()
