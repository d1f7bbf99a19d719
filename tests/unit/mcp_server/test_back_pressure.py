"""Of one connection only so many requests are worked on at once."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import mcp_types as types
import pytest
from mcp.shared.message import SessionMessage

from context7_fabric.mcp_server.http import MOST_UNANSWERED, BackPressureStreams


def request(number: int) -> SessionMessage:
    return SessionMessage(types.JSONRPCRequest(jsonrpc="2.0", id=number, method="ping"))


def result(number: int) -> SessionMessage:
    return SessionMessage(types.JSONRPCResponse(jsonrpc="2.0", id=number, result={}))


def error(number: int) -> SessionMessage:
    told = types.ErrorData(code=-32000, message="no")
    return SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=number, error=told))


@pytest.mark.parametrize("answer", [result, error], ids=["result", "error"])
@pytest.mark.parametrize("number", [0, 17, MOST_UNANSWERED - 1])
async def test_paced_streams_with_too_much_unanswered_read_on_behind_an_answer(
    answer: Callable[[int], SessionMessage], number: int
) -> None:
    arrive, incoming = anyio.create_memory_object_stream[SessionMessage](1000)
    outgoing, leave = anyio.create_memory_object_stream[SessionMessage](1000)
    paced, read = BackPressureStreams(incoming, outgoing), 0

    async def take() -> None:
        nonlocal read
        async for _message in paced.incoming:
            read += 1

    with arrive, incoming, outgoing, leave:
        for each in range(MOST_UNANSWERED + 10):
            arrive.send_nowait(request(each))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            await anyio.wait_all_tasks_blocked()
            assert read == MOST_UNANSWERED
            await paced.outgoing.send(answer(number))
            await anyio.wait_all_tasks_blocked()
            assert read == MOST_UNANSWERED + 1
            tasks.cancel_scope.cancel()


async def test_paced_streams_do_not_count_what_wants_no_answer() -> None:
    arrive, incoming = anyio.create_memory_object_stream[SessionMessage](1000)
    outgoing, leave = anyio.create_memory_object_stream[SessionMessage](1)
    note = types.JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized")
    paced = BackPressureStreams(incoming, outgoing)
    with arrive, incoming, outgoing, leave:
        for _each in range(2 * MOST_UNANSWERED):
            arrive.send_nowait(SessionMessage(note))
        for _each in range(2 * MOST_UNANSWERED):
            await paced.incoming.receive()
