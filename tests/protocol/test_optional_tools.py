"""Tools of our own: served where the setting asks for them, true to their schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from context7_fabric.errors import SettingError
from context7_fabric.fabric.context import Json, Scope
from context7_fabric.mcp_server.extra_tools import OPTIONAL
from context7_fabric.settings.values import chosen_tools
from support.app_server import MODES, call
from support.optional import done, refused, serving

UPSTREAMS = ["resolve-library-id", "query-docs", "get-library-docs"]
FABRIC = ["fabric-get", "fabric-set", "fabric-query", "fabric-search"]
READING = ["fabric-get", "fabric-query", "fabric-search"]
ASKED = {"libraryId": "/widgets/widget1", "query": "start"}


class TestChoice:
    @pytest.mark.parametrize(
        ("words", "names"),
        [
            ("", UPSTREAMS),
            ("+feedback", [*UPSTREAMS, "record-feedback"]),
            ("+fabric", [*UPSTREAMS, *FABRIC]),
            ("+feedback, +fabric", [*UPSTREAMS, "record-feedback", *FABRIC]),
            ("resolve-library-id,query-docs", ["resolve-library-id", "query-docs"]),
            ("query-docs,+feedback", ["query-docs", "record-feedback"]),
            ("fabric-get,", ["fabric-get"]),
        ],
    )
    @pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
    async def test_the_words_say_what_is_listed(
        self, tmp_path: Path, words: str, names: list[str], mode: str
    ) -> None:
        async with serving(tmp_path, words, mode) as (_app, client):
            assert [tool.name for tool in (await client.list_tools()).tools] == names

    @pytest.mark.parametrize("word", ["feedback", "-fabric", "Query-docs", "+all"])
    def test_tools_setting_with_an_unknown_word_names_the_known_ones(self, word: str) -> None:
        with pytest.raises(SettingError) as raised:
            chosen_tools(f"query-docs,{word}")
        assert str(raised.value) == (
            f"CONTEXT7_FABRIC_TOOLS: {word!r} is not one of fabric-get, fabric-query,"
            " fabric-search, fabric-set, get-library-docs, query-docs, record-feedback,"
            " resolve-library-id, +feedback, +fabric"
        )

    @pytest.mark.parametrize("mode", MODES)
    async def test_what_is_not_listed_is_unknown(self, tmp_path: Path, mode: str) -> None:
        async with serving(tmp_path, "query-docs", mode) as (_app, client):
            for tool in ("resolve-library-id", "get-library-docs", *OPTIONAL, "no-such-tool"):
                with pytest.raises(MCPError, match=f"Tool {tool} not found"):
                    await call(client, tool)


class TestDescriptions:
    def test_they_are_short(self) -> None:
        assert max(len(tool["description"]) for tool in OPTIONAL.values()) < 150
        assert len(json.dumps(list(OPTIONAL.values()))) < 4_000

    @pytest.mark.parametrize("name", OPTIONAL)
    def test_every_argument_is_described_and_typed(self, name: str) -> None:
        schema = OPTIONAL[name]["inputSchema"]
        assert set(schema["required"]) <= set(schema["properties"])
        for argument, rule in schema["properties"].items():
            assert rule["description"]
            assert "type" in rule or argument == "value"

    @pytest.mark.parametrize("name", OPTIONAL)
    def test_hints_tell_who_writes(self, name: str) -> None:
        hints = OPTIONAL[name]["annotations"]
        reads = name in READING
        assert (hints["readOnlyHint"], hints["destructiveHint"]) == (reads, not reads)
        assert not hints["openWorldHint"]


class TestArguments:
    @pytest.mark.parametrize(
        ("tool", "given", "problem"),
        [
            ("fabric-get", {}, "key: Invalid input: expected string, received undefined"),
            ("fabric-get", {"key": 7}, "key: Invalid input: expected string, received number"),
            ("fabric-get", {"key": None}, "key: Invalid input: expected string, received null"),
            ("fabric-get", {"key": ""}, "key: Too small: expected string to have >=1 characters"),
            (
                "fabric-get",
                {"key": "k" * 513},
                "key: Too big: expected string to have <=512 characters",
            ),
            (
                "fabric-get",
                {"key": "k", "scope": "WORLD"},
                'scope: Invalid option: expected one of "GLOBAL"|"EXECUTION"|"FEEDBACK"|"USER"',
            ),
            (
                "fabric-set",
                {"key": "k"},
                "value: Invalid input: expected a value, received undefined",
            ),
            ("fabric-query", {"limit": 0}, "limit: Too small: expected number to be >=1"),
            ("fabric-query", {"limit": 51}, "limit: Too big: expected number to be <=50"),
            ("fabric-query", {"limit": 1.5}, "limit: Invalid input: expected int, received number"),
            (
                "fabric-query",
                {"limit": True},
                "limit: Invalid input: expected number, received boolean",
            ),
            ("fabric-search", {}, "query: Invalid input: expected string, received undefined"),
            (
                "record-feedback",
                {"executionId": "x", "rating": 6},
                "rating: Too big: expected number to be <=5",
            ),
            (
                "record-feedback",
                {"executionId": "x", "rating": "5"},
                "rating: Invalid input: expected number, received string",
            ),
        ],
    )
    async def test_faults_are_worded_as_upstream_words_them(
        self, tmp_path: Path, tool: str, given: dict[str, Any], problem: str
    ) -> None:
        async with serving(tmp_path, "+feedback,+fabric") as (_app, client):
            head = f"Input validation error: Invalid arguments for tool {tool}: "
            assert await refused(client, tool, **given) == head + problem

    async def test_call_with_several_faults_names_all(self, tmp_path: Path) -> None:
        async with serving(tmp_path, "+fabric") as (_app, client):
            text = await refused(client, "fabric-query", pattern=[], limit="x")
        assert "pattern: " in text
        assert "limit: " in text

    async def test_a_value_that_is_too_large_is_refused(self, tmp_path: Path) -> None:
        async with serving(tmp_path, "+fabric") as (app, client):
            text = await refused(client, "fabric-set", key="k", value="x" * 10_000)
            assert "Too big: expected at most 10000 bytes" in text
            assert await app.fabric.get_context("k") is None

    async def test_a_value_that_is_too_deep_is_refused(self, tmp_path: Path) -> None:
        deep: Json = None
        for _ in range(150):
            deep = [deep]
        async with serving(tmp_path, "+fabric") as (_app, client):
            assert "deep" in await refused(client, "fabric-set", key="k", value=deep)


async def test_calls_of_optional_tools_are_not_recorded(tmp_path: Path) -> None:
    async with serving(tmp_path, "+feedback,+fabric") as (app, client):
        await refused(client, "record-feedback", executionId="x", rating=1)
        await done(client, "fabric-set", key="k", value=1)
        await done(client, "fabric-query")
        await app.services.call_log.flush()
        assert await app.fabric.keys(Scope.EXECUTION) == []
