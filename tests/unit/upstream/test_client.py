"""MCP client of Context7: every wait is bounded, and a connection of no use is replaced."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio
import mcp_types as types
import pytest
from anyio.abc import TaskGroup
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage

from context7_fabric.errors import UpstreamTimeout, UpstreamUnreachable
from context7_fabric.upstream.client import MOST_PAGES, McpUpstream

TIMEOUT = 0.5
ENOUGH = 15.0
"""Seconds within which all is over that is bounded by `TIMEOUT`; telling a peer that a request is
given up takes the SDK five more where the peer does not read."""

TOOL = {"name": "query-docs", "inputSchema": {"type": "object"}}
ANSWERS: dict[str, dict[str, Any]] = {
    "initialize": {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "peer", "version": "1"},
    },
    "tools/list": {"tools": [TOOL]},
    "tools/call": {"content": [{"type": "text", "text": "an answer"}]},
}


class Replies(Protocol):
    """Stream to which the peer writes."""

    async def send(self, item: SessionMessage, /) -> None: ...


@dataclass
class Peer:
    """The other end of each connection; it never answers what is in `mute`."""

    mute: set[str] = field(default_factory=set)
    deaf_from: str | None = None
    """It reads nothing any more, once such a request has come."""

    pages: list[dict[str, Any]] = field(default_factory=list)
    """Pages that it lists first, one after the other."""

    opened: int = 0
    closed: int = 0
    heard: list[str] = field(default_factory=list)
    hearing: anyio.Event = field(default_factory=anyio.Event)

    def open(self) -> AbstractAsyncContextManager[Any]:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Any]:
        self.opened += 1
        async with (
            create_client_server_memory_streams() as (ours, theirs),
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(self._serve, *theirs)
            try:
                yield ours
            finally:
                self.closed += 1
                tasks.cancel_scope.cancel()

    async def _serve(self, requests: AsyncIterable[Any], replies: Replies) -> None:
        async for each in requests:
            request = each.message
            if not isinstance(request, types.JSONRPCRequest):
                continue
            self.heard.append(request.method)
            self.hearing.set()
            if request.method == self.deaf_from:
                await anyio.sleep_forever()
            if request.method not in self.mute:
                await replies.send(SessionMessage(self._reply(request)))

    def _reply(self, request: types.JSONRPCRequest) -> types.JSONRPCResponse | types.JSONRPCError:
        result = ANSWERS.get(request.method)
        if request.method == "tools/list" and self.pages:
            result = self.pages.pop(0)
        if result is None:
            unknown = types.ErrorData(code=types.METHOD_NOT_FOUND, message="no such method")
            return types.JSONRPCError(jsonrpc="2.0", id=request.id, error=unknown)
        return types.JSONRPCResponse(jsonrpc="2.0", id=request.id, result=result)


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def upstream(peer: Peer, tasks: TaskGroup) -> McpUpstream:
    return McpUpstream(peer.open, tasks, label="the peer", timeout=TIMEOUT)


async def text(upstream: McpUpstream) -> str:
    return (await upstream.call_tool("query-docs", {})).text


async def test_a_list_of_tools_is_read_to_its_last_page(peer: Peer, upstream: McpUpstream) -> None:
    peer.pages = [{"tools": [TOOL], "nextCursor": "two"}, {"tools": [TOOL | {"name": "other"}]}]
    listed = await upstream.list_tools()
    assert [tool["name"] for tool in listed.tools] == ["query-docs", "other"]


async def test_a_list_of_tools_without_an_end_is_ended(peer: Peer, upstream: McpUpstream) -> None:
    peer.pages = [{"tools": [TOOL], "nextCursor": "again"}] * (MOST_PAGES + 1)
    assert len((await upstream.list_tools()).tools) == MOST_PAGES


async def test_a_list_of_tools_that_never_comes_is_a_time_out(
    peer: Peer, upstream: McpUpstream
) -> None:
    peer.mute.add("tools/list")
    with anyio.fail_after(ENOUGH), pytest.raises(UpstreamTimeout):
        await upstream.list_tools()
    assert await text(upstream) == "an answer"


async def test_a_peer_that_reads_nothing_any_more_times_out_for_all_who_ask(
    peer: Peer, upstream: McpUpstream
) -> None:
    peer.deaf_from = "tools/call"
    timeouts: list[UpstreamTimeout] = []

    async def ask() -> None:
        with pytest.raises(UpstreamTimeout) as raised:
            await upstream.call_tool("query-docs", {})
        timeouts.append(raised.value)

    with anyio.fail_after(ENOUGH):
        async with anyio.create_task_group() as asking:
            for _ in range(20):
                asking.start_soon(ask)
    assert len(timeouts) == 20


async def test_after_two_time_outs_in_a_row_another_connection_is_made(
    peer: Peer, upstream: McpUpstream
) -> None:
    peer.mute.add("tools/call")
    for _ in range(2):
        with pytest.raises(UpstreamTimeout):
            await upstream.call_tool("query-docs", {})
    peer.mute.clear()
    assert await text(upstream) == "an answer"
    assert (peer.opened, peer.closed) == (2, 1)


async def test_one_that_answers_in_between_is_kept(peer: Peer, upstream: McpUpstream) -> None:
    for _ in range(3):
        peer.mute.add("tools/call")
        with pytest.raises(UpstreamTimeout):
            await upstream.call_tool("query-docs", {})
        peer.mute.clear()
        assert await text(upstream) == "an answer"
    assert peer.opened == 1


async def test_closing_does_not_wait_for_a_connection_that_is_being_made(
    peer: Peer, upstream: McpUpstream, tasks: TaskGroup
) -> None:
    peer.mute |= {"initialize", "server/discover"}
    errors: list[str] = []

    async def ask() -> None:
        with pytest.raises(UpstreamUnreachable) as raised:
            await upstream.call_tool("query-docs", {})
        errors.append(str(raised.value))

    tasks.start_soon(ask)
    await peer.hearing.wait()
    with anyio.fail_after(ENOUGH):
        await upstream.aclose()
    await anyio.wait_all_tasks_blocked()
    assert (peer.opened, peer.closed, len(errors)) == (1, 1, 1)


async def test_what_runs_behind_a_connection_may_fail(peer: Peer, upstream: McpUpstream) -> None:
    failed = anyio.Event()

    async def fail() -> None:
        failed.set()
        raise ZeroDivisionError

    upstream.on_connected = fail
    assert await text(upstream) == "an answer"
    await failed.wait()
    assert await text(upstream) == "an answer"
