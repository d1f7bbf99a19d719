"""A shared server as its visitors meet it: tokens, plain requests, and waiting for a change."""

import json
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import httpx2

from support.product import Served, run_product

FASTAPI = "/fastapi/fastapi"
HEADERS = {
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-protocol-version": "2025-06-18",
}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
PATIENCE = 500
"""How often `until` looks: for ten seconds, five times what a change of the tokens may take."""


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
    """What a request without a session is replied; a GET has no body."""
    body = None if method == "GET" else json.dumps(message).encode()
    sent = {**HEADERS, **(headers or {})}
    url = served.url(path)
    return httpx2.request(method, url, headers=sent, content=body, trust_env=False, timeout=20)


def call(tool: str, **arguments: object) -> dict[str, object]:
    """The message that calls a tool."""
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def result_of(reply: httpx2.Response) -> Any:  # noqa: ANN401  # JSON
    """The result in a reply of /mcp, which may be a stream of one event."""
    assert reply.status_code == 200, reply.text
    lines = [line.removeprefix("data:") for line in reply.text.splitlines()]
    (told,) = (line for line in lines if line.strip().startswith("{"))
    return json.loads(told)["result"]


def outcome(result: Any) -> str:  # noqa: ANN401  # JSON
    """Where an answer came from."""
    return str(result["_meta"]["context7-fabric/answer"]["outcome"])


def until(served: Served, true: Callable[[], bool]) -> None:
    """Wait for `true` while the product runs."""
    for _look in range(PATIENCE):
        if true():
            return
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"it ended with {served.process.wait(0.02)}")
    raise AssertionError("it has not come true")
