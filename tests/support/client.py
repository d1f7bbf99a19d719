"""MCP clients: JSON-RPC by hand over a child's pipes or over HTTP, and the SDK's own client.

By hand a test has the child's pid, its stderr and its signals. Every wait is bounded.
"""

import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

import httpx2
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from support.processes import Process, spawn
from support.product import Served, run_product

SECONDS = 20.0
VERSION = "2025-06-18"
META_KEY = "context7-fabric/answer"
FASTAPI = "/fastapi/fastapi"
HEADERS = {
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-protocol-version": VERSION,
}
PATIENCE = 500
"""How often `until` looks: for ten seconds, five times what a change of the tokens may take."""


def message(method: str, params: object = None, number: object = 1) -> dict[str, Any]:
    """A JSON-RPC request."""
    given = {} if params is None else {"params": params}
    return {"jsonrpc": "2.0", "id": number, "method": method, **given}


def call(tool: str, number: object = 1, meta: object = None, **arguments: object) -> dict[str, Any]:
    """The request of a tool call."""
    beside = {} if meta is None else {"_meta": meta}
    return message("tools/call", {"name": tool, "arguments": arguments, **beside}, number)


def initialize(version: str = VERSION, client: str = "tests", number: object = 1) -> dict[str, Any]:
    """The request of a hand-shake."""
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
        """Shake hands; what the server says of itself."""
        told = self.ask("initialize", **INITIALIZE["params"])
        self.process.send(json.dumps(INITIALIZED))
        return told

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        """The result of a tool call, as it stands on the wire."""
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
        told = json.loads(found)
        assert "result" in told, told
        return cast("dict[str, Any]", told["result"])


@contextmanager
def talking(command: Sequence[str], env: Mapping[str, str]) -> Iterator[Dialogue]:
    """A dialogue with a child, past the hand-shake, for the length of the block."""
    with spawn(command, env) as process:
        dialogue = Dialogue(process)
        dialogue.introduce()
        yield dialogue


def texts_of(result: Mapping[str, Any]) -> list[str]:
    """The text of each block."""
    return [block["text"] for block in result["content"]]


def outcome_of(result: Mapping[str, Any]) -> str:
    """The outcome that the product gives for a call."""
    return cast("str", result["_meta"][META_KEY]["outcome"])


@asynccontextmanager
async def over_stdio(
    command: Sequence[str], environment: Mapping[str, str], mode: str = "auto"
) -> AsyncIterator[Client]:
    """The SDK's client of a child; what the child writes to stderr is dropped."""
    server = StdioServerParameters(
        command=command[0], args=list(command[1:]), env=dict(environment)
    )
    with _nowhere() as nowhere:
        transport = stdio_client(server, errlog=nowhere)
        async with Client(transport, mode=mode, read_timeout_seconds=SECONDS) as client:
            yield client


@asynccontextmanager
async def over_http(url: str, key: str | None = None, mode: str = "auto") -> AsyncIterator[Client]:
    """The SDK's client of a URL, with or without an API key; proxies are not asked."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx2.AsyncClient(headers=headers, timeout=SECONDS, trust_env=False) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, read_timeout_seconds=SECONDS) as client:
            yield client


async def ask(client: Client, tool: str, **arguments: object) -> str:
    """The text that a tool answers, also where that is an error."""
    return text_of(await client.call_tool(tool, arguments))


def text_of(result: types.CallToolResult) -> str:
    """The text of a result's first block."""
    block = result.content[0]
    assert isinstance(block, types.TextContent)
    return block.text


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def token_of(name: str, env: Mapping[str, str]) -> str:
    """Give `name` a token by the command, and return it."""
    added = run_product("token", "add", name, env=env)
    assert added.returncode == 0, added.stderr
    return added.stdout.strip()


def bearing(token: str) -> dict[str, str]:
    """The header that a token comes in."""
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
    return httpx2.request(method, url, headers=sent, content=body, trust_env=False, timeout=SECONDS)


def result_of(reply: httpx2.Response) -> Any:  # noqa: ANN401  # JSON
    """The result in a reply of /mcp, which may be a stream of one event."""
    assert reply.status_code == 200, reply.text
    lines = [line.removeprefix("data:") for line in reply.text.split("\n")]
    (told,) = (line for line in lines if line.strip().startswith("{"))
    return json.loads(told)["result"]


def until(served: Served, true: Callable[[], bool]) -> None:
    """Wait for `true` while the product runs."""
    for _look in range(PATIENCE):
        if true():
            return
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"it ended with {served.process.wait(0.02)}")
    raise AssertionError("it has not come true")
