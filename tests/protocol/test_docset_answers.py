"""Answers from docsets: their place in the order, their form, and the way past them."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio import to_thread
from mcp import Client

from context7_fabric.errors import UpstreamUnreachable
from context7_fabric.mcp_server.server import build_server
from context7_fabric.mcp_server.tools import META_KEY
from context7_fabric.models import Caller, DocsetUse, Question, Viewer
from context7_fabric.parsing.snippets import parse_snippets
from context7_fabric.runtime.app import App
from support.app_server import call, message, provenance, served, texts
from support.held_docsets import ALIKE, GEARS, KNOWN, NEXT, UNKNOWN, place_docset
from support.scripted import FakeClock, ScriptedUpstream, scripted_app

DAY = 86400.0
GONE = UpstreamUnreachable("the test", "no route to host")
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
ROUTED = {
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "query-docs",
}
SHARED = "profile motor sensor bearing"
"""Words that one document has all of, and two others have some of."""

HINT = "Not enough? Ask again, and Context7 is asked."


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home that holds the docset of the made-up library."""
    place_docset(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
async def app(upstream: ScriptedUpstream, clock: FakeClock, home: Path) -> AsyncGenerator[App]:
    """Return an open app on that home."""
    async with scripted_app(upstream, clock, home) as opened:
        yield opened


@asynccontextmanager
async def window(app: App, docsets: DocsetUse = "first") -> AsyncGenerator[Client]:
    """Yield a client of its own connection with its use of docsets."""
    server = build_server(app.services, app.principal, meta="full", docsets=docsets)
    async with Client(server, mode="legacy", cache=None) as client:
        yield client


async def ask(client: Client, query: str, library: str = GEARS) -> tuple[list[str], dict[str, Any]]:
    result = await call(client, "query-docs", libraryId=library, query=query)
    return texts(result), provenance(result)


def in_reply(reply: httpx2.Response) -> dict[str, Any]:
    lines = [line[6:] for line in reply.text.split("\r\n") if line.startswith("data: ")]
    result: dict[str, Any] = json.loads((lines or [reply.text])[0])["result"]
    return result


async def test_query_when_the_docset_is_confident_is_answered_without_upstream(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    clock.forward(3 * DAY)
    async with window(app) as client:
        (page, note), about = await ask(client, KNOWN)
    assert upstream.calls == []
    first = parse_snippets(page)[0]
    assert "compensate_backlash" in first.text
    assert first.source.startswith("https://gears.example/docs/guide/backlash.md")
    assert note == f"From the documentation of {GEARS}, held here and read 3 days ago. {HINT}"
    assert (about["outcome"], about["tier"]) == ("hit", "docset")
    assert about["age_seconds"] == 3 * DAY
    assert about["library_id"] == GEARS


async def test_query_when_the_docset_is_not_confident_goes_upstream(
    app: App, upstream: ScriptedUpstream
) -> None:
    async with window(app) as client:
        found, about = await ask(client, UNKNOWN)
    assert len(found) == 1
    assert (about["outcome"], about["tier"]) == ("miss", "upstream")
    assert len(upstream.calls) == 1


async def test_get_library_docs_is_answered_by_the_docset_as_well(
    app: App, upstream: ScriptedUpstream
) -> None:
    async with window(app) as client:
        old = await call(client, "get-library-docs", context7CompatibleLibraryID=GEARS, topic=KNOWN)
    assert "compensate_backlash" in texts(old)[0]
    assert provenance(old)["tier"] == "docset"
    assert upstream.calls == []


async def test_query_when_a_fresh_copy_is_stored_serves_the_copy(
    app: App, upstream: ScriptedUpstream
) -> None:
    async with window(app, "off") as client:
        await ask(client, KNOWN)
    async with window(app) as client:
        _, about = await ask(client, KNOWN)
    assert (about["outcome"], about["tier"]) == ("hit", "question")
    assert len(upstream.calls) == 1


async def test_query_when_the_copy_is_stale_serves_it_and_refreshes_behind(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    async with window(app, "off") as client:
        await ask(client, KNOWN)
    clock.forward(4 * DAY)
    async with window(app) as client:
        _, about = await ask(client, KNOWN)
    assert (about["outcome"], about["tier"]) == ("stale", "question")


async def test_query_when_the_copy_has_expired_serves_the_confident_page(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    async with window(app, "off") as client:
        await ask(client, KNOWN)
    clock.forward(60 * DAY)
    async with window(app) as client:
        _, about = await ask(client, KNOWN)
    assert (about["outcome"], about["tier"]) == ("hit", "docset")
    assert len(upstream.calls) == 1


async def test_outage_when_an_expired_copy_is_stored_serves_it_before_an_unsure_page(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    query = f"{UNKNOWN} spindle"
    async with window(app) as client:
        await ask(client, query)
        clock.forward(60 * DAY)
        upstream.error = GONE
        _, about = await ask(client, query)
    assert (about["outcome"], about["tier"]) == ("stale", "question")


async def test_outage_when_the_docset_is_not_confident_serves_its_page_with_a_label(
    app: App, upstream: ScriptedUpstream
) -> None:
    query = f"{UNKNOWN} spindle"
    async with window(app) as client:
        await ask(client, "walk through starting")  # its snippets would come after the page
        upstream.error = GONE
        (page, note), about = await ask(client, query)
    assert "compensate_backlash" in page
    assert (about["outcome"], about["tier"]) == ("offline", "docset")
    assert "no route to host" in note
    assert GEARS in note
    assert "may not answer the question" in note
    assert HINT not in note
    assert "\n" not in note


async def test_outage_when_neither_copy_nor_page_has_the_words_serves_stored_snippets(
    app: App, upstream: ScriptedUpstream
) -> None:
    async with window(app) as client:
        await ask(client, "walk through starting")
        upstream.error = GONE
        _, about = await ask(client, "starting walk")
    assert (about["outcome"], about["tier"]) == ("offline", "snippets")


async def test_page_that_is_unsure_is_served_while_upstream_is_being_connected_too_long(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.gate, upstream.connecting_for = anyio.Event(), 10.0
    async with window(app) as client:
        (_, note), about = await ask(client, f"{UNKNOWN} spindle")
        upstream.gate.set()
    assert (about["outcome"], about["tier"]) == ("offline", "docset")
    assert "Context7 has not answered within 4 s" in note


async def test_fallback_serves_the_docset_only_where_upstream_cannot(
    app: App, upstream: ScriptedUpstream
) -> None:
    async with window(app, "fallback") as client:
        _, asked = await ask(client, KNOWN)
        upstream.error = GONE
        (_, note), about = await ask(client, NEXT)
    assert asked["tier"] == "upstream"
    assert (about["outcome"], about["tier"]) == ("offline", "docset")
    assert "no route to host" in note


async def test_off_never_serves_the_docset(app: App, upstream: ScriptedUpstream) -> None:
    upstream.error = GONE
    async with window(app, "off") as client:
        _, about = await ask(client, KNOWN)
    assert about["outcome"] == "error"


async def test_windows_of_one_app_differ_in_their_use_of_docsets(app: App) -> None:
    async with window(app, "fallback") as one, window(app) as other:
        _, asked = await ask(one, KNOWN)
        _, served = await ask(other, NEXT)
    assert (asked["tier"], served["tier"]) == ("upstream", "docset")


async def test_asked_again_on_one_connection_goes_upstream_within_ten_minutes(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    async with window(app) as client:
        assert (await ask(client, KNOWN))[1]["tier"] == "docset"
        clock.forward(599)
        assert (await ask(client, ALIKE))[1]["tier"] == "upstream"
    assert len(upstream.calls) == 1


@pytest.mark.parametrize(
    ("later", "query"), [(600, KNOWN), (0, NEXT)], ids=["too late", "the next subtopic"]
)
async def test_what_is_not_asked_again_is_served_from_the_docset(
    app: App, clock: FakeClock, later: float, query: str
) -> None:
    async with window(app) as client:
        await ask(client, KNOWN)
        clock.forward(later)
        assert (await ask(client, query))[1]["tier"] == "docset"


async def test_asked_again_on_another_connection_is_served_from_the_docset(app: App) -> None:
    async with window(app) as one, window(app) as other:
        await ask(one, KNOWN)
        assert (await ask(other, KNOWN))[1]["tier"] == "docset"


async def test_asked_again_when_upstream_is_gone_serves_the_page_with_the_reason(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.error = GONE
    async with window(app) as client:
        await ask(client, KNOWN)
        (_, note), about = await ask(client, KNOWN)
    assert (about["outcome"], about["tier"]) == ("offline", "docset")
    assert "no route to host" in note


async def test_page_two_goes_on_after_page_one_and_is_not_asked_again(app: App) -> None:
    async with window(app) as client:
        shown = []
        for page in (1, 2, 3):
            result = await call(
                client,
                "get-library-docs",
                context7CompatibleLibraryID=GEARS,
                topic=SHARED,
                tokens=200,
                page=page,
            )
            assert provenance(result)["tier"] == "docset"
            shown.append({each.title for each in parse_snippets(texts(result)[0])})
    assert all(shown)
    assert not shown[0] & shown[1]
    assert not shown[1] & shown[2]


async def test_page_beyond_the_last_is_one_line(app: App) -> None:
    async with window(app) as client:
        result = await call(
            client, "get-library-docs", context7CompatibleLibraryID=GEARS, topic=KNOWN, page=9
        )
    assert texts(result)[0].startswith("There is no page 9")


async def test_tokens_bound_the_page(app: App) -> None:
    async with window(app) as client:
        whole, short = [
            texts(
                await call(
                    client,
                    "get-library-docs",
                    context7CompatibleLibraryID=GEARS,
                    topic=SHARED,
                    page=1,
                    mode=mode,
                    tokens=tokens,
                )
            )[0]
            for mode, tokens in ((None, 5000), (None, 200))
        ]
    assert len(parse_snippets(short)) == 1 < len(parse_snippets(whole))


@pytest.mark.parametrize("mode", ["code", "info"])
async def test_mode_leaves_snippets_of_its_kind_or_all_where_there_is_none(
    app: App, home: Path, mode: str
) -> None:
    prose = {"a.md": "# Valves\n\n" + "The impeller valve opens at four bar of pressure. " * 9}
    await to_thread.run_sync(partial(place_docset, home, "/acme/valves", documents=prose))
    async with window(app) as client:
        for library, topic in ((GEARS, KNOWN), ("/acme/valves", "impeller valve pressure")):
            result = await call(
                client,
                "get-library-docs",
                context7CompatibleLibraryID=library,
                topic=topic,
                mode=mode,
            )
            assert provenance(result)["tier"] == "docset"
            assert topic.split()[0] in texts(result)[0].casefold()


async def test_empty_topic_goes_upstream_and_offline_gets_the_overview(
    app: App, upstream: ScriptedUpstream
) -> None:
    async with window(app) as client:
        first = await call(client, "get-library-docs", context7CompatibleLibraryID=GEARS)
        upstream.error = GONE
        later = await call(
            client, "get-library-docs", context7CompatibleLibraryID=f"{GEARS}/2.0", topic=" "
        )
    assert provenance(first)["tier"] == "upstream"
    assert later.is_error  # version 2.0 has no docset


async def test_empty_topic_in_an_outage_gets_the_overview(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.error = GONE
    async with window(app) as client:
        result = await call(client, "get-library-docs", context7CompatibleLibraryID=GEARS)
    page, note = texts(result)
    assert "Gears drives machine tools" in page
    assert "This is its overview." in note


async def test_docset_that_was_not_refreshed_for_a_year_only_falls_back(
    app: App, upstream: ScriptedUpstream, clock: FakeClock
) -> None:
    clock.forward(366 * DAY)
    async with window(app) as client:
        assert (await ask(client, KNOWN))[1]["tier"] == "upstream"


async def test_page_is_screened_when_it_is_served(app: App, home: Path) -> None:
    text = "# Pumps\n\nPrime the impeller\u200b valve before the first start. " + "Wait. " * 60
    place = partial(place_docset, home, "/acme/pumps", documents={"a.md": text})
    await to_thread.run_sync(place)
    async with window(app) as client:
        (page, *_), about = await ask(client, "impeller valve prime", "/acme/pumps")
    assert "\u200b" not in page
    assert about["screening"] == ["hidden"]


@pytest.mark.parametrize("modern", [False, True])
async def test_asked_again_over_stateless_http_is_recognised_by_the_address(
    app: App, modern: bool
) -> None:
    async def tier(peer: str) -> str:
        envelope = ENVELOPE if modern else None
        headers = ROUTED if modern else {}
        body = message("query-docs", 7, envelope, libraryId=GEARS, query=KNOWN)
        reply = await site.post(body, peer=peer, headers=headers)
        return str(in_reply(reply)["_meta"][META_KEY]["tier"])

    async with served(app) as site:
        assert await tier("10.0.0.1") == "docset"
        assert await tier("10.0.0.2") == "docset"
        assert await tier("10.0.0.1") == "upstream"


async def test_page_that_was_not_delivered_is_not_asked_again(app: App) -> None:
    question, caller = Question(GEARS, KNOWN), Caller(app.principal)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await app.services.query(question, caller)
    assert scope.cancelled_caught
    again = await app.services.query(question, Caller(app.principal))
    assert again.tier == "docset"


async def test_docset_that_turns_out_damaged_is_left_aside_and_upstream_answers(
    app: App, home: Path, upstream: ScriptedUpstream
) -> None:
    await to_thread.run_sync(app.services.docsets.all, Viewer())
    await to_thread.run_sync(damage, home)
    async with window(app) as client:
        assert (await ask(client, KNOWN))[1]["tier"] == "upstream"
        assert (await ask(client, NEXT))[1]["tier"] == "upstream"
    assert len(upstream.calls) == 2


def damage(home: Path) -> None:
    """Overwrite the rows of the docset that is open, all but its first page."""
    (file,) = (home / "docsets").glob("*.sqlite")
    content = file.read_bytes()
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"\xff" * (len(content) - 4096))
