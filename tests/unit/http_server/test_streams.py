"""Streams that are closed by the server: with their token, and at shutdown."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from anyio.abc import TaskGroup
from starlette.types import Message, Receive, Scope, Send

from context7_fabric.http_server.auth import Authenticator
from context7_fabric.http_server.middleware import StreamMiddleware, is_stream
from context7_fabric.http_server.token_file import LOOK_EVERY, TokenFile
from support.scripted import FakeClock
from unit.http_server.requests import Answer, Application, asked, scope_of


def stream_scope(token: str = "", path: str = "/sse") -> Scope:
    return scope_of({"authorization": f"Bearer {token}"}, method="GET", path=path)


@dataclass
class Watched:
    """A guard over streams that last; its looks at the tokens are taken one by one."""

    access: Authenticator
    tasks: TaskGroup
    clock: FakeClock
    pauses: int = 0
    over: anyio.Event = field(default_factory=anyio.Event)
    again: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.guard = StreamMiddleware(lasting, self.access, self.tasks, self.pause)

    async def pause(self) -> None:
        self.pauses += 1
        self.again.set()
        self.over = anyio.Event()
        await self.over.wait()

    async def look(self) -> None:
        """Let the guard look, a second later, until it pauses again."""
        await anyio.wait_all_tasks_blocked()
        self.clock.forward(LOOK_EVERY)
        self.again = anyio.Event()
        self.over.set()
        with anyio.fail_after(30):
            await self.again.wait()


async def lasting(_scope: Scope, receive: Receive, send: Send) -> None:
    """A stream that begins, and lasts as long as there is a client."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass
    await send({"type": "http.response.body", "body": b"not sent", "more_body": True})


@dataclass
class Client:
    """Opens a stream, and hears what comes."""

    answer: Answer = field(default_factory=Answer)
    ended: anyio.Event = field(default_factory=anyio.Event)

    async def open(self, guard: StreamMiddleware, scope: Scope) -> None:
        async def receive() -> Message:
            await anyio.sleep_forever()
            raise AssertionError

        async def send(message: Message) -> None:
            self.answer.messages.append(message)

        await guard(scope, receive, send)
        self.ended.set()

    def whole(self) -> bool:
        """Return whether the last piece came."""
        return not self.answer.messages[-1].get("more_body", False)


@pytest.mark.parametrize(
    ("scope", "stream"),
    [
        (stream_scope(), True),
        (stream_scope(path="/mcp"), False),
        (stream_scope(path="/health"), False),
        (scope_of({"mcp-method": "subscriptions/listen"}, path="/mcp"), True),
        (scope_of({"mcp-method": "tools/call"}, path="/mcp"), False),
        (scope_of(path="/sse"), False),
        ({"type": "lifespan"}, False),
    ],
    ids=str,
)
def test_is_stream_of_a_request_goes_by_its_method_path_and_header(
    scope: Scope, *, stream: bool
) -> None:
    assert is_stream(scope) == stream


async def test_streams_of_a_revoked_token_are_closed_and_no_others(
    tasks: TaskGroup, tmp_path: Path, clock: FakeClock
) -> None:
    file = TokenFile(tmp_path / "tokens", clock)
    tokens = {name: await anyio.to_thread.run_sync(file.add, name) for name in ("ann", "bob")}
    await file.refresh()
    site, clients = Watched(Authenticator(file), tasks, clock), {name: Client() for name in tokens}
    for name, client in clients.items():
        tasks.start_soon(client.open, site.guard, stream_scope(tokens[name]))
    await site.look()
    assert not clients["ann"].ended.is_set()
    await anyio.to_thread.run_sync(file.revoke, "ann")
    await site.look()
    with anyio.fail_after(30):
        await clients["ann"].ended.wait()
    assert clients["ann"].answer.body == b"begun"
    assert clients["ann"].whole()
    assert not clients["bob"].ended.is_set()


async def test_streams_of_a_token_that_was_replaced_are_closed(
    tasks: TaskGroup, tmp_path: Path, clock: FakeClock
) -> None:
    file = TokenFile(tmp_path / "tokens", clock)
    token = await anyio.to_thread.run_sync(file.add, "ann")
    site, client, other = Watched(Authenticator(file), tasks, clock), Client(), Client()
    bob = await anyio.to_thread.run_sync(file.add, "bob")
    await file.refresh()
    tasks.start_soon(client.open, site.guard, stream_scope(token))
    tasks.start_soon(other.open, site.guard, stream_scope(bob))
    await anyio.wait_all_tasks_blocked()
    await anyio.to_thread.run_sync(file.revoke, "ann")
    await anyio.to_thread.run_sync(file.add, "ann")
    await site.look()
    with anyio.fail_after(30):
        await client.ended.wait()


async def test_streams_when_none_is_open_are_not_checked(
    tasks: TaskGroup, tmp_path: Path, clock: FakeClock
) -> None:
    file = TokenFile(tmp_path / "tokens", clock)
    token = await anyio.to_thread.run_sync(file.add, "ann")
    await file.refresh()
    site = Watched(Authenticator(file), tasks, clock)
    for _stream in range(2):
        client = Client()
        async with anyio.create_task_group() as streams:
            streams.start_soon(client.open, site.guard, stream_scope(token))
            await anyio.wait_all_tasks_blocked()
            streams.cancel_scope.cancel()
        site.over.set()
        await anyio.wait_all_tasks_blocked()
    assert site.pauses == 2


async def test_streams_without_tokens_are_not_checked(tasks: TaskGroup, clock: FakeClock) -> None:
    site = Watched(Authenticator(None), tasks, clock)
    tasks.start_soon(Client().open, site.guard, stream_scope())
    await anyio.wait_all_tasks_blocked()
    assert site.pauses == 0


async def test_streams_at_shutdown_are_closed_and_new_ones_refused(
    tasks: TaskGroup, clock: FakeClock
) -> None:
    site, client, late = Watched(Authenticator(None), tasks, clock), Client(), Client()
    tasks.start_soon(client.open, site.guard, stream_scope())
    await anyio.wait_all_tasks_blocked()
    site.guard.close()
    with anyio.fail_after(30):
        await client.ended.wait()
        await late.open(site.guard, stream_scope())
    assert client.answer.body == b"begun"
    assert client.whole()
    assert late.answer.status == 503
    assert late.answer.headers["retry-after"] == "1"


async def test_streams_at_shutdown_leave_other_requests_alone(tasks: TaskGroup) -> None:
    guard = StreamMiddleware(Application(), Authenticator(None), tasks)
    guard.close()
    answer = await asked(guard, scope_of(path="/mcp"), [b"a call"])
    assert (answer.status, answer.body) == (200, b"a call")
