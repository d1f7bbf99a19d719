"""Memory stays bounded, and others are answered, whatever clients without a token send."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from support.client import asked, bearing, result_of, token_of
from support.product import Served, product_at_port, product_environment

MEBIBYTE = 2**20
MOST_GROWTH = 150 * MEBIBYTE
PAUSE = 0.1
"""Seconds between two requests of others, so that these keep to the limit of a token."""
PING = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
RPC = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
POST = (
    b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Accept: application/json, text/event-stream\r\n"
)
CHUNK = b"%x\r\n%b\r\n" % (60_000, b"x" * 60_000)


def post(path: bytes, body: bytes) -> bytes:
    return POST % path + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class Traffic(NamedTuple):
    """Traffic of some connections: each sends `first` once, then `again` repeatedly."""

    connections: int
    first: bytes
    again: bytes
    most: int
    reads: bool = False


KINDS = {
    "pipelined": Traffic(2, b"", PING * 1000, 20 * MEBIBYTE),
    "pipelined and read": Traffic(2, b"", PING * 1000, MEBIBYTE // 2, reads=True),
    "pipelined calls": Traffic(2, b"", post(b"/mcp", RPC) * 300, 20 * MEBIBYTE),
    "pipelined pages that are not there": Traffic(4, b"", PING.replace(b"ping", b"no") * 999, 9**7),
    "pages left unread": Traffic(100, b"", PING.replace(b"/ping", b"/openapi.json") * 99, 2**17),
    "heads without an end": Traffic(1300, b"GET / HTTP/1.1\r\nA: ", b"a" * 6000, 60_000),
    "many headers": Traffic(800, b"GET / HTTP/1.1\r\n", b"a:b\r\n" * 2000, 60_000),
    "an address without an end": Traffic(400, b"GET /", b"a" * 65536, MEBIBYTE),
    "bodies that stop short": Traffic(
        400, POST % b"/mcp" + b"Content-Length: 1048000\r\n\r\n", b"x" * 65000, 975_000
    ),
    "bodies without an end": Traffic(
        100, POST % b"/mcp" + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK, 3 * MEBIBYTE
    ),
    "trailers without an end": Traffic(
        50,
        POST % b"/ping" + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
        b"a: b\r\n" * 9000,
        3 * MEBIBYTE,
    ),
    "a trailer without an end": Traffic(
        50,
        POST % b"/ping" + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: ",
        b"a" * 60_000,
        5 * MEBIBYTE,
    ),
    "a chunk's line without an end": Traffic(
        50,
        POST % b"/ping" + b"Transfer-Encoding: chunked\r\n\r\n1;a=",
        b"a" * 60_000,
        5 * MEBIBYTE,
    ),
    "bodies that are waited for": Traffic(
        800, POST % b"/query" + b"Content-Length: 9000\r\nExpect: 100-continue\r\n\r\n", b"", 0
    ),
    "upgrades": Traffic(
        400,
        PING[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"\x81\x7f" * 9000,
        MEBIBYTE,
    ),
    "streams left unread": Traffic(400, PING.replace(b"/ping", b"/sse"), b"", 0),
}


def rss(served: Served) -> int:
    """Bytes of memory that the server has, the most it had since the last `forget`."""
    status = Path(f"/proc/{served.process.pid}/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def forget(served: Served) -> int:
    """Forget the most that it had, and return what it has."""
    Path(f"/proc/{served.process.pid}/clear_refs").write_text("5", encoding="ascii")
    return rss(served)


def flood(port: int, traffic: Traffic, stack: ExitStack) -> None:
    """Send all of it that the server takes."""
    for _connection in range(traffic.connections):
        with suppress(OSError):
            client = socket.create_connection(("127.0.0.1", port), timeout=0.5)
            stack.enter_context(client)
            client.sendall(traffic.first)
            if traffic.reads:
                threading.Thread(target=_read, args=(client,), daemon=True).start()
            for _part in range(traffic.most // max(1, len(traffic.again))):
                client.sendall(traffic.again)


def _read(client: socket.socket) -> None:
    client.settimeout(30)
    with suppress(OSError):
        while client.recv(2**20):
            pass


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, int]]:
    """A server without tokens, and its memory once it has answered."""
    variables = {"CONTEXT7_FABRIC_UPSTREAM": "off"}
    with product_at_port(
        "http", product_environment(tmp_path_factory.mktemp("home"), variables)
    ) as served:
        assert result_of(asked(served))["tools"]
        yield served, forget(served)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, int, str]]:
    """A server with tokens, its memory once it has answered, and a token."""
    env = product_environment(tmp_path_factory.mktemp("home"), {"CONTEXT7_FABRIC_UPSTREAM": "off"})
    token = token_of("ann", env)
    with product_at_port("http", env) as served:
        assert result_of(asked(served, headers=bearing(token)))["tools"]
        yield served, forget(served), token


def growth_under(kind: str, server: Served, start: int, headers: dict[str, str]) -> int:
    """Bytes of memory more than at the start, at the most, while others are answered too."""
    with ExitStack() as stack:
        flooding = threading.Thread(
            target=flood, args=(server.port, KINDS[kind], stack), daemon=True
        )
        flooding.start()
        answered = 0
        while flooding.is_alive() or not answered:
            assert result_of(asked(server, headers=headers))["tools"]
            answered += 1
            flooding.join(PAUSE)
        most = rss(server)
    forget(server)
    assert "Traceback" not in server.process.err.text
    return most - start


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", KINDS)
def test_http_server_under_hostile_traffic_keeps_its_memory_and_answers_others(
    served: tuple[Served, int], kind: str
) -> None:
    assert growth_under(kind, *served, {}) < MOST_GROWTH


@pytest.mark.parametrize("kind", ["pipelined", "pipelined calls", "bodies without an end"])
def test_http_server_with_tokens_keeps_its_memory_under_traffic_without_one(
    guarded: tuple[Served, int, str], kind: str
) -> None:
    server, start, token = guarded
    assert growth_under(kind, server, start, bearing(token)) < MOST_GROWTH
