"""Resources on the wire: what they say, to whom, and for how long that may be kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import mcp_types as types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from context7_fabric.fabric.context import KEY_LIMIT, Scope
from context7_fabric.models import LOCAL_OWNER
from context7_fabric.privacy.principals import owned
from context7_fabric.runtime.app import App
from context7_fabric.views.visibility import MOST_COUNTED
from support.app_server import MODES, call, connected, provenance
from support.scripted import FakeClock, ScriptedUpstream, scripted_app

ODD_KEYS = [
    "plain",
    "a/b c",
    "docs:/a/b?x+y&page=1",
    "c#",
    "100%",
    "日本語/é",
    "%2F",
    "?after=x",
    "",
]


async def read(client: Client, uri: str) -> types.ReadResourceResult:
    """Read a resource, which is one JSON object under the URI that was asked for."""
    result = await client.read_resource(uri)
    (content,) = result.contents
    assert (str(content.uri), content.mime_type) == (uri, "application/json")
    return result


async def value_at(client: Client, uri: str) -> dict[str, Any]:
    """Return the JSON value of a resource."""
    (content,) = (await read(client, uri)).contents
    return cast("dict[str, Any]", json.loads(cast("types.TextResourceContents", content).text))


@pytest.mark.parametrize("mode", MODES)
async def test_resources_and_their_templates_are_listed_with_all_that_describes_them(
    app: App, mode: str
) -> None:
    async with connected(app, mode) as client:
        resources = (await client.list_resources()).resources
        templates = (await client.list_resource_templates()).resource_templates
    assert [each.uri for each in resources] == [
        *(f"fabric://{scope}" for scope in Scope),
        "library://registry",
        "fabric://stats",
    ]
    assert [each.uri_template for each in templates] == [
        "fabric://{scope}/{key}",
        "fabric://{scope}{?after}",
        "library://registry{?q}",
        "library://{org}/{project}",
    ]
    for each in [shown.model_dump(exclude_none=True) for shown in (*resources, *templates)]:
        assert each.keys() >= {"name", "title", "description", "annotations"}
        assert each["mime_type"] == "application/json"


@pytest.mark.parametrize("mode", MODES)
async def test_everything_that_is_listed_can_be_read(app: App, mode: str) -> None:
    async with connected(app, mode) as client:
        for each in (await client.list_resources()).resources:
            await value_at(client, each.uri)


@pytest.mark.parametrize("key", ODD_KEYS)
async def test_an_entry_is_read_at_the_address_that_its_index_names(app: App, key: str) -> None:
    await app.fabric.set_context(key, {"said": "ü"}, Scope.USER, {"owner": LOCAL_OWNER}, ttl=60)
    async with connected(app) as client:
        (line,) = (await value_at(client, "fabric://USER"))["entries"]
        entry = await value_at(client, line["uri"])
    stored = await app.fabric.get_context(key, Scope.USER)
    assert stored is not None
    assert entry == {
        "scope": "USER",
        "key": key,
        "created_at": stored.created_at,
        "expires_at": stored.expires_at,
        "version": 1,
        "metadata": {"owner": LOCAL_OWNER},
        "value": {"said": "ü"},
    }


async def test_an_index_names_its_next_page_until_there_is_none(app: App, clock: FakeClock) -> None:
    keys = [f"k/{number}" for number in range(120)]
    for key in keys:
        clock.forward(1)
        await app.fabric.set_context(key, key, Scope.USER)
    seen, sizes, counts, uri = list[str](), list[int](), set[tuple[int, str]](), "fabric://USER"
    async with connected(app) as client:
        while uri:
            page = await value_at(client, uri)
            seen += [line["key"] for line in page["entries"]]
            sizes.append(len(page["entries"]))
            counts.add((page["count"], page["count_is"]))
            uri = page["next"]
    assert seen == keys[::-1]
    assert sizes == [50, 50, 20]
    assert counts == {(120, "exactly")}


async def test_an_index_says_when_there_are_more_than_it_counts(app: App) -> None:
    await app.fabric.set_many(dict.fromkeys(map(str, range(MOST_COUNTED + 1))), Scope.USER)
    async with connected(app) as client:
        page = await value_at(client, "fabric://USER")
    assert (page["count"], page["count_is"]) == (MOST_COUNTED, "at least")


@pytest.mark.parametrize(
    "uri",
    [
        "fabric://GLOBAL/nothing",
        "fabric://GLOBAL?after=nothing",
        "fabric://GLOBAL/%zz",
        "fabric://GLOBAL/%FF",
        "fabric://NOWHERE",
        "fabric://GLOBAL/" + "k" * (KEY_LIMIT + 1),
        "library://no/such",
        "library://no",
        "file:///etc/passwd",
        "no address at all",
    ],
)
@pytest.mark.parametrize(("mode", "code"), [("legacy", -32002), ("2026-07-28", -32602)])
async def test_what_is_not_there_is_the_eras_error_and_names_the_address(
    app: App, uri: str, mode: str, code: int
) -> None:
    async with connected(app, mode) as client:
        with pytest.raises(MCPError) as raised:
            await client.read_resource(uri)
    assert raised.value.code == code
    assert uri[:500] in raised.value.message
    assert len(raised.value.message) < 600


async def test_a_value_that_utf_8_cannot_say_is_escaped(app: App) -> None:
    await app.fabric.set_context("odd", "half \ud83d", Scope.USER)
    async with connected(app) as client:
        assert (await value_at(client, "fabric://USER/odd"))["value"] == "half \ud83d"


async def test_read_of_a_public_entry_alone_allows_a_shared_cache(tmp_path: Path) -> None:
    async with scripted_app(ScriptedUpstream(), FakeClock(), tmp_path, PRINCIPAL="me") as app:
        await app.services.registry.loaded.wait()
        me = app.principal
        for key in ("public", owned("docs:/a/b?x", me)):
            await app.fabric.set_context(key, 1)
        for scope in (Scope.EXECUTION, Scope.FEEDBACK, Scope.USER):
            await app.fabric.set_context("k", 1, scope)
        hints = {}
        async with connected(app, "2026-07-28") as client:
            for uri in (
                "fabric://GLOBAL/public",
                f"fabric://GLOBAL/{quote(owned('docs:/a/b?x', me))}",
                "fabric://EXECUTION/k",
                "fabric://FEEDBACK/k",
                "fabric://USER/k",
                "fabric://GLOBAL",
                "library://registry",
                "fabric://stats",
            ):
                result = await read(client, uri)
                hints[uri] = (result.cache_scope, result.ttl_ms)
            listed = await client.list_resources()
    assert hints.pop("fabric://GLOBAL/public") == ("public", 5_000)
    assert set(hints.values()) == {("private", 0)}
    assert (listed.cache_scope, listed.ttl_ms) == ("public", 3_600_000)


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_can_be_looked_into_as_soon_as_it_is_answered(app: App, mode: str) -> None:
    await app.services.registry.loaded.wait()
    async with connected(app, mode) as client:
        await call(client, "resolve-library-id", libraryName="widget", query="x")
        asked = {"libraryId": "/widgets/widget1", "query": "how to begin"}
        result = await call(client, "query-docs", **asked)
        record = await value_at(
            client, f"fabric://EXECUTION/execution:{provenance(result)['execution_id']}"
        )
        library = await value_at(client, "library://widgets/widget1")
        answer = await value_at(client, f"fabric://GLOBAL/{quote(library['questions'][0]['key'])}")
        figures = await value_at(client, "fabric://stats")
        found = await value_at(client, "library://registry?q=widget1")
    assert record["value"]["arguments"] == asked
    assert library["row"]["title"] == "Widget 1"
    assert library["questions"][0]["question"] == "how to begin"
    assert answer["from"] == library["from"] == found["from"] == "context7"
    assert "/widgets/widget1" in {row["id"] for row in found["rows"]}
    assert figures["last_day"] == {"records": 2, "hits": 0, "hit_rate": 0.0}
    assert figures["calls_this_month"] == 2


async def test_no_resource_shows_the_key_that_was_used_nor_the_stores_secret(
    tmp_path: Path,
) -> None:
    key = "ctx7sk-0123456789abcdef"
    upstream = ScriptedUpstream()
    command = f"npx -y @upstash/context7-mcp --api-key {key}"
    async with (
        scripted_app(upstream, FakeClock(), tmp_path, UPSTREAM=command) as app,
        connected(app) as client,
    ):
        await call(client, "query-docs", libraryId="/widgets/widget1", query=f"use {key}")
        await app.services.tools.refresh()
        await app.services.call_gate.limited("too many calls", 60)
        await app.services.quota.flush()
        uris = [each.uri for each in (await client.list_resources()).resources]
        for scope in Scope:
            keys = await app.fabric.keys(scope, "")
            uris += [f"fabric://{scope}/{quote(key, safe='')}" for key in keys]
        texts = [json.dumps(await value_at(client, uri)) for uri in uris]
    shown = "\n".join(texts)
    assert app.principal.startswith("key-")
    assert "meter:" in shown
    assert "upstream:rest:" in shown
    assert "upstream:tools:" in shown
    assert key not in shown
    assert (tmp_path / "secret").read_bytes().hex() not in shown
