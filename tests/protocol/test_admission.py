"""Nothing but lists and snippets is ever stored; redirects are followed and learned."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from context7_fabric.parsing.screening import screen
from context7_fabric.runtime.app import App
from support.app_server import call, connected, provenance, texts
from support.scripted import FakeClock, ScriptedUpstream, docs_text

AFTER_ANY_REST = 7200

ERRORS = [
    (
        "Rate limited or quota exceeded. Create a free API key at https://context7.com/dashboard"
        " for higher limits."
    ),
    (
        "Monthly quota exceeded. Create a free API key at https://context7.com/dashboard for more"
        " requests."
    ),
    "Invalid API key. Please check your API key. API keys should start with 'ctx7sk' prefix.",
    "The library you are trying to access does not exist. Please try with a different library ID.",
    "Request failed with status 503. Please try again later.",
    "Error searching libraries: TypeError: fetch failed",
    "Error fetching library context. Please try again later. TypeError: fetch failed",
    '{"error":"library_not_finalized","message":"Library is not finalized yet."}',
    'Library "/x/y" not found. Please check the library ID or your access permissions.',
    'No libraries found for "zzz". Try a different search term.',
    'Version "v14.x.x" not found for library "/vercel/next.js". Available versions: v15',
    "Documentation not found or not finalized for this library.",
    "<html><body>502 Bad Gateway</body></html>",
    "<!DOCTYPE html>\n<html>\n<h1>Sign in</h1>\n" + "- Wi-Fi\n" * 400,
    'Library "httpx" not found.',
    "upstream connect error or disconnect/reset before headers",
    "No server is available to handle this request. " * 40,
    '{"statusCode": 500, "detail": "oops"}',
    "",
    "\x00\x01\x02",
    "# A README\n\n### Usage\n\nwithout a source",
]


@pytest.mark.parametrize("text", ERRORS)
async def test_what_is_no_documentation_is_passed_on_and_never_stored(
    app: App, upstream: ScriptedUpstream, clock: FakeClock, text: str
) -> None:
    upstream.texts = {"query-docs": text, "resolve-library-id": text}
    async with connected(app) as client:
        docs = await call(client, "query-docs", libraryId="/a/b", query="start")
        clock.forward(AFTER_ANY_REST)
        found = await call(client, "resolve-library-id", libraryName="a", query="start")
    assert texts(docs) == texts(found) == [screen(text).clean]
    expected = ("miss",) if "# A README" in text else ("error", "negative")
    assert provenance(docs)["outcome"] in expected
    assert provenance(found)["outcome"] in expected
    assert await app.services.answer_store.counts() == {"answers": 0, "lists": 0, "quarantined": 0}


async def test_a_result_that_upstream_calls_an_error_is_one_here_and_not_stored(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.is_error = True
    async with connected(app) as client:
        result = await call(client, "query-docs", libraryId="/a/b", query="start")
    assert result.is_error
    assert await app.services.answer_store.counts() == {"answers": 0, "lists": 0, "quarantined": 0}


def redirecting(moves: Mapping[str, str]) -> Callable[[str, Mapping[str, Any]], str]:
    """Return replies of an upstream that redirects ids as `moves` say."""

    def say(tool: str, arguments: Mapping[str, Any]) -> str:
        asked = arguments["libraryId"]
        if asked in moves:
            return f"Library {asked} has been redirected to this library: {moves[asked]}."
        return docs_text(arguments)

    return say


async def test_a_chain_of_three_redirects_is_followed_and_learned(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.say = redirecting({"/a/one": "/a/two", "/a/two": "/a/three", "/a/three": "/a/four"})
    async with connected(app) as client:
        miss = await call(client, "query-docs", libraryId="/a/one", query="start")
        upstream.calls.clear()
        hit = await call(client, "query-docs", libraryId="/a/one", query="start")
        fresh = await call(client, "query-docs", libraryId="/a/two", query="another thing")
    assert texts(miss) == texts(hit) == [docs_text({"query": "start"})]
    assert provenance(miss)["library_id"] == "/a/four"
    assert provenance(hit)["outcome"] == "hit"
    assert provenance(fresh)["library_id"] == "/a/four"
    assert [asked.arguments["libraryId"] for asked in upstream.calls] == ["/a/four"]


async def test_a_redirect_without_end_is_passed_on_and_not_stored(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.say = redirecting({"/a/one": "/a/two", "/a/two": "/a/one"})
    async with connected(app) as client:
        result = await call(client, "query-docs", libraryId="/a/one", query="start")
    assert "redirected" in texts(result)[0]
    assert await app.services.answer_store.counts() == {"answers": 0, "lists": 0, "quarantined": 0}
    assert len(upstream.calls) == 2


async def test_what_is_stored_under_an_id_is_served_after_the_id_has_moved(
    app: App, upstream: ScriptedUpstream
) -> None:
    async with connected(app) as client:
        await call(client, "query-docs", libraryId="/a/one", query="start")
        upstream.say = redirecting({"/a/one": "/a/two"})
        await call(client, "query-docs", libraryId="/a/one", query="something else")
        hit = await call(client, "query-docs", libraryId="/a/one", query="start")
    assert provenance(hit)["outcome"] == "hit"
