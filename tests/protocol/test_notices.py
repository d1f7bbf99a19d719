"""Clients of every era are told of changes that they asked about, and of nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage

from context7_fabric.mcp_server.notifications import MOST, MOST_STREAMS
from context7_fabric.mcp_server.server import build_server
from context7_fabric.registry.row_store import RowStore
from context7_fabric.registry.rows import Row
from context7_fabric.runtime.app import App
from context7_fabric.upstream.base import ToolList
from context7_fabric.views.subscriptions import ListTopic
from support.app_server import call
from support.notices import PROMPTS, TOOLS, UPDATED, Inbox, subscribe, subscribed, unsubscribe
from support.scripted import FakeClock, ScriptedUpstream

ENTRY = "fabric://GLOBAL/note%3Abread"
INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "tests", "version": "1"},
    },
}
INITIALIZED: dict[str, Any] = {"jsonrpc": "2.0", "method": "notifications/initialized"}
ERAS = ("legacy", "2026-07-28")
IN_EACH_ERA = pytest.mark.parametrize("mode", ERAS)


@dataclass
class Told:
    """A client, and what it is told."""

    client: Client
    inbox: Inbox


@asynccontextmanager
async def listening(app: App, mode: str, *uris: str) -> AsyncIterator[Told]:
    """A client in process that wants to be told of lists and of `uris`."""
    inbox, server = Inbox(), build_server(app.desk, app.principal)
    async with (
        Client(server, mode=mode, cache=None, message_handler=inbox.take) as client,
        subscribed(client, *uris),
    ):
        yield Told(client, inbox)


@IN_EACH_ERA
async def test_a_subscriber_is_told_that_an_entry_was_stored_changed_or_removed(
    app: App, clock: FakeClock, mode: str
) -> None:
    async with listening(app, mode, ENTRY) as told:
        for times in (1, 2):
            clock.forward(1)
            await app.fabric.set_context("note:bread", "flour")
            await told.inbox.wait_for(UPDATED, ENTRY, times=times)
        await app.fabric.delete_context("note:bread")
        await told.inbox.wait_for(UPDATED, ENTRY, times=3)
    assert set(told.inbox.notices) == {(UPDATED, ENTRY)}


@IN_EACH_ERA
@pytest.mark.parametrize("scope", ["GLOBAL", "EXECUTION", "FEEDBACK", "USER"])
async def test_a_subscriber_of_a_scope_is_told_of_what_happens_in_it(
    app: App, mode: str, scope: str
) -> None:
    uri, other = f"fabric://{scope}", f"fabric://{'USER' if scope == 'GLOBAL' else 'GLOBAL'}"
    async with listening(app, mode, uri, other) as told:
        await app.fabric.set_context("note:bread", "flour", scope)
        await told.inbox.wait_for(UPDATED, uri)
    assert (UPDATED, other) not in told.inbox.notices


@IN_EACH_ERA
async def test_each_is_told_by_the_uri_it_gave(app: App, mode: str) -> None:
    async with listening(app, mode, ENTRY, "fabric://global/note:bread") as told:
        await app.fabric.set_context("note:bread", "flour")
        await told.inbox.wait_for(UPDATED, ENTRY)
        await told.inbox.wait_for(UPDATED, "fabric://global/note:bread")


@IN_EACH_ERA
async def test_a_subscriber_is_told_of_a_library_that_another_process_learned(
    app: App, mode: str
) -> None:
    await app.desk.registry.loaded.wait()
    uris = ("library://a/b", "library://registry")
    async with listening(app, mode, *uris, "library://c/d") as told:
        await RowStore(app.fabric, app.principal).save([Row("b", "pypi", id="/a/b")])
        for uri in uris:
            await told.inbox.wait_for(UPDATED, uri)
    assert (UPDATED, "library://c/d") not in told.inbox.notices


@IN_EACH_ERA
@pytest.mark.parametrize("key", ["prompt:greet", "router:main:system_message"])
async def test_clients_are_told_that_prompts_changed_and_get_the_new_text(
    app: App, clock: FakeClock, mode: str, key: str
) -> None:
    async with listening(app, mode) as told:
        for times, text in enumerate(("first", "second"), 1):
            clock.forward(1)
            await app.fabric.set_context(key, text)
            await told.inbox.wait_for(PROMPTS, times=times)
            result = await told.client.get_prompt(key.removeprefix("prompt:"))
            assert result.messages[0].content == types.TextContent(type="text", text=text)
        await app.fabric.delete_context(key)
        await told.inbox.wait_for(PROMPTS, times=3)
    assert set(told.inbox.notices) == {(PROMPTS, "")}


@IN_EACH_ERA
async def test_clients_are_told_that_upstreams_tools_changed(
    app: App, upstream: ScriptedUpstream, mode: str
) -> None:
    async with listening(app, mode) as told:
        await call(told.client, "query-docs", libraryId="/a/b", query="start")
        await told.inbox.wait_for(TOOLS)
        schema = {"type": "object"}
        described = {"name": "query-docs", "description": "Newly said.", "inputSchema": schema}
        upstream.tools = ToolList((described,))
        await app.desk.tools.refresh()
        await told.inbox.wait_for(TOOLS, times=2)
        tools = {tool.name: tool for tool in (await told.client.list_tools()).tools}
    assert tools["query-docs"].description == "Newly said."


@IN_EACH_ERA
async def test_what_belongs_to_another_principal_is_not_told_of(app: App, mode: str) -> None:
    hidden = "fabric://GLOBAL/note%23bob"
    async with listening(app, mode, hidden, ENTRY) as told:
        await app.fabric.set_context("note#bob", "flour")
        await app.fabric.set_context("note:bread", "flour")
        await told.inbox.wait_for(UPDATED, ENTRY)
    assert (UPDATED, hidden) not in told.inbox.notices


async def test_one_client_that_left_leaves_nothing_behind(app: App) -> None:
    async with listening(app, "legacy", ENTRY) as stays:
        for mode in ERAS:
            async with listening(app, mode, ENTRY, "fabric://USER"):
                assert len(app.desk.changes._topics) == 4
        assert len(app.desk.changes._topics) == 3
        await app.fabric.set_context("note:bread", "flour")
        await stays.inbox.wait_for(UPDATED, ENTRY)
    assert set(app.desk.changes._topics) == set()


async def test_nothing_is_watched_for_a_modern_client_that_asks_for_nothing(app: App) -> None:
    async with Client(build_server(app.desk, app.principal), cache=None) as client:
        await client.list_prompts()
        assert set(app.desk.changes._topics) == set()


async def test_a_subscription_can_be_taken_back_and_made_twice(app: App) -> None:
    async with listening(app, "legacy", ENTRY, ENTRY) as told:
        await unsubscribe(told.client, ENTRY)
        await unsubscribe(told.client, ENTRY)
        assert set(app.desk.changes._topics) == {ListTopic.PROMPTS, ListTopic.TOOLS}
        await subscribe(told.client, ENTRY)
        await app.fabric.set_context("note:bread", "flour")
        await told.inbox.wait_for(UPDATED, ENTRY)
    assert told.inbox.notices == [(UPDATED, ENTRY)]


@pytest.mark.parametrize("uri", ["fabric://stats", "fabric://ELSEWHERE", "file:///etc/passwd", ""])
async def test_what_is_not_told_of_is_refused_to_a_legacy_client(app: App, uri: str) -> None:
    async with listening(app, "legacy") as told:
        with pytest.raises(MCPError) as refused:
            await subscribe(told.client, uri)
    assert refused.value.code == types.INVALID_PARAMS
    assert uri in refused.value.message


async def test_what_is_not_told_of_is_passed_over_in_a_stream(app: App) -> None:
    async with listening(app, "auto", "fabric://stats", ENTRY) as told:
        await app.fabric.set_context("note:bread", "flour")
        await told.inbox.wait_for(UPDATED, ENTRY)


@IN_EACH_ERA
async def test_subscriptions_are_bounded(app: App, mode: str) -> None:
    uris = [f"fabric://USER/{number}" for number in range(MOST + 1)]
    async with Client(build_server(app.desk, app.principal), mode=mode, cache=None) as client:
        with pytest.raises(MCPError, match=r"1,000 subscriptions") as refused:
            async with subscribed(client, *uris):
                pass
    assert refused.value.code == types.INVALID_PARAMS
    assert set(app.desk.changes._topics) == set()


async def test_a_client_that_does_not_read_keeps_nobody_waiting(app: App, clock: FakeClock) -> None:
    async with deaf_client(app), listening(app, "legacy", ENTRY) as told:
        for times in (1, 2, 3):
            clock.forward(1)
            await app.fabric.set_context("note:bread", "flour")
            await app.fabric.set_context("prompt:greet", "Hello")
            await told.inbox.wait_for(UPDATED, ENTRY, times=times)
            await told.inbox.wait_for(PROMPTS, times=times)


@asynccontextmanager
async def deaf_client(app: App) -> AsyncIterator[None]:
    """A client that shakes hands, and reads nothing after that."""
    server = build_server(app.desk, app.principal)
    to_server, from_client = anyio.create_memory_object_stream[SessionMessage | Exception](8)
    to_client, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    async with to_server, from_server, anyio.create_task_group() as tasks:
        tasks.start_soon(server.run, from_client, to_client, server.create_initialization_options())
        await to_server.send(SessionMessage(types.JSONRPCRequest(**INITIALIZE)))
        await from_server.receive()
        await to_server.send(SessionMessage(types.JSONRPCNotification(**INITIALIZED)))
        yield
        tasks.cancel_scope.cancel()


async def test_streams_are_bounded(app: App) -> None:
    async with Client(build_server(app.desk, app.principal), cache=None) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(MOST_STREAMS):
                await tasks.start(_keep_open, client)
            with pytest.raises(MCPError, match="256 streams"):
                async with subscribed(client):
                    pass
            tasks.cancel_scope.cancel()
        async with subscribed(client, ENTRY):
            assert app.desk.changes._topics
    assert set(app.desk.changes._topics) == set()


async def _keep_open(
    client: Client, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    async with subscribed(client):
        task_status.started()
        await anyio.sleep_forever()
