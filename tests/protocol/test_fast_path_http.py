"""Answers of the HTTP fast path to legacy clients equal those of the SDK byte by byte."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from context7_fabric.mcp_server import fast_path_http as module
from context7_fabric.models import Answer, Caller
from context7_fabric.runtime.app import App
from support.app_server import (
    BESIDE,
    CALLS,
    REQUEST_IDS,
    RESOLVE,
    Site,
    answer_meta,
    message,
    records,
    served,
    whole,
)


@pytest.fixture
async def site(app: App) -> AsyncIterator[Site]:
    async with served(app) as site:
        yield site


@pytest.mark.parametrize(("tool", "arguments"), CALLS, ids=json.dumps)
@pytest.mark.parametrize("number", REQUEST_IDS, ids=repr)
async def test_a_hit_is_to_the_byte_what_the_sdk_would_have_sent(
    site: Site, tool: str, arguments: dict[str, object], number: object
) -> None:
    by_path = await site.by_fast_path(message(tool, number, **arguments))
    by_sdk = await site.post(message(tool, number, BESIDE, **arguments))
    assert answer_meta(by_path)["outcome"] == "hit"
    assert whole(by_path) == whole(by_sdk)
    assert answer_meta(by_path)["execution_id"] != answer_meta(by_sdk)["execution_id"]


@pytest.mark.parametrize("version", HANDSHAKE_PROTOCOL_VERSIONS)
async def test_every_version_with_a_handshake_has_the_same_form(site: Site, version: str) -> None:
    headers = {"mcp-protocol-version": version}
    by_path = await site.by_fast_path(message(), headers=headers)
    assert whole(by_path) == whole(await site.post(message(meta=BESIDE), headers=headers))


@pytest.mark.parametrize("version", HANDSHAKE_PROTOCOL_VERSIONS)
async def test_observer_gets_the_request_id_and_version_of_a_call_on_the_fast_path(
    app: App, version: str
) -> None:
    watcher = Watcher()
    watched = replace(app, services=replace(app.services, observers=(watcher,)))
    async with served(watched) as site:
        await site.by_fast_path(message())
        await site.by_fast_path(message(number="seven"), headers={"mcp-protocol-version": version})
    assert (watcher.callers[-1].request_id, watcher.callers[-1].protocol) == ("seven", version)


class Watcher:
    """An observer that keeps the callers whose calls it heard of."""

    def __init__(self) -> None:
        self.callers: list[Caller] = []

    def answered(
        self, tool: str, given: Mapping[str, object], caller: Caller, answer: Answer
    ) -> None:
        """Keep who called."""
        self.callers.append(caller)

    def asked(self, ended: str, seconds: float) -> None:
        """Leave calls upstream alone."""


@pytest.mark.parametrize(
    "accept", ["*/*", "text/event-stream;q=0.5,Application/JSON", "text/*,*/*"]
)
async def test_accept_is_read_as_the_sdk_reads_it(site: Site, accept: str) -> None:
    by_path = await site.by_fast_path(message(), headers={"accept": accept})
    assert whole(by_path) == whole(
        await site.post(message(meta=BESIDE), headers={"accept": accept})
    )


@pytest.mark.parametrize(
    "request_",
    [
        {"headers": {"mcp-protocol-version": "2026-07-28"}},
        {"headers": {"mcp-protocol-version": "1999-01-01"}},
        {"headers": {"mcp-session-id": "one"}},
        {"headers": {"accept": "application/json"}},
        {"headers": {"accept": "text/event-stream"}},
        {"headers": {"accept": ""}},
        {"headers": {"content-type": "application/json; charset=utf-8"}},
        {"headers": {"content-type": "text/plain"}},
        {"method": "PUT"},
        {"method": "DELETE"},
        {"body": [message()]},
        {"body": b"{"},
        {"body": b""},
        {"body": message() | {"id": None}},
        {"body": message() | {"method": "tools/list"}},
        {"body": message(RESOLVE, libraryName="widget", query="start")},
        {"body": message(query="no library")},
        {"body": {"jsonrpc": "2.0", "method": "notifications/initialized"}},
    ],
    ids=str,
)
async def test_call_that_the_fast_path_leaves_to_the_sdk_gets_the_sdks_reply(
    app: App, site: Site, request_: dict[str, Any]
) -> None:
    wanted: dict[str, Any] = {"body": message(), **request_}
    await site.by_fast_path(message())
    await site.post(**wanted)
    async with served(app) as other:
        assert whole(await site.post(**wanted)) == whole(await other.post(**wanted))


async def test_a_request_with_a_session_is_left_to_the_sdk(site: Site) -> None:
    await site.by_fast_path(message())
    before = site.by_sdk
    assert (await site.post(message(), headers={"mcp-session-id": "one"})).status_code == 200
    assert site.by_sdk == before + 1


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-8",
        "Application/JSON",
        "APPLICATION/JSON;charset=UTF-8",
        " application/json ; x=y",
    ],
)
async def test_json_is_answered_by_the_fast_path_however_its_type_is_written(
    site: Site, kind: str
) -> None:
    await site.by_fast_path(message())
    assert (await site.by_fast_path(message(), headers={"content-type": kind})).status_code == 200


async def test_a_body_in_pieces_is_left_to_the_sdk(site: Site) -> None:
    async def pieces(end: bytes) -> AsyncIterator[bytes]:
        yield json.dumps(message()).encode()
        yield end

    by_path, before = await site.by_fast_path(message()), site.by_sdk
    assert whole(await site.post(pieces(b" "))) == whole(by_path)
    assert site.by_sdk == before + 1
    assert (await site.post(pieces(b"!"))).status_code == 400


async def test_fast_path_opens_to_an_address_once_the_sdk_has_accepted_a_call(site: Site) -> None:
    await site.by_fast_path(message(), peer="10.0.0.1")
    before = site.by_sdk
    await site.post(message(), peer="10.0.0.2")
    assert site.by_sdk == before + 1
    await site.by_fast_path(message(), peer="10.0.0.2")


async def test_no_more_addresses_are_remembered_than_may_be(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_CLIENTS", 2)
    for peer in ("1", "2", "3"):
        await site.by_fast_path(message(), peer=peer)
    before = site.by_sdk
    await site.post(message(), peer="1")
    assert site.by_sdk == before + 1


async def test_an_answer_is_recorded_as_the_sdks(site: Site, app: App) -> None:
    by_path = await site.by_fast_path(message())
    by_sdk = await site.post(message(meta=BESIDE))
    found = {each.id: each for each in await records(app)}
    one, other = (found[answer_meta(each)["execution_id"]] for each in (by_path, by_sdk))
    assert (one.tool, one.arguments, one.outcome, one.tier, one.library_id) == (
        (other.tool, other.arguments, other.outcome, other.tier, other.library_id)
    )
    assert (one.client, one.principal, one.stored_at) == (
        (other.client, other.principal, other.stored_at)
    )
