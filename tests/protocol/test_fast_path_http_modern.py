"""Answers of the HTTP fast path to a client of 2026-07-28 equal those of the SDK byte by byte."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    HEADER_MISMATCH,
    PROTOCOL_VERSION_META_KEY,
)

from context7_fabric.mcp_server import fast_path_http as module
from context7_fabric.runtime.app import App
from context7_fabric.upstream.base import ToolList
from support.app_server import (
    BESIDE,
    CALLS,
    QUERY,
    REQUEST_IDS,
    RESOLVE,
    Reply,
    Site,
    answer_meta,
    message,
    records,
    served,
    whole,
)
from support.scripted import ScriptedUpstream

VERSION = "2026-07-28"
ENVELOPE = {
    PROTOCOL_VERSION_META_KEY: VERSION,
    CLIENT_INFO_META_KEY: {"name": "tests", "version": "1"},
    CLIENT_CAPABILITIES_META_KEY: {},
}
HEADERS = {"mcp-protocol-version": VERSION, "mcp-method": "tools/call", "mcp-name": QUERY}
ROUTING = [("Mcp-Method", "tools/call"), ("Mcp-Name", QUERY)]


@pytest.fixture
async def site(app: App) -> AsyncIterator[Site]:
    async with served(app) as site:
        yield site


def asked(
    number: object = 7, tool: str = QUERY, more: Reply | None = None, **arguments: object
) -> Reply:
    """A call of a modern client."""
    return message(tool, number, ENVELOPE | (more or {}), **arguments)


async def is_by_the_sdk(site: Site, body: object, **more: Any) -> bool:  # noqa: ANN401  # as post
    """Tell whether the SDK answers, and not the fast path."""
    before = site.by_sdk
    await site.post(body, **{"headers": HEADERS, **more})
    return site.by_sdk > before


async def by_fast_path(site: Site, body: object, **headers: str) -> httpx2.Response:
    """The reply of the fast path."""
    return await site.by_fast_path(body, headers=HEADERS | headers)


@pytest.mark.parametrize(("tool", "arguments"), CALLS, ids=json.dumps)
@pytest.mark.parametrize("number", REQUEST_IDS, ids=repr)
async def test_a_hit_is_to_the_byte_what_the_sdk_would_have_sent(
    site: Site, tool: str, arguments: dict[str, Any], number: object
) -> None:
    headers = HEADERS | {"mcp-name": tool}
    by_path = await site.by_fast_path(asked(number, tool, **arguments), headers=headers)
    by_sdk = await site.post(asked(number, tool, BESIDE, **arguments), headers=headers)
    assert answer_meta(by_path)["outcome"] == "hit"
    assert by_path.headers["content-type"] == "application/json"
    assert whole(by_path) == whole(by_sdk)
    assert answer_meta(by_path)["execution_id"] != answer_meta(by_sdk)["execution_id"]


async def test_an_answer_is_recorded_as_the_sdks_with_the_client_that_asked(
    site: Site, app: App
) -> None:
    by_path = await by_fast_path(site, asked())
    by_sdk = await site.post(asked(more=BESIDE), headers=HEADERS)
    found = {each.id: each for each in await records(app)}
    one, other = (found[answer_meta(each)["execution_id"]] for each in (by_path, by_sdk))
    assert one.client == other.client == "tests 1"
    assert (one.tool, one.arguments, one.outcome, one.tier, one.library_id, one.principal) == (
        (other.tool, other.arguments, other.outcome, other.tier, other.library_id, other.principal)
    )


@pytest.mark.parametrize(
    "number",
    [1, "one"],
)
async def test_who_wants_to_hear_of_progress_is_answered_too(site: Site, number: object) -> None:
    await by_fast_path(site, asked())
    assert not await is_by_the_sdk(site, asked(more={"progressToken": number}))


@pytest.mark.parametrize(
    "body",
    [
        asked(more={CLIENT_INFO_META_KEY: {"name": "another", "version": "1"}}),
        asked(more={CLIENT_CAPABILITIES_META_KEY: {"sampling": {}}}),
        asked(more=BESIDE),
    ],
    ids=["another client", "other capabilities", "more beside"],
)
async def test_the_lane_is_closed_until_the_sdk_let_such_a_call_pass(
    site: Site, body: Reply
) -> None:
    await by_fast_path(site, asked())
    assert await is_by_the_sdk(site, body)
    await by_fast_path(site, asked())


async def test_the_lane_is_open_whatever_its_clients_name_their_arguments(site: Site) -> None:
    _tool, other = CALLS[1]
    await by_fast_path(site, asked())
    await site.by_fast_path(message(**other))
    assert not await is_by_the_sdk(site, asked(**other))


async def test_headers_that_a_tool_wants_by_now_are_wanted_in_the_lane_too(
    app: App, upstream: ScriptedUpstream, site: Site
) -> None:
    await by_fast_path(site, asked())
    schema = {"type": "object", "properties": {"query": {"type": "string", "x-mcp-header": "Q"}}}
    upstream.tools = ToolList(({"name": QUERY, "description": "Asks.", "inputSchema": schema},))
    await app.services.tools.refresh()
    await site.by_fast_path(message())
    reply = await site.post(asked(), headers=HEADERS)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, HEADER_MISMATCH)


async def test_the_lane_is_each_address_own(site: Site) -> None:
    await by_fast_path(site, asked())
    assert await is_by_the_sdk(site, asked(), peer="10.0.0.2")


async def test_a_lane_that_a_legacy_client_opened_is_closed_to_a_modern_one(site: Site) -> None:
    await site.by_fast_path(message())
    assert await is_by_the_sdk(site, asked())


async def test_client_with_a_long_envelope_has_no_fast_path(site: Site) -> None:
    named = {"name": "n" * module.LONGEST_ENVELOPE, "version": "1"}
    for _call in range(3):
        assert await is_by_the_sdk(site, asked(more={CLIENT_INFO_META_KEY: named}))


@pytest.mark.parametrize(
    "request_",
    [
        {"headers": HEADERS | {"mcp-protocol-version": "2099-01-01"}},
        {"headers": HEADERS | {"mcp-method": "tools/list"}},
        {"headers": HEADERS | {"mcp-name": RESOLVE}},
        {"headers": HEADERS | {"mcp-name": "=?base64?cXVlcnktZG9jcw==?="}},
        {"headers": HEADERS | {"mcp-param-library": "/a/b"}},
        {"headers": HEADERS | {"mcp-session-id": "one"}},
        {"headers": HEADERS | {"accept": "application/json"}},
        {"headers": HEADERS | {"content-type": "application/json; charset=utf-8"}},
        {"headers": {"mcp-protocol-version": VERSION, "mcp-name": QUERY}},
        {"headers": {"mcp-protocol-version": VERSION, "mcp-method": "tools/call"}},
        {"body": message()},
        {"body": message(meta={PROTOCOL_VERSION_META_KEY: VERSION})},
        {"body": asked(more={PROTOCOL_VERSION_META_KEY: "2025-06-18"})},
        {"body": asked(more={CLIENT_INFO_META_KEY: 7})},
        {"body": asked(more={CLIENT_CAPABILITIES_META_KEY: None})},
        {"body": asked(more={"progressToken": [1]})},
        {"body": asked(libraryId="/a/b", query=None)},
        {"body": asked() | {"method": "tools/list"}},
        {"body": [asked()]},
        {"body": b"{"},
    ],
    ids=str,
)
async def test_what_the_lane_leaves_alone_is_replied_as_if_there_were_no_lane(
    app: App, site: Site, request_: dict[str, Any]
) -> None:
    wanted: dict[str, Any] = {"body": asked(), "headers": HEADERS, **request_}
    await by_fast_path(site, asked())
    for _time in range(2):
        await site.post(**wanted)
    async with served(app) as other:
        assert whole(await site.post(**wanted)) == whole(await other.post(**wanted))


@pytest.mark.parametrize("header", ROUTING, ids=str)
async def test_a_header_that_is_there_twice_is_refused_as_ever(
    site: Site, header: tuple[str, str]
) -> None:
    await by_fast_path(site, asked())
    twice = httpx2.Headers([*HEADERS.items(), header])
    reply = await site.post(asked(), headers=twice)
    assert reply.status_code == 400
