"""Clients of every era are notified of changes that they subscribed to, and of no others."""

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
class Notified:
    """A client, and the notifications that it receives."""

    client: Client
    inbox: Inbox


@asynccontextmanager
async def listening(app: App, mode: str, *uris: str) -> AsyncIterator[Notified]:
    """A client in process that subscribes to lists and to `uris`."""
    inbox, server = Inbox(), build_server(app.services, app.principal)
    async with (
        Client(server, mode=mode, cache=None, message_handler=inbox.take) as client,
        subscribed(client, *uris),
    ):
        yield Notified(client, inbox)


@IN_EACH_ERA
async def test_subscriber_of_an_entry_is_notified_when_it_is_stored_changed_or_removed(
    app: App, clock: FakeClock, mode: str
) -> None:
    async with listening(app, mode, ENTRY) as notified:
        for times in (1, 2):
            clock.forward(1)
            await app.fabric.set_context("note:bread", "flour")
            await notified.inbox.wait_for(UPDATED, ENTRY, times=times)
        await app.fabric.delete_context("note:bread")
        await notified.inbox.wait_for(UPDATED, ENTRY, times=3)
    assert set(notified.inbox.notices) == {(UPDATED, ENTRY)}


@IN_EACH_ERA
@pytest.mark.parametrize("scope", ["GLOBAL", "EXECUTION", "FEEDBACK", "USER"])
async def test_subscriber_of_a_scope_is_notified_of_its_changes(
    app: App, mode: str, scope: str
) -> None:
    uri, other = f"fabric://{scope}", f"fabric://{'USER' if scope == 'GLOBAL' else 'GLOBAL'}"
    async with listening(app, mode, uri, other) as notified:
        await app.fabric.set_context("note:bread", "flour", scope)
        await notified.inbox.wait_for(UPDATED, uri)
    assert (UPDATED, other) not in notified.inbox.notices


@IN_EACH_ERA
async def test_subscriber_is_notified_with_the_uri_it_gave(app: App, mode: str) -> None:
    async with listening(app, mode, ENTRY, "fabric://global/note:bread") as notified:
        await app.fabric.set_context("note:bread", "flour")
        await notified.inbox.wait_for(UPDATED, ENTRY)
        await notified.inbox.wait_for(UPDATED, "fabric://global/note:bread")


@IN_EACH_ERA
async def test_subscriber_is_notified_of_a_library_that_another_process_learned(
    app: App, mode: str
) -> None:
    await app.services.registry.loaded.wait()
    uris = ("library://a/b", "library://registry")
    async with listening(app, mode, *uris, "library://c/d") as notified:
        await RowStore(app.fabric, app.principal).save([Row("b", "pypi", id="/a/b")])
        for uri in uris:
            await notified.inbox.wait_for(UPDATED, uri)
    assert (UPDATED, "library://c/d") not in notified.inbox.notices


@IN_EACH_ERA
@pytest.mark.parametrize("key", ["prompt:greet", "router:main:system_message"])
async def test_clients_are_notified_of_changed_prompts_and_get_the_new_text(
    app: App, clock: FakeClock, mode: str, key: str
) -> None:
    async with listening(app, mode) as notified:
        for times, text in enumerate(("first", "second"), 1):
            clock.forward(1)
            await app.fabric.set_context(key, text)
            await notified.inbox.wait_for(PROMPTS, times=times)
            result = await notified.client.get_prompt(key.removeprefix("prompt:"))
            assert result.messages[0].content == types.TextContent(type="text", text=text)
        await app.fabric.delete_context(key)
        await notified.inbox.wait_for(PROMPTS, times=3)
    assert set(notified.inbox.notices) == {(PROMPTS, "")}


@IN_EACH_ERA
async def test_clients_are_notified_of_changed_tools_of_upstream(
    app: App, upstream: ScriptedUpstream, mode: str
) -> None:
    async with listening(app, mode) as notified:
        await call(notified.client, "query-docs", libraryId="/a/b", query="start")
        await notified.inbox.wait_for(TOOLS)
        schema = {"type": "object"}
        described = {"name": "query-docs", "description": "Newly said.", "inputSchema": schema}
        upstream.tools = ToolList((described,))
        await app.services.tools.refresh()
        await notified.inbox.wait_for(TOOLS, times=2)
        tools = {tool.name: tool for tool in (await notified.client.list_tools()).tools}
    assert tools["query-docs"].description == "Newly said."


@IN_EACH_ERA
async def test_changes_of_another_principal_are_not_notified(app: App, mode: str) -> None:
    hidden = "fabric://GLOBAL/note%23bob"
    async with listening(app, mode, hidden, ENTRY) as notified:
        await app.fabric.set_context("note#bob", "flour")
        await app.fabric.set_context("note:bread", "flour")
        await notified.inbox.wait_for(UPDATED, ENTRY)
    assert (UPDATED, hidden) not in notified.inbox.notices


async def test_one_client_that_left_leaves_nothing_behind(app: App) -> None:
    async with listening(app, "legacy", ENTRY) as stays:
        for mode in ERAS:
            async with listening(app, mode, ENTRY, "fabric://USER"):
                assert len(app.services.subscriptions._topics) == 4
        assert len(app.services.subscriptions._topics) == 3
        await app.fabric.set_context("note:bread", "flour")
        await stays.inbox.wait_for(UPDATED, ENTRY)
    assert set(app.services.subscriptions._topics) == set()


async def test_nothing_is_watched_for_a_modern_client_that_asks_for_nothing(app: App) -> None:
    async with Client(build_server(app.services, app.principal), cache=None) as client:
        await client.list_prompts()
        assert set(app.services.subscriptions._topics) == set()


async def test_a_subscription_can_be_taken_back_and_made_twice(app: App) -> None:
    async with listening(app, "legacy", ENTRY, ENTRY) as notified:
        await unsubscribe(notified.client, ENTRY)
        await unsubscribe(notified.client, ENTRY)
        assert set(app.services.subscriptions._topics) == {ListTopic.PROMPTS, ListTopic.TOOLS}
        await subscribe(notified.client, ENTRY)
        await app.fabric.set_context("note:bread", "flour")
        await notified.inbox.wait_for(UPDATED, ENTRY)
    assert notified.inbox.notices == [(UPDATED, ENTRY)]


@pytest.mark.parametrize("uri", ["fabric://stats", "fabric://ELSEWHERE", "file:///etc/passwd", ""])
async def test_subscribe_to_what_never_changes_is_refused_to_a_legacy_client(
    app: App, uri: str
) -> None:
    async with listening(app, "legacy") as notified:
        with pytest.raises(MCPError) as refused:
            await subscribe(notified.client, uri)
    assert refused.value.code == types.INVALID_PARAMS
    assert uri in refused.value.message


async def test_listen_to_what_never_changes_is_passed_over(app: App) -> None:
    async with listening(app, "auto", "fabric://stats", ENTRY) as notified:
        await app.fabric.set_context("note:bread", "flour")
        await notified.inbox.wait_for(UPDATED, ENTRY)


@IN_EACH_ERA
async def test_subscriptions_are_bounded(app: App, mode: str) -> None:
    uris = [f"fabric://USER/{number}" for number in range(MOST + 1)]
    async with Client(build_server(app.services, app.principal), mode=mode, cache=None) as client:
        with pytest.raises(MCPError, match=r"1,000 subscriptions") as refused:
            async with subscribed(client, *uris):
                pass
    assert refused.value.code == types.INVALID_PARAMS
    assert set(app.services.subscriptions._topics) == set()


async def test_a_client_that_does_not_read_holds_up_no_other(app: App, clock: FakeClock) -> None:
    async with deaf_client(app), listening(app, "legacy", ENTRY) as notified:
        for times in (1, 2, 3):
            clock.forward(1)
            await app.fabric.set_context("note:bread", "flour")
            await app.fabric.set_context("prompt:greet", "Hello")
            await notified.inbox.wait_for(UPDATED, ENTRY, times=times)
            await notified.inbox.wait_for(PROMPTS, times=times)


@asynccontextmanager
async def deaf_client(app: App) -> AsyncIterator[None]:
    """A client that shakes hands, and reads nothing after that."""
    server = build_server(app.services, app.principal)
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
    async with Client(build_server(app.services, app.principal), cache=None) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(MOST_STREAMS):
                await tasks.start(_keep_open, client)
            with pytest.raises(MCPError, match="256 streams"):
                async with subscribed(client):
                    pass
            tasks.cancel_scope.cancel()
        async with subscribed(client, ENTRY):
            assert app.services.subscriptions._topics
    assert set(app.services.subscriptions._topics) == set()


async def _keep_open(
    client: Client, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    async with subscribed(client):
        task_status.started()
        await anyio.sleep_forever()
