"""Unusual requests have the same outcome as with the real server 4.1.1."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from support.client import talking
from support.context7_api import running_api
from support.product import BY_ITSELF, PROGRAM, product_at_port, product_environment
from support.upstreams import context7_http

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
NOTE = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
META = (
    b'"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    b'"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},'
    b'"io.modelcontextprotocol/clientCapabilities":{}}'
)
LIST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{%b}}' % META
MODERN = "MCP-Protocol-Version: 2026-07-28"


class Odd(NamedTuple):
    """A request, by default a plain one."""

    body: bytes = PING
    path: str = "/mcp"
    method: str = "POST"
    kind: str = "application/json"
    headers: tuple[str, ...] = ()


REQUESTS = {
    "slash": Odd(path="/mcp/"),
    "ping slash": Odd(b"", "/ping/", "GET"),
    "upper case": Odd(kind="APPLICATION/JSON"),
    "charset": Odd(kind="Application/Json; Charset=UTF-8"),
    "get": Odd(b"", method="GET"),
    "delete": Odd(b"", method="DELETE"),
    "put": Odd(method="PUT"),
    "mark": Odd(b"\xef\xbb\xbf" + PING),
    "batch": Odd(b"[%b,%b]" % (PING, PING.replace(b"1,", b"2,"))),
    "batch of an era": Odd(b"[%b]" % PING, headers=("MCP-Protocol-Version: 2025-03-26",)),
    "batch with a note": Odd(b"[%b,%b]" % (NOTE, PING)),
    "batch of notes": Odd(b"[%b,%b]" % (NOTE, NOTE)),
    "batch with something bad": Odd(b'[%b,{"jsonrpc":"2.0"}]' % PING),
    "empty batch": Odd(b"[]"),
    "basic": Odd(headers=("Authorization: Basic dXNlcjpwYXNz",)),
    "digest": Odd(headers=('Authorization: Digest username="a b"',)),
    "empty bearer": Odd(headers=("Authorization: Bearer ",)),
    "blanks": Odd(LIST, headers=(f"{MODERN} \t", "Mcp-Method:    tools/list   ")),
    "id object": Odd(PING.replace(b"1,", b"{},")),
    "id infinite": Odd(PING.replace(b"1,", b"1e999,")),
    "id list": Odd(PING.replace(b"1,", b"[7],")),
    "id true": Odd(PING.replace(b"1,", b"true,")),
    "id null": Odd(PING.replace(b"1,", b"null,")),
    "id 1.0": Odd(PING.replace(b"1,", b"1.0,")),
    "id 5e2": Odd(PING.replace(b"1,", b"5e2,")),
    "half an emoji": Odd(PING.replace(b"}", b',"params":{"x":"\\ud83c"}}')),
    "Latin-1": Odd(PING.replace(b"}", b',"params":{"x":"\xe9"}}')),
}


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """The ports of the real server and of ours."""
    home = tmp_path_factory.mktemp("home")
    environment = product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": "off"})
    with ExitStack() as stack:
        api = stack.enter_context(running_api())
        real = urlsplit(stack.enter_context(context7_http(api))).port
        ours = stack.enter_context(product_at_port("http", environment))
        yield real or 0, ours.port


def answer(port: int, odd: Odd) -> tuple[int, list[object]]:
    """The status of the answer, and the ids of the results in it."""
    head = [
        f"{odd.method} {odd.path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Content-Type: {odd.kind}",
        "Accept: application/json, text/event-stream",
        "Connection: close",
        f"Content-Length: {len(odd.body)}",
        *odd.headers,
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=40) as client:
        client.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + odd.body)
        whole = b""
        while not _is_whole(whole):
            part = client.recv(65536)
            if not part:
                break
            whole += part
    replies = re.findall(rb"^(?:data: )?(\{.*\})\r?$", whole, re.MULTILINE)
    messages = [json.loads(each) for each in replies]
    return int(whole[9:12]), [each["id"] for each in messages if "result" in each]


def _is_whole(answer: bytes) -> bool:
    return b"Transfer-Encoding: chunked" in answer and answer.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("name", REQUESTS)
def test_http_with_an_odd_request_answers_as_the_real_server(
    ports: tuple[int, int], name: str
) -> None:
    real, ours = ports
    assert answer(ours, REQUESTS[name]) == answer(real, REQUESTS[name])


@pytest.mark.parametrize(
    ("path", "status"), [("/sse/", 200), ("/messages?session_id=x", 400), ("/health/", 200)]
)
def test_http_with_and_without_a_slash_serves_without_a_redirect(
    ports: tuple[int, int], path: str, status: int
) -> None:
    method = "POST" if "messages" in path else "GET"
    request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", ports[1]), timeout=40) as client:
        client.sendall(request.encode() + b"Content-Length: 0\r\n\r\n")
        assert int(client.recv(12)[9:]) == status


@pytest.mark.parametrize(
    "head",
    [
        b"A: " + b"a" * 70_000,
        b"\r\n".join(b"A%d: b" % number for number in range(300)),
        b"\r\n".join(b"A%d: %b" % (number, b"a" * 3500) for number in range(25)),
    ],
    ids=["one long", "many", "some long"],
)
def test_http_with_a_head_beyond_the_limit_answers_431(ports: tuple[int, int], head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", ports[1]), timeout=40) as client:
        client.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 431"


@pytest.mark.parametrize("key", ["Bearer ", "Bearer", '" "', "Bearer\t", "\n'ctx7sk-x'\n"])
def test_stdio_with_an_odd_key_is_served(tmp_path: Path, key: str) -> None:
    variables = {"CONTEXT7_FABRIC_UPSTREAM": "off", "CONTEXT7_API_KEY": key}
    with talking([PROGRAM], product_environment(tmp_path, variables | BY_ITSELF)) as dialogue:
        assert dialogue.ask("tools/list")["tools"]
