"""`fabric-*`: contexts are read and written, the program's own and other people's are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from context7_fabric.errors import StoreError, TooManyAuthored
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.context import Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.mcp_server.extra_tools import BEGINNING, LONGEST_VALUE
from context7_fabric.models import Viewer
from context7_fabric.views.contexts import BOOKKEEPING, ContextViews
from support.app_server import MODES, call, provenance
from support.optional import done, keys, refused, serving
from support.scripted import FakeClock
from unit.fabric.fakes import Broken

UPSTREAMS = ["resolve-library-id", "query-docs", "get-library-docs"]
FABRIC = ["fabric-get", "fabric-set", "fabric-query", "fabric-search"]
READING = ["fabric-get", "fabric-query", "fabric-search"]
ASKED = {"libraryId": "/widgets/widget1", "query": "start"}


class TestContexts:
    @pytest.mark.parametrize("value", ["text", 7, 1.5, True, None, [1, "x"], {"a": {"b": None}}])
    @pytest.mark.parametrize("scope", list(Scope))
    async def test_what_is_set_is_got(self, tmp_path: Path, value: Json, scope: str) -> None:
        async with serving(tmp_path, "+fabric") as (_app, client):
            text = await done(client, "fabric-set", key="note:a", value=value, scope=scope)
            assert text == f"stored 'note:a' in {scope}"
            got = json.loads(await done(client, "fabric-get", key="note:a", scope=scope))
            assert (got["key"], got["scope"], got["value"]) == ("note:a", scope, value)

    @pytest.mark.parametrize("mode", MODES)
    async def test_what_is_set_is_found(self, tmp_path: Path, mode: str) -> None:
        async with serving(tmp_path, "+fabric", mode) as (_app, client):
            await done(client, "fabric-set", key="note:bread", value="flour and water")
            await done(client, "fabric-set", key="note:long", value={"text": "x" * 500})
            assert set(await keys(client, "fabric-query", pattern="note:*")) == {
                "note:bread",
                "note:long",
            }
            assert len(await keys(client, "fabric-query", pattern="note:*", limit=1)) == 1
            assert await keys(client, "fabric-search", query="water") == ["note:bread"]
            listed = json.loads(await done(client, "fabric-query", pattern="note:l*"))
            assert len(listed["contexts"][0]["beginning"]) == BEGINNING

    async def test_each_owner_has_keys_of_its_own_in_user(self) -> None:
        clock = FakeClock()
        async with Fabric(MemoryBackend(), clock) as fabric:
            owners = {
                name: ContextViews(fabric, clock, Viewer(owner=name))
                for name in ("ann", "bob", "local")
            }
            for name, contexts in owners.items():
                await contexts.set("theme", f"{name}'s theme", Scope.USER)
            for name, contexts in owners.items():
                got = await contexts.get("theme", Scope.USER)
                listed = await contexts.query("th*", Scope.USER, 10)
                found = await contexts.search("theme", Scope.USER, 10)
                assert got is not None
                assert [each.key for each in (got, *listed, *found)] == ["theme"] * 3
                assert {str(each.value) for each in (got, *listed, *found)} == {f"{name}'s theme"}

    @pytest.mark.parametrize("scope", Scope)
    async def test_what_is_set_is_never_evicted(self, scope: Scope) -> None:
        clock = FakeClock()
        async with Fabric(MemoryBackend(authored_limit=1), clock) as fabric:
            contexts = ContextViews(fabric, clock, Viewer())
            await contexts.set("first", 1, scope)
            with pytest.raises(TooManyAuthored):
                await contexts.set("second", 2, scope)

    async def test_set_in_a_store_that_refuses_it_fails(self) -> None:
        clock = FakeClock()
        async with Fabric(Broken(), clock) as fabric:
            contexts = ContextViews(fabric, clock, Viewer())
            with pytest.raises(StoreError, match=r"could not be stored: .*disk full"):
                await contexts.set("k", 1, Scope.USER)

    async def test_get_without_a_context_fails(self, tmp_path: Path) -> None:
        async with serving(tmp_path, "+fabric") as (_app, client):
            text = await refused(client, "fabric-get", key="k", scope="USER")
            assert text == "there is no 'k' in USER"

    async def test_get_of_a_context_that_is_too_long_fails(self, tmp_path: Path) -> None:
        async with serving(tmp_path, "+fabric") as (app, client):
            await app.fabric.set_context("k", "x" * LONGEST_VALUE)
            assert "a call returns 100,000" in await refused(client, "fabric-get", key="k")

    @pytest.mark.parametrize("prefix", BOOKKEEPING)
    async def test_the_programs_own_keys_are_not_written(self, tmp_path: Path, prefix: str) -> None:
        async with serving(tmp_path, "+fabric") as (app, client):
            text = await refused(client, "fabric-set", key=f"{prefix}x", value="forged")
            assert text.endswith("such keys are reserved for the program itself")
            assert await app.fabric.get_context(f"{prefix}x") is None

    async def test_every_key_that_the_program_writes_is_its_own(self, tmp_path: Path) -> None:
        async with serving(tmp_path, "+feedback") as (app, client):
            await call(client, "resolve-library-id", libraryName="widget", query="start")
            answer = await call(client, "query-docs", **ASKED)
            assert not answer.is_error
            await app.services.call_log.flush()
            await app.services.quota.flush()
            await app.services.registry.flush()
            rated = provenance(answer)["execution_id"]
            await done(client, "record-feedback", executionId=rated, rating=5)
            written = [key for scope in Scope for key in await app.fabric.keys(scope)]
        assert {key for key in written if not key.startswith(BOOKKEEPING)} == set()
        assert {key.partition(":")[0] for key in written} >= {"docs", "list", "execution"}

    async def test_text_from_outside_is_marked_as_data(self, tmp_path: Path) -> None:
        async with serving(tmp_path, "query-docs,+fabric") as (_app, client):
            await call(client, "query-docs", **ASKED)
            (key,) = await keys(client, "fabric-query", pattern="docs:*")
            got = json.loads(await done(client, "fabric-get", key=key))
            assert got["from"] == "context7"
            assert "It is data" in got["notice"]


class TestPrivacy:
    @pytest.mark.parametrize(
        ("key", "scope", "metadata"),
        [
            ("note:x#name-other", Scope.GLOBAL, {}),
            ("note:x", Scope.EXECUTION, {"principal": "name-other"}),
            ("note:x", Scope.FEEDBACK, {"principal": "name-other"}),
            ("note:x", Scope.USER, {"owner": "another"}),
        ],
    )
    async def test_what_another_owns_is_neither_read_nor_written(
        self, tmp_path: Path, key: str, scope: Scope, metadata: dict[str, Json]
    ) -> None:
        async with serving(tmp_path, "+fabric", PRINCIPAL="me") as (app, client):
            await app.fabric.set_context(key, "secret", scope, metadata)
            assert "there is no" in await refused(client, "fabric-get", key=key, scope=scope)
            assert await keys(client, "fabric-query", scope=scope, pattern="note:*") == []
            assert await keys(client, "fabric-search", scope=scope, query="secret") == []
            text = await refused(client, "fabric-set", key=key, value="mine", scope=scope)
            assert text.endswith("it belongs to another owner")
            kept = await app.fabric.get_context(key, scope)
            assert kept is not None
            assert kept.value == "secret"

    async def test_what_is_mine_is_found_behind_what_is_not(self, tmp_path: Path) -> None:
        async with serving(tmp_path, "+fabric") as (app, client):
            await done(client, "fabric-set", key="note:mine", value="water", scope="USER")
            for number in range(120):
                metadata: dict[str, Json] = {"owner": "another"}
                await app.fabric.set_context(f"n{number}", "water", Scope.USER, metadata)
            for tool, asked in (("fabric-query", {}), ("fabric-search", {"query": "water"})):
                assert await keys(client, tool, scope="USER", limit=1, **asked) == ["note:mine"]

    async def test_what_is_set_is_the_callers(self, tmp_path: Path) -> None:
        async with serving(tmp_path, "+fabric", PRINCIPAL="me") as (app, client):
            shown = {}
            for scope in Scope:
                await done(client, "fabric-set", key="k", value=1, scope=scope)
                context = await app.fabric.get_context("k", scope)
                assert context is not None
                shown[scope.value] = context.metadata
        assert shown == {
            "GLOBAL": {},
            "EXECUTION": {"principal": "name-me"},
            "FEEDBACK": {"principal": "name-me"},
            "USER": {"owner": "local"},
        }
