"""The extent of `_meta`: brief, full or none, the same from the SDK and from every fast path."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from context7_fabric.mcp_server.tools import META_KEY
from context7_fabric.runtime.app import App
from context7_fabric.settings.values import METAS, Meta
from support.app_server import BESIDE, OLD, QUERY, RESOLVE, Reply, Site, message, opened, served
from support.scripted import FakeClock, ScriptedUpstream

BRIEF = ["outcome", "tier", "age_seconds", "execution_id"]
FULL = [
    "outcome",
    "tier",
    "fetched_at",
    "age_seconds",
    "library_id",
    "execution_id",
    "tokens_saved",
]
KEYS: dict[Meta, list[str] | None] = {"brief": BRIEF, "full": FULL, "off": None}
MOST_TOKENS = 40

CALLS: list[tuple[str, dict[str, object]]] = [
    (QUERY, {"libraryId": "/widgets/widget1", "query": "start"}),
    (QUERY, {"libraryId": "/widgets/widget2/v1.2", "query": "日本 \x85 and more"}),
    (OLD, {"libraryId": "/widgets/widget3", "topic": "start", "tokens": 30}),
]


def about(result: dict[str, Any]) -> dict[str, Any] | None:
    """Provenance that a result states, None without any."""
    stated: dict[str, Any] | None = result.get("_meta", {}).get(META_KEY)
    return stated


def without_id(body: bytes, stated: dict[str, Any] | None) -> bytes:
    return body if stated is None else body.replace(str(stated["execution_id"]).encode(), b"ID")


@pytest.mark.parametrize("meta", METAS)
@pytest.mark.parametrize(("tool", "arguments"), CALLS, ids=json.dumps)
async def test_meta_on_stdio_has_the_chosen_extent_from_lane_and_sdk(
    app: App, clock: FakeClock, meta: Meta, tool: str, arguments: dict[str, object]
) -> None:
    async with opened(app, meta=meta) as raw:
        await raw.ask(tool, **arguments)
        clock.forward(7.75)
        by_path = await raw.by_fast_path(tool, **arguments)
        by_sdk = await raw.by_the_sdk_with(BESIDE, tool, **arguments)
    stated = about(by_path["result"])
    assert (None if stated is None else list(stated)) == KEYS[meta]
    assert ("_meta" in by_path["result"]) == (meta != "off")
    assert stated is None or stated["age_seconds"] == (7.75 if meta == "full" else 7)
    assert as_bytes(by_path) == as_bytes(by_sdk)


def as_bytes(reply: Reply) -> bytes:
    return without_id(json.dumps(reply, sort_keys=True).encode(), about(reply["result"]))


MODERN = "2026-07-28"


@pytest.mark.parametrize("meta", METAS)
@pytest.mark.parametrize("modern", [False, True])
@pytest.mark.parametrize(("tool", "arguments"), CALLS, ids=json.dumps)
async def test_meta_over_http_has_the_chosen_extent_from_lane_and_sdk(
    app: App, meta: Meta, modern: bool, tool: str, arguments: dict[str, object]
) -> None:
    envelope = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    routed = {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": tool}
    more, headers = (envelope, routed) if modern else ({}, {})
    async with served(app, meta) as site:
        by_path = await site.by_fast_path(
            message(tool, 7, more or None, **arguments), headers=headers
        )
        by_sdk = await asked_of_the_sdk(site, message(tool, 7, more | BESIDE, **arguments), headers)
    stated = about(result_in(by_path))
    assert (None if stated is None else list(stated)) == KEYS[meta]
    assert without_id(by_path.content, stated) == without_id(
        by_sdk.content, about(result_in(by_sdk))
    )


async def asked_of_the_sdk(
    site: Site, body: dict[str, Any], headers: dict[str, str]
) -> httpx2.Response:
    before = site.by_sdk
    reply = await site.post(body, headers=headers)
    assert site.by_sdk == before + 1
    return reply


def result_in(reply: httpx2.Response) -> dict[str, Any]:
    lines = [line[6:] for line in reply.text.split("\r\n") if line.startswith("data: ")]
    result: dict[str, Any] = json.loads((lines or [reply.text])[0])["result"]
    return result


async def test_meta_of_what_did_not_come_from_the_store_has_no_age(app: App) -> None:
    async with opened(app, meta="brief") as raw:
        miss = await raw.ask(QUERY, libraryId="/widgets/widget7", query="begin")
        looked_up = await raw.ask(RESOLVE, libraryName="widget", query="begin")
        wrong = await raw.ask(QUERY, libraryId="/widgets/widget7")
    for reply in (miss, looked_up, wrong):
        assert list(about(reply["result"]) or {}) == ["outcome", "tier", "execution_id"]


async def test_meta_in_brief_names_what_screening_found(
    app: App, upstream: ScriptedUpstream
) -> None:
    upstream.texts[QUERY] = (
        "### Start\n\nSource: https://a.example/x\n\nUse it.\u200b\n\n```py\nrun()\n```"
    )
    async with opened(app, meta="brief") as raw:
        await raw.ask(QUERY, libraryId="/widgets/widget8", query="begin")
        hit = await raw.by_fast_path(QUERY, libraryId="/widgets/widget8", query="begin")
    assert about(hit["result"]) == {
        "outcome": "hit",
        "tier": "question",
        "age_seconds": 0,
        "execution_id": (about(hit["result"]) or {})["execution_id"],
        "screening": ["hidden"],
    }


@pytest.mark.parametrize("age", [0, 59, 86_400, 2_591_999])
async def test_meta_of_a_hit_in_brief_is_at_most_forty_tokens(
    app: App, clock: FakeClock, age: int
) -> None:
    encoding = pytest.importorskip("bpe_openai", reason="only the benchmarks install it")
    tokens = encoding.get_encoding("o200k_base")
    asked = {"libraryId": "/widgets/widget9", "query": f"begin {age}"}
    async with opened(app, meta="brief") as raw:
        await raw.ask(QUERY, **asked)
        clock.forward(age)
        results = [(await raw.ask(QUERY, **asked))["result"] for _ in range(40)]
    for result in results:
        if about(result)["outcome"] != "hit":  # type: ignore[index]
            continue
        whole = json.dumps({"_meta": result["_meta"]}, separators=(",", ":"))
        assert len(tokens.encode(whole)) <= MOST_TOKENS
        assert len(tokens.encode(json.dumps(result["_meta"]))) <= MOST_TOKENS
