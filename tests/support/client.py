"""MCP clients: JSON-RPC by hand over a child's pipes or over HTTP, and the SDK's own client.

By hand a test has the child's pid, its stderr and its signals. Every wait is bounded.
"""

import json
import ssl
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, cast

import anyio
import anyio.to_thread
import httpx2
import mcp_types as types
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.file import FileReadStream, FileWriteStream
from mcp import Client
from mcp.client._transport import TransportStreams
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage

from support.forked import started
from support.processes import Process, spawn
from support.product import Served, run_product

SECONDS = 90.0
VERSION = "2025-06-18"
META_KEY = "context7-fabric/answer"
FASTAPI = "/fastapi/fastapi"
HEADERS = {
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-protocol-version": VERSION,
}
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of plain HTTP, which would read the system's authorities, 60 ms each time."""

PATIENCE = 1500
"""Number of tries of `until`: half a minute at least."""


def message(method: str, params: object = None, number: object = 1) -> dict[str, Any]:
    given = {} if params is None else {"params": params}
    return {"jsonrpc": "2.0", "id": number, "method": method, **given}


def call(tool: str, number: object = 1, meta: object = None, **arguments: object) -> dict[str, Any]:
    beside = {} if meta is None else {"_meta": meta}
    return message("tools/call", {"name": tool, "arguments": arguments, **beside}, number)


def initialize(version: str = VERSION, client: str = "tests", number: object = 1) -> dict[str, Any]:
    named = {"name": client, "version": "1"}
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": named}
    return message("initialize", params, number)


LIST = message("tools/list")
INITIALIZE = initialize()
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class Dialogue:
    """Requests to a child and its replies, in the era of `initialize`."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._sent = 0

    def introduce(self) -> dict[str, Any]:
        result = self.ask("initialize", **INITIALIZE["params"])
        self.process.send(json.dumps(INITIALIZED))
        return result

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        return self.ask("tools/call", name=tool, arguments=arguments)

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """The result of a request; raises AssertionError with the error if that is the reply."""
        return self.reply(self.start(method, **params))

    def start(self, method: str, **params: object) -> int:
        """Send a request without waiting; the number by which `reply` knows it."""
        self._sent += 1
        self.process.send(json.dumps(message(method, params, self._sent)))
        return self._sent

    def reply(self, number: int) -> dict[str, Any]:
        """The result of the request that was sent under this number."""
        try:
            found = self.process.out.wait_for(rf'^.*"id": ?{number}[,}}].*$', SECONDS)[0]
        except TimeoutError as error:
            raise TimeoutError(f"{error}\non stderr:\n{self.process.err.text}") from None
        reply = json.loads(found)
        assert "result" in reply, reply
        return cast("dict[str, Any]", reply["result"])


@contextmanager
def talking(command: Sequence[str], env: Mapping[str, str]) -> Iterator[Dialogue]:
    """A dialogue with a child, past the hand-shake, for the length of the block."""
    with spawn(command, env) as process:
        dialogue = Dialogue(process)
        dialogue.introduce()
        yield dialogue


def texts_of(result: Mapping[str, Any]) -> list[str]:
    return [block["text"] for block in result["content"]]


def outcome_of(result: Mapping[str, Any]) -> str:
    return cast("str", result["_meta"][META_KEY]["outcome"])


@asynccontextmanager
async def over_stdio(
    command: Sequence[str], environment: Mapping[str, str], mode: str = "auto"
) -> AsyncIterator[Client]:
    """The SDK's client of a child; what the child writes to stderr is dropped."""
    async with Client(
        _transport(command, environment), mode=mode, read_timeout_seconds=SECONDS
    ) as client:
        yield client


@asynccontextmanager
async def _transport(
    command: Sequence[str], environment: Mapping[str, str]
) -> AsyncGenerator[TransportStreams]:
    """The SDK's streams to a child that `started` starts, because the SDK starts none by a fork."""
    arrive, incoming = anyio.create_memory_object_stream[SessionMessage | Exception]()
    outgoing, leave = anyio.create_memory_object_stream[SessionMessage]()
    pipe = subprocess.PIPE
    process = started(
        command, environment, bufsize=0, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
    )
    assert process.stdin
    assert process.stdout
    lines = BufferedByteReceiveStream(FileReadStream(process.stdout))

    async def read() -> None:
        with suppress(anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while line := await lines.receive_until(b"\n", 2**26):
                message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
                await arrive.send(SessionMessage(message))
        await arrive.aclose()

    async def write(stdin: FileWriteStream) -> None:
        async with stdin:
            async for said in leave:
                line = said.message.model_dump_json(by_alias=True, exclude_unset=True)
                await stdin.send(f"{line}\n".encode())

    with process, arrive, incoming, outgoing, leave:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            tasks.start_soon(write, FileWriteStream(process.stdin))
            yield incoming, outgoing
            incoming.close()
            outgoing.close()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(process.wait, SECONDS)


@asynccontextmanager
async def over_http(url: str, key: str | None = None, mode: str = "auto") -> AsyncIterator[Client]:
    """The SDK's client of a URL, with or without an API key; proxies are not asked."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx2.AsyncClient(
        headers=headers, timeout=SECONDS, verify=PLAIN, trust_env=False
    ) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, read_timeout_seconds=SECONDS) as client:
            yield client


async def ask(client: Client, tool: str, **arguments: object) -> str:
    """The text that a tool answers, also where that is an error."""
    return text_of(await client.call_tool(tool, arguments))


def text_of(result: types.CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, types.TextContent)
    return block.text


def token_of(name: str, env: Mapping[str, str]) -> str:
    added = run_product("token", "add", name, env=env)
    assert added.returncode == 0, added.stderr
    return added.stdout.strip()


def bearing(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def asked(
    served: Served,
    path: str = "/mcp",
    headers: Mapping[str, str] | None = None,
    message: object = LIST,
    method: str = "POST",
) -> httpx2.Response:
    """The reply to a request without a session; a GET has no body."""
    body = None if method == "GET" else json.dumps(message).encode()
    sent = {**HEADERS, **(headers or {})}
    url = served.url(path)
    return httpx2.request(
        method, url, headers=sent, content=body, verify=PLAIN, trust_env=False, timeout=SECONDS
    )


def result_of(reply: httpx2.Response) -> Any:  # noqa: ANN401  # JSON
    """The result in a reply of /mcp, which may be a stream of one event."""
    assert reply.status_code == 200, reply.text
    lines = [line.removeprefix("data:") for line in reply.text.split("\n")]
    (reply_line,) = (line for line in lines if line.strip().startswith("{"))
    return json.loads(reply_line)["result"]


def until(running: Served | Dialogue, true: Callable[[], bool]) -> None:
    """Wait for `true` while the product runs."""
    for _look in range(PATIENCE):
        if true():
            return
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"it ended with {running.process.wait(0.02)}")
    raise AssertionError("it has not come true")
