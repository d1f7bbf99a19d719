"""The older tool on a newer upstream, and the newer tool on an older one."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from context7_fabric.errors import UpstreamUnreachable
from context7_fabric.parsing.snippets import parse_snippets
from context7_fabric.runtime.app import App
from context7_fabric.upstream.base import ToolList
from support.app_server import call, connected, provenance, texts
from support.scripted import FakeClock, ScriptedUpstream, docs_text, scripted_app

FIRST = "/widgets/widget1"


async def test_the_older_tool_asks_a_newer_upstream_its_topic_as_a_question(
    app: App, upstream: ScriptedUpstream
) -> None:
    async with connected(app) as client:
        result = await call(
            client, "get-library-docs", context7CompatibleLibraryID=FIRST, topic="routing"
        )
    assert upstream.calls[0].arguments == {"libraryId": FIRST, "query": "routing"}
    assert texts(result) == [docs_text({"query": "routing"})]


async def test_both_tools_share_what_is_stored(app: App, upstream: ScriptedUpstream) -> None:
    async with connected(app) as client:
        await call(client, "query-docs", libraryId=FIRST, query="routing")
        hit = await call(
            client, "get-library-docs", context7CompatibleLibraryID=FIRST, topic="routing"
        )
    assert provenance(hit)["outcome"] == "hit"
    assert len(upstream.calls) == 1


async def test_an_empty_topic_asks_with_the_librarys_title(
    app: App, upstream: ScriptedUpstream
) -> None:
    async with connected(app) as client:
        await call(client, "resolve-library-id", libraryName="widget", query="x")
        await call(client, "get-library-docs", context7CompatibleLibraryID=FIRST)
        await call(client, "get-library-docs", context7CompatibleLibraryID="/un/known")
    assert [asked.arguments["query"] for asked in upstream.calls[1:]] == ["Widget 1", "known"]


@pytest.mark.parametrize("mode", ["code", "info"])
async def test_a_mode_keeps_the_snippets_of_its_kind(app: App, mode: str) -> None:
    async with connected(app) as client:
        result = await call(
            client,
            "get-library-docs",
            context7CompatibleLibraryID=FIRST,
            topic="routing",
            mode=mode,
        )
    assert {snippet.kind for snippet in parse_snippets(texts(result)[0])} == {mode}


async def test_a_later_page_brings_stored_snippets_that_were_not_on_the_first(
    app: App,
) -> None:
    async with connected(app) as client:
        await call(client, "query-docs", libraryId=FIRST, query="streaming rows")
        first = await call(
            client, "get-library-docs", context7CompatibleLibraryID=FIRST, topic="routing"
        )
        second = await call(
            client, "get-library-docs", context7CompatibleLibraryID=FIRST, topic="routing", page=2
        )
        third = await call(
            client, "get-library-docs", context7CompatibleLibraryID=FIRST, topic="routing", page=3
        )
    shown = set(parse_snippets(texts(first)[0]))
    assert parse_snippets(texts(second)[0])
    assert not shown & set(parse_snippets(texts(second)[0]))
    assert provenance(second)["tier"] == "snippets"
    assert texts(third)[0].startswith("There is no page 3")


async def test_a_token_limit_trims_behind_the_store(app: App, upstream: ScriptedUpstream) -> None:
    async with connected(app) as client:
        whole = await call(client, "query-docs", libraryId=FIRST, query="routing")
        short = await call(
            client,
            "get-library-docs",
            context7CompatibleLibraryID=FIRST,
            topic="routing",
            tokens=300,
        )
    assert len(texts(short)[0]) <= 1200 < len(texts(whole)[0])
    assert parse_snippets(texts(short)[0])
    assert len(upstream.calls) == 1


async def test_an_older_upstream_gets_topic_mode_and_page(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.generation = 1
    async with connected(app) as client:
        await call(client, "resolve-library-id", libraryName="widget", query="x")
        await call(client, "query-docs", libraryId=FIRST, query="routing")
        await call(
            client,
            "get-library-docs",
            context7CompatibleLibraryID=FIRST,
            topic="routing",
            mode="info",
            page=2,
        )
    library = {"context7CompatibleLibraryID": FIRST}
    assert [asked.arguments for asked in upstream.calls] == [
        {"libraryName": "widget"},
        library | {"topic": "routing"},
        library | {"topic": "routing", "mode": "info", "page": 2},
    ]


async def test_pages_of_an_older_upstream_are_stored_apart(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.generation = 1
    async with connected(app) as client:
        asked = {"context7CompatibleLibraryID": FIRST, "topic": "routing"}
        one = await call(client, "get-library-docs", **asked)
        two = await call(client, "get-library-docs", **asked, page=2)
        again = await call(client, "get-library-docs", **asked, page=2)
    assert texts(one) != texts(two) == texts(again)
    assert len(upstream.calls) == 2


@dataclass
class LateLister(ScriptedUpstream):
    """An older upstream whose first list of tools fails."""

    generation: int = 1

    async def list_tools(self) -> ToolList:
        if not self.lists:
            self.lists += 1
            raise UpstreamUnreachable("the test", "no route to host")
        return await super().list_tools()


@pytest.mark.parametrize(("page", "mode"), [(2, "info"), (3, "code"), (1, "info")])
async def test_docs_when_the_generation_shows_late_keep_the_page_apart_from_the_plain_answer(
    clock: FakeClock, tmp_path: Path, page: int, mode: str
) -> None:
    upstream = LateLister()
    asked = {"context7CompatibleLibraryID": FIRST, "topic": "routing"}
    async with scripted_app(upstream, clock, tmp_path) as app, connected(app) as client:
        await call(client, "get-library-docs", **asked, page=page, mode=mode)
        plain = await call(client, "get-library-docs", **asked)
    assert texts(plain) == [docs_text(asked)]
