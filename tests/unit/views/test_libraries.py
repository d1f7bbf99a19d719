"""Views of libraries: ranked rows, and the stored questions about one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import anyio

from context7_fabric.answers.library_choice import LibraryChoices
from context7_fabric.answers.stored import AnswerStore, docs_key
from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.fabric.context import Json
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC, Viewer
from context7_fabric.parsing.ids import LibraryId
from context7_fabric.registry.choices import LearnedChoices
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.row_store import RowStore
from context7_fabric.registry.rows import Row
from context7_fabric.registry.seeds import Seeds
from context7_fabric.settings.values import DocsetSettings, SuggestionSettings
from context7_fabric.suggestions.suggester import StoredRowVectors, Suggester
from context7_fabric.suggestions.worker_client import WorkerClient
from context7_fabric.views.libraries import LibraryViews
from context7_fabric.views.visibility import NOTICE, VisibleEntries
from support.viewing import ME, MINE, OTHER, answer

NO_DOCSETS, VIEWER = DocsetLibrary(Path("nowhere"), DocsetSettings()), Viewer("me")
WIDGET = Row("widget", "pypi", "/widgets/widget1", title="Widget", versions=("1.0", "2.0"))
GADGET = Row("gadget", "npm", "/gadgets/gadget", title="Gadget", description="like a widget")


@asynccontextmanager
async def libraries_of(
    views: VisibleEntries, fabric: Fabric, principal: str, *rows: Row
) -> AsyncIterator[LibraryViews]:
    """Yield the libraries that `principal` sees, after it stored `rows`; no model is there."""
    store = RowStore(fabric, principal)
    await store.save(rows)
    registry = Registry(store, lambda: Seeds((), ttl_days=1), views.clock)
    await registry.load()
    async with anyio.create_task_group() as tasks:
        worker = WorkerClient(tasks, SuggestionSettings(Path("nowhere"), enabled=False))
        vectors = StoredRowVectors(fabric, "none")
        suggester = Suggester(tasks, registry.rows, vectors, worker, principal)
        meanings = LibraryChoices(registry, LearnedChoices(fabric), Viewer(principal))
        yield LibraryViews(views, registry, suggester, meanings, NO_DOCSETS)
        await worker.aclose()


async def test_the_registry_ranks_what_a_phrase_means_before_what_is_alike(
    views: VisibleEntries, fabric: Fabric
) -> None:
    async with libraries_of(views, fabric, ME, WIDGET, GADGET) as libraries:
        view = await libraries.registry("widget", VIEWER)
    rows = cast("list[dict[str, Json]]", view["rows"])
    assert [(row["rank"], row["ranked_by"], row["id"]) for row in rows] == [
        (1, "exact", WIDGET.id),
        (2, "words", GADGET.id),
    ]
    assert rows[0]["score"] == 1.0
    assert view["notice"] == NOTICE


async def test_registry_of_a_shared_name_ranks_all_as_namesakes(
    views: VisibleEntries, fabric: Fabric
) -> None:
    twin = Row("widget", "npm", "/twins/widget")
    async with libraries_of(views, fabric, ME, WIDGET, twin) as libraries:
        rows = (await libraries.registry("widget", VIEWER))["rows"]
    view = {(row["ranked_by"], row["id"]) for row in cast("list[dict[str, Json]]", rows)}
    assert view == {("namesake", WIDGET.id), ("namesake", twin.id)}


async def test_without_a_phrase_the_most_used_come_first(
    views: VisibleEntries, fabric: Fabric
) -> None:
    often = Row("often", "pypi", "/a/often", usage_count=9)
    async with libraries_of(views, fabric, ME, WIDGET, often) as libraries:
        rows = cast("list[dict[str, Json]]", (await libraries.registry(" ", VIEWER))["rows"])
    assert [(row["name"], row["usage"], row["ranked_by"]) for row in rows] == [
        ("often", 9, "usage"),
        ("widget", 0, "usage"),
    ]


async def test_a_library_shows_its_row_its_versions_and_what_was_asked(
    views: VisibleEntries, fabric: Fabric
) -> None:
    shelf = AnswerStore(fabric)
    named = {
        "/widgets/widget1?start": answer(PUBLIC),
        "/widgets/widget1@2.0?start": answer(ME, "/widgets/widget1/2.0", "four"),
        "/widgets/widget1?other": answer(OTHER),
        "/widgets/widget10?start": answer(PUBLIC, "/widgets/widget10"),
    }
    for key, record in named.items():
        await shelf.write(docs_key(key), record)
    await fabric.set_context("docs:/widgets/widget1?broken", "no record")
    async with libraries_of(views, fabric, ME, WIDGET) as libraries:
        view = await libraries.library(LibraryId("widgets", "widget1"), MINE)
        unknown = await libraries.library(LibraryId("widgets", "unknown"), MINE)
    assert view is not None
    assert unknown is None
    assert cast("dict[str, Json]", view["row"])["title"] == "Widget"
    assert view["versions"] == ["1.0", "2.0"]
    questions = cast("list[dict[str, Json]]", view["questions"])
    assert [each["key"] for each in questions] == [
        f"docs:/widgets/widget1@2.0?start#{ME}",
        "docs:/widgets/widget1?start",
    ]
    assert questions[0] | {"key": ""} == {
        "question": "how to start",
        "library_id": "/widgets/widget1/2.0",
        "fetched_at": 5.0,
        "size": 4,
        "key": "",
    }


async def test_names_are_completed_in_any_case_and_in_order(
    views: VisibleEntries, fabric: Fabric
) -> None:
    other = Row("Wide", "npm", "/Widgets/wide")
    nameless = Row("without-id", "npm")
    async with libraries_of(views, fabric, ME, WIDGET, GADGET, other, nameless) as libraries:
        assert await libraries.orgs("w", VIEWER) == ["Widgets", "widgets"]
        assert await libraries.projects("widgets", "", VIEWER) == ["widget1"]
        assert await libraries.names("WI") == ["Wide", "widget", "without-id"]
