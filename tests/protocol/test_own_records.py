"""Lists of contexts hold what users stored and what was answered, not the program's own records."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from context7_fabric.runtime.app import App
from context7_fabric.settings.values import ADDED_TOOLS
from support.app_server import call, connected, texts
from support.scripted import FakeClock, ScriptedUpstream, scripted_app

OWN = [
    ("meter::2027-01:sum", {"calls": 3, "saved": 1}),
    ("row:npm:harbour", {"library_name": "harbour"}),
    ("rows:revision", 4),
    ("choice:harbour", {"library_id": "/harbour/ledger"}),
    ("move:/old/place", {"to": "/new/place"}),
    ("upstream:rest:", {"until": 1.0}),
    ("upstream:tools:https://a.example", {"tools": []}),
    ("doctor:0123", "a probe of the harbour"),
]
USERS = [("note:harbour", "the harbour"), ("meters", "a harbour's meters"), ("rowing", "harbour")]


@pytest.fixture
async def app(upstream: ScriptedUpstream, clock: FakeClock, tmp_path: Path) -> AsyncIterator[App]:
    async with scripted_app(upstream, clock, tmp_path / "home", TOOLS="+fabric") as opened:
        for key, value in (*USERS, *OWN):
            await opened.fabric.set_context(key, value)  # type: ignore[arg-type]
        yield opened


def keys(text: str) -> list[str]:
    told: dict[str, Any] = json.loads(text)
    entries = next(each for each in told.values() if isinstance(each, list) and each)
    return [each["key"] for each in entries]


async def queried(client: Client, pattern: str) -> str:
    return texts(await call(client, "fabric-query", pattern=pattern))[0]


async def test_tools_that_list_and_search_leave_the_programs_own_out(app: App) -> None:
    assert "fabric-query" in ADDED_TOOLS["+fabric"]
    async with connected(app) as client:
        found = await queried(client, "*")
        similar = texts(await call(client, "fabric-search", query="harbour", limit=20))[0]
    for text in (found, similar):
        assert set(keys(text)) == {key for key, _value in USERS}


@pytest.mark.parametrize("key", [key for key, _value in OWN if key != "rows:revision"])
async def test_pattern_that_names_the_programs_own_finds_it(app: App, key: str) -> None:
    kind = key.partition(":")[0]
    async with connected(app) as client:
        assert key in keys(await queried(client, f"{kind}:*"))


async def test_index_of_a_scope_leaves_the_programs_own_out_and_counts_the_rest(app: App) -> None:
    async with connected(app) as client:
        (shown,) = (await client.read_resource("fabric://GLOBAL")).contents
        told = json.loads(shown.text)  # type: ignore[union-attr]
        own = await client.read_resource("fabric://GLOBAL/meter%3A%3A2027-01%3Asum")
    assert {each["key"] for each in told["entries"]} == {key for key, _value in USERS}
    assert (told["count"], told["count_is"]) == (3, "exactly")
    assert '"calls": 3' in own.contents[0].text or '"calls":3' in own.contents[0].text  # type: ignore[union-attr]
