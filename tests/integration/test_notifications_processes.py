"""Notifications of changes by other processes: within a second, over every transport."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio
import httpx2
import mcp_types as types
import pytest
from anyio import to_thread
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from support.client import FASTAPI, PLAIN, asked, call, outcome_of, result_of
from support.mcp_upstream import mcp_upstream
from support.notices import PROMPTS, TOOLS, UPDATED, Inbox, noticed_within, subscribe, subscribed
from support.product import PROGRAM, Variables, context, product_at_port, product_environment

ENTRY = "fabric://GLOBAL/note%3Abread"
OFF = {"CONTEXT7_FABRIC_UPSTREAM": "off"}
SECOND = 1.0
Connect: TypeAlias = Callable[[Variables, Inbox], AbstractAsyncContextManager[Client]]


@asynccontextmanager
async def over_stdio(mode: str, environment: Variables, inbox: Inbox) -> AsyncIterator[Client]:
    """A client of the product as its child."""
    server = StdioServerParameters(command=PROGRAM, args=[], env=dict(environment))
    async with Client(
        stdio_client(server), mode=mode, cache=None, message_handler=inbox.take
    ) as client:
        yield client


@asynccontextmanager
async def over_mcp(mode: str, environment: Variables, inbox: Inbox) -> AsyncIterator[Client]:
    """A client of the product's `/mcp`."""
    with product_at_port("http", environment) as served:
        async with httpx2.AsyncClient(verify=PLAIN, trust_env=False, timeout=40) as http:
            transport = streamable_http_client(served.url("/mcp"), http_client=http)
            async with Client(
                transport, mode=mode, cache=None, message_handler=inbox.take
            ) as client:
                yield client


@asynccontextmanager
async def over_sse(environment: Variables, inbox: Inbox) -> AsyncIterator[Client]:
    """A client of the product's `/sse`."""
    with product_at_port("sse", environment) as served:
        transport = sse_client(served.url("/sse"), httpx_client_factory=_plain)
        async with Client(
            transport, mode="legacy", cache=None, message_handler=inbox.take
        ) as client:
            yield client


def _plain(
    headers: dict[str, str] | None = None,
    timeout: httpx2.Timeout | None = None,
    auth: httpx2.Auth | None = None,
) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        headers=headers, timeout=timeout, auth=auth, verify=PLAIN, trust_env=False
    )


WAYS = [
    pytest.param(partial(over_stdio, "legacy"), id="stdio-legacy", marks=pytest.mark.either_mode),
    pytest.param(partial(over_stdio, "auto"), id="stdio-modern", marks=pytest.mark.either_mode),
    pytest.param(over_sse, id="sse-legacy"),
    pytest.param(partial(over_mcp, "auto"), id="mcp-modern"),
]


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """The product's, without an upstream."""
    return product_environment(home, OFF)


async def stored_elsewhere(environment: Variables, key: str, value: str) -> None:
    """Store a context by the command, in a process of its own."""
    done = await to_thread.run_sync(partial(context, "set", key, value, env=environment))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("connect", WAYS)
async def test_a_client_is_notified_of_what_another_process_stored(
    environment: dict[str, str], connect: Connect
) -> None:
    inbox = Inbox()
    note = partial(stored_elsewhere, environment, "note:bread")
    async with connect(environment, inbox) as client, subscribed(client, ENTRY):
        assert promised(client) == (True, True, True)
        await noticed_within(SECOND, [inbox], note, UPDATED, ENTRY)
        await stored_elsewhere(environment, "prompt:use-library", "Just do {this}.")
        await inbox.wait_for(PROMPTS)
        result = await client.get_prompt("use-library", {"this": "it"})
    assert result.messages[0].content == types.TextContent(type="text", text="Just do it.")
    assert set(inbox.notices) == {(UPDATED, ENTRY), (PROMPTS, "")}


@pytest.mark.parametrize("connect", WAYS)
async def test_a_client_is_notified_of_tools_that_another_process_fetched(
    home: Path, connect: Connect
) -> None:
    inbox = Inbox()
    with mcp_upstream() as upstream:
        environment = product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": upstream.url})
        async with asked_elsewhere(environment, "What is there first?"):
            pass
        async with (
            AsyncExitStack() as stack,
            connect(environment, inbox) as client,
            subscribed(client),
        ):

            async def described_anew(number: str) -> None:
                upstream.described = f"In other words {number}."
                others = asked_elsewhere(environment, f"What is there now, {number}?")
                await stack.enter_async_context(others)

            assert await described(client) == {"As sent."}
            await noticed_within(SECOND, [inbox], described_anew, TOOLS)
            assert await described(client) == {upstream.described}
    assert set(inbox.notices) == {(TOOLS, "")}


@asynccontextmanager
async def asked_elsewhere(environment: Variables, question: str) -> AsyncIterator[None]:
    """Ask a new question on a second server, up for the block, so that it connects to upstream."""
    message = call("query-docs", libraryId=FASTAPI, query=question)
    with product_at_port("http", environment) as served:
        reply = await to_thread.run_sync(partial(asked, served, message=message))
        assert outcome_of(result_of(reply)) == "miss"
        yield


async def described(client: Client) -> set[str | None]:
    """Return the descriptions of Context7's two tools that a client lists."""
    tools = (await client.list_tools()).tools
    return {tool.description for tool in tools if tool.name in {"resolve-library-id", "query-docs"}}


async def test_a_legacy_client_of_mcp_is_promised_nothing_that_cannot_be_kept(
    environment: dict[str, str],
) -> None:
    async with over_mcp("legacy", environment, Inbox()) as client:
        assert promised(client) == (False, False, False)
        with pytest.raises(MCPError, match="by stdio or /sse") as refused:
            await subscribe(client, ENTRY)
    assert refused.value.code == types.METHOD_NOT_FOUND


async def test_a_client_that_left_takes_nothing_from_the_others(
    environment: dict[str, str],
) -> None:
    stays, leaves = Inbox(), Inbox()
    with product_at_port("sse", environment) as served:

        def another(inbox: Inbox) -> Client:
            transport = sse_client(served.url("/sse"), httpx_client_factory=_plain)
            return Client(transport, mode="legacy", cache=None, message_handler=inbox.take)

        async with another(stays) as client:
            await subscribe(client, ENTRY)
            async with another(leaves) as other:
                await subscribe(other, ENTRY)
                await stored_elsewhere(environment, "note:bread", "flour")
                async with anyio.create_task_group() as both:
                    both.start_soon(stays.wait_for, UPDATED, ENTRY)
                    both.start_soon(leaves.wait_for, UPDATED, ENTRY)
            await stored_elsewhere(environment, "note:bread", "more flour")
            await stays.wait_for(UPDATED, ENTRY, times=2)
    assert leaves.notices == [(UPDATED, ENTRY)]


def promised(client: Client) -> tuple[object, object, object]:
    """Return which notifications the server announces: prompts, tools, subscribed resources."""
    capabilities = client.server_capabilities
    assert capabilities.prompts is not None
    assert capabilities.tools is not None
    assert capabilities.resources is not None
    return (
        capabilities.prompts.list_changed,
        capabilities.tools.list_changed,
        capabilities.resources.subscribe,
    )
