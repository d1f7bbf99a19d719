"""Questions share an answer if they differ in white space alone, and not otherwise."""

from dataclasses import asdict
from typing import cast

import pytest

from context7_fabric.answers.stored import DOCS, RecordFactory
from context7_fabric.fabric.context import Json
from context7_fabric.models import PUBLIC
from context7_fabric.parsing.screening import screen
from context7_fabric.runtime.app import App
from support.app_server import call, connected, provenance, texts
from support.scripted import FakeClock, ScriptedUpstream, docs_text

FIRST = "/widgets/widget1"


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ("html a element", "html i element"),
        ("Kotlin String", "Kotlin String?"),
        ("link", "links"),
        ("any", "Any"),
        ("sort a list", "sort the list"),
        ("useMap", "usemap"),
        ("call foo()", "call foo"),
        ("Vec<T>", "Vec T"),
        ("read file", "read files"),
        ("don't cache", "do not cache"),
        ("what is `is`", "what is is"),
        ("how do I log in", "log in"),
        ("from a to b", "to b from a"),
        ("\ufb01le", "file"),
        ("caf\u00e9", "cafe\u0301"),
        ("a\u200bb", "ab"),
        ("a b", "ab"),
    ],
)
async def test_query_when_anything_but_white_space_differs_asks_upstream(
    app: App, upstream: ScriptedUpstream, asked: str, other: str
) -> None:
    expected = [screen(docs_text({"query": each})).clean for each in (asked, other)]
    async with connected(app) as client:
        for outcome in ("miss", "hit", "hit"):
            for query, text in zip((asked, other), expected, strict=True):
                found = await call(client, "query-docs", libraryId=FIRST, query=query)
                assert provenance(found)["outcome"] == outcome
                assert texts(found) == [text]
        older = await call(
            client, "get-library-docs", context7CompatibleLibraryID=FIRST, topic=other
        )
    assert texts(older) == [expected[1]]
    assert [each.arguments["query"] for each in upstream.calls] == [asked, other]


@pytest.mark.parametrize(
    "other",
    [" moor a boat", "moor a boat\n", "moor  a   boat", "moor\ta\r\nboat", "moor\u00a0a\u3000boat"],
)
async def test_query_when_only_white_space_differs_is_a_hit(
    app: App, upstream: ScriptedUpstream, other: str
) -> None:
    async with connected(app) as client:
        await call(client, "query-docs", libraryId=FIRST, query="moor a boat")
        found = await call(client, "query-docs", libraryId=FIRST, query=other)
    assert provenance(found)["outcome"] == "hit"
    assert len(upstream.calls) == 1


@pytest.mark.parametrize(
    ("folded", "query"),
    [("html+element", "html element"), ("link", "link"), ("q%3Dx", "q=x"), ("", "")],
)
async def test_query_when_an_earlier_release_stored_folded_words_asks_upstream(
    app: App, clock: FakeClock, folded: str, query: str
) -> None:
    record = RecordFactory(clock, app.settings.upstream.origin).answer(
        docs_text({"query": "another question"}), FIRST, "another question", PUBLIC
    )
    key = f"{DOCS}{FIRST}?{folded}&mode=any&page=1"
    await app.fabric.set_context(key, cast("Json", asdict(record)), disposable=True)
    async with connected(app) as client:
        found = await call(client, "query-docs", libraryId=FIRST, query=query)
    assert provenance(found)["outcome"] == "miss"
    assert texts(found) != [record.text]
