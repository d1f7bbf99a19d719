"""Malformed and hostile requests: each gets an error reply, and the server stays up."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from context7_fabric.http_server.listener import HEAD_BYTES
from support.client import HEADERS, LIST, PLAIN, asked, bearing, result_of, token_of
from support.product import Served, product_at_port, product_environment

OFFLINE = {"CONTEXT7_FABRIC_UPSTREAM": "off"}
MEBIBYTE = 2**20
STREAMS = 1000
FEW_FILES = ("sh", "-c", 'ulimit -S -n 256 && exec "$@"', "sh")
"""Runs what follows with room for 256 open files, more of which it may ask for."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    environment = product_environment(tmp_path_factory.mktemp("home"), OFFLINE)
    with product_at_port("http", environment) as served:
        yield served


@pytest.fixture(autouse=True)
def _stays_up(served: Served) -> Iterator[None]:
    """Check after each test that the server answers as before and has logged no traceback."""
    yield
    assert result_of(asked(served))["tools"]
    assert "Traceback" not in served.process.err.text


def sent(served: Served, content: bytes, path: str = "/mcp", **headers: str) -> httpx2.Response:
    """The reply to a POST of these bytes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    every = {**HEADERS, **named}
    return httpx2.post(
        served.url(path), content=content, headers=every, verify=PLAIN, trust_env=False, timeout=40
    )


@pytest.mark.parametrize(
    ("content", "code", "number"),
    [
        (b"", -32700, None),
        (b"{nonsense", -32700, None),
        (b"\xff\xfe", -32700, None),
        (b"[" * 20_000, -32700, None),
        (b"[]", -32600, None),
        (b'{"jsonrpc": "2.0"}', -32600, None),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "tools/list"}', -32600, 1),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "nonsense", "params": "nonsense"}', -32600, 1),
    ],
    ids=["nothing", "no json", "no text", "deep", "a list", "no method", "version", "params"],
)
@pytest.mark.parametrize("era", ["2025-06-18", "2026-07-28"])
def test_what_is_no_message_is_refused_in_json_rpc_in_one_line(
    served: Served, era: str, content: bytes, code: int, number: object
) -> None:
    reply = sent(served, content, mcp_protocol_version=era)
    assert reply.status_code == 400
    error_reply = reply.json()
    assert (error_reply["jsonrpc"], error_reply["id"], error_reply["error"]["code"]) == (
        "2.0",
        number,
        code,
    )
    text = error_reply["error"]["message"]
    assert "\n" not in text
    assert "nonsense" not in text
    assert "http" not in text


@pytest.mark.parametrize("header", ["accept", "content_type"])
def test_a_body_that_was_not_looked_at_is_not_complained_about(served: Served, header: str) -> None:
    reply = sent(served, b"{nonsense", **{header: "text/plain"})
    assert "Parse error" not in reply.text


def test_an_unknown_method_is_an_error_of_the_call(served: Served) -> None:
    reply = asked(served, message={"jsonrpc": "2.0", "id": 1, "method": "tools/destroy"})
    assert "-32601" in reply.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"accept": "text/html"}, 406),
        ({"accept": "application/json"}, 406),
        ({"content_type": "text/plain"}, 400),
        ({"mcp_protocol_version": "1999-01-01"}, 400),
    ],
)
def test_headers_that_do_not_fit_are_refused_with_a_reason(
    served: Served, headers: dict[str, str], status: int
) -> None:
    reply = sent(served, json.dumps(LIST).encode(), **headers)
    assert reply.status_code == status
    assert reply.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/mcp"),
        ("POST", "/sse"),
        ("GET", "/query"),
        ("POST", "/ping"),
        ("POST", "/.well-known/oauth-protected-resource"),
    ],
)
def test_a_wrong_method_is_refused_with_the_allowed_ones(
    served: Served, method: str, path: str
) -> None:
    reply = asked(served, path, method=method)
    assert reply.status_code == 405
    assert reply.headers["allow"]


@pytest.mark.parametrize(
    ("query", "status"), [("", 400), ("?session_id=me", 400), ("?session_id=" + "0" * 32, 404)]
)
def test_messages_for_no_session_are_refused(served: Served, query: str, status: int) -> None:
    reply = asked(served, f"/messages/{query}")
    assert reply.status_code == status
    assert "session" in reply.text.lower()


def test_a_session_that_is_named_to_mcp_does_not_matter(served: Served) -> None:
    assert result_of(asked(served, headers={"mcp-session-id": "unknown"}))["tools"]


def test_a_stream_of_events_is_its_clients_alone(served: Served) -> None:
    ann, bob = {"context7-api-key": "ctx7sk-ann"}, {"context7-api-key": "ctx7sk-bob"}
    with httpx2.stream(
        "GET", served.url("/sse"), headers=ann, verify=PLAIN, trust_env=False, timeout=40
    ) as stream:
        lines = stream.iter_lines()
        path = next(line for line in lines if "/messages/" in line).removeprefix("data:").strip()
        assert asked(served, path, bob).status_code == 404
        assert asked(served, path).status_code == 404
        assert asked(served, path, ann).status_code == 202


@pytest.mark.parametrize("path", ["/mcp", "/messages/", "/query", "/nothing"])
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_of_more_than_a_mebibyte_is_refused(
    served: Served, path: str, *, announced: bool
) -> None:
    whole = b" " * (MEBIBYTE + 1)
    pieces = iter([whole[: MEBIBYTE // 2], whole[MEBIBYTE // 2 :]])
    reply = httpx2.post(
        served.url(path),
        content=whole if announced else pieces,
        headers=HEADERS,
        verify=PLAIN,
        trust_env=False,
        timeout=40,
    )
    assert reply.status_code == 413
    assert "1,048,576 bytes" in reply.json()["error"]


def test_a_body_of_a_mebibyte_is_read(served: Served) -> None:
    message = json.dumps(LIST).encode()
    assert result_of(sent(served, message + b" " * (MEBIBYTE - len(message))))["tools"]


@pytest.mark.parametrize(
    "content",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
        b"GET /ping HTTP/9.9\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["tls", "nonsense", "version", "length", "two lengths"],
)
def test_what_is_not_http_is_a_bad_request(served: Served, content: bytes) -> None:
    with socket.create_connection(("127.0.0.1", served.port), 5) as client:
        client.sendall(content)
        assert everything(client).startswith(b"HTTP/1.1 400 ")


def test_a_head_without_end_is_cut_off(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), 5) as client:
        client.sendall(b"GET /ping HTTP/1.1\r\nX-Long: " + b"x" * HEAD_BYTES)
        assert everything(client).startswith(b"HTTP/1.1 431 ")


def everything(client: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    return b"".join(iter(lambda: client.recv(4096), b""))


# The one slow test of this module: it waits out the ten seconds that a head may take.
def test_who_dribbles_is_cut_off_after_a_while(served: Served) -> None:
    address, ping = ("127.0.0.1", served.port), b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    pieces = {"silent": b"", "a head": b"x", "blank lines": b"\r\n"}
    begun = {"silent": b"", "a head": b"GET /ping HTTP/1.1\r\nX-", "blank lines": ping}
    heard = dict.fromkeys(begun, b"")
    with ExitStack() as stack:
        clients = {name: stack.enter_context(socket.create_connection(address)) for name in begun}
        for name, client in clients.items():
            client.settimeout(0.5)
            client.sendall(begun[name])
        while clients:
            for name, client in tuple(clients.items()):
                came = dribbled(client, pieces[name])
                heard[name] += came or b""
                if came is None:
                    del clients[name]
    assert heard.pop("blank lines").startswith(b"HTTP/1.1 200 ")
    assert [text.split(b"\r\n")[0] for text in heard.values()] == [
        b"HTTP/1.1 408 Request Timeout"
    ] * 2


def dribbled(client: socket.socket, piece: bytes) -> bytes | None:
    """Send a piece and return what arrives a while after; None when the other side has closed."""
    try:
        client.sendall(piece)
        return client.recv(4096) or None
    except TimeoutError:
        return b""
    except OSError:
        return None


def test_a_thousand_idle_streams_leave_room_for_more(home: Path) -> None:
    environment = product_environment(home, OFFLINE)
    token = token_of("ann", environment)
    environment["CONTEXT7_FABRIC_RATE"] = "100000"
    head = "".join(f"{name}: {value}\r\n" for name, value in (HEADERS | bearing(token)).items())
    request = f"GET /sse HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode()
    with product_at_port("http", environment, before=FEW_FILES) as served, ExitStack() as stack:
        address = ("127.0.0.1", served.port)
        clients = [
            stack.enter_context(socket.create_connection(address, 20)) for _ in range(STREAMS)
        ]
        for client in clients:
            client.sendall(request)
        for client in clients:
            assert client.recv(64).startswith(b"HTTP/1.1 200 ")
        assert result_of(asked(served, headers=bearing(token)))["tools"]
        assert memory_of(served) < 400
        served.process.popen.terminate()
        assert served.process.wait() == 0


def memory_of(served: Served) -> int:
    """The MiB that the server takes of the memory."""
    status = Path(f"/proc/{served.process.pid}/status").read_text("ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024
