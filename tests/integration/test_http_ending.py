"""Shutdown of a shared server: calls in flight are answered, streams and idle connections end."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from support.client import FASTAPI, HEADERS, LIST, call
from support.context7_api import Api
from support.processes import one_within, seconds_of, wait_gone
from support.product import Served, Variables, product_at_port, product_environment

SOON = 1.5
"""Seconds that are enough for an end without calls, and too few for one that waits for them."""

TO_COME = 30
TO_END = 3
NEW = "2026-07-28"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": NEW,
    "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


@pytest.fixture
def environment(home: Path, by_http: Variables) -> dict[str, str]:
    return product_environment(home, by_http)


@pytest.fixture
def served(request: pytest.FixtureRequest, environment: dict[str, str]) -> Iterator[Served]:
    """A server on HTTP, or on the transport of the test."""
    with product_at_port(getattr(request, "param", "http"), environment) as served:
        yield served


@contextmanager
def connected(served: Served, content: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", served.port), 30) as client:
        client.sendall(content)
        yield client


def request(message: object, method: str = "POST", path: str = "/mcp", **more: str) -> bytes:
    """A request as it stands on the wire; the headers' names are written with _."""
    body = json.dumps(message).encode() if method == "POST" else b""
    named = {name.replace("_", "-"): value for name, value in more.items()}
    headers = {**HEADERS, "host": "127.0.0.1", "content-length": str(len(body)), **named}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {each}" for name, each in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def asking(question: str, era: str) -> bytes:
    """A call, by a client of that protocol version."""
    message = call("query-docs", libraryId=FASTAPI, query=question)
    if era != NEW:
        return request(message, mcp_protocol_version=era)
    params = {**message["params"], "_meta": ENVELOPE}
    routed = {"mcp_method": "tools/call", "mcp_name": "query-docs", "mcp_protocol_version": era}
    return request({**message, "params": params}, **routed)


def listening() -> bytes:
    """A stream of notices, as a client of the newest protocol asks for one."""
    asked = {"notifications": {"toolsListChanged": True}, "_meta": ENVELOPE}
    method = "subscriptions/listen"
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": asked}
    return request(message, mcp_method=method, mcp_protocol_version=NEW)


STREAMS = {
    "events": request(None, "GET", "/sse"),
    "listening": listening(),
}


def everything(client: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def closed_to_new_ones(served: Served) -> bool:
    try:
        with connected(served):
            return False
    except ConnectionError:
        return True


def ending(served: Served, by: signal.Signals = signal.SIGTERM) -> float:
    """Send the signal, wait until new connections are refused, and return when it was sent."""
    began = time.monotonic()
    served.process.popen.send_signal(by)
    while not closed_to_new_ones(served):  # the connections below wait for no call
        assert time.monotonic() - began < TO_COME
    return began


@pytest.mark.parametrize(
    ("served", "era", "by"),
    [
        ("http", "2025-06-18", signal.SIGTERM),
        ("http", NEW, signal.SIGINT),
        ("sse", "2025-06-18", signal.SIGINT),
        ("sse", NEW, signal.SIGTERM),
    ],
    indirect=["served"],
)
def test_a_call_under_way_is_answered_and_then_it_is_gone(
    api: Api, served: Served, era: str, by: signal.Signals
) -> None:
    question = f"How do I end {era}?"
    with api.gate() as gate, connected(served, asking(question, era)) as client:
        gate.wait_for(1)
        ending(served, by)
        gate.release()
        answer = everything(client)
        wait_gone([served.process.pid])
    assert served.process.wait() == 0
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"outcome":"miss"' in answer
    assert b"keep-alive" not in answer
    assert (b"connection: close" in answer) == (era == NEW)
    assert answer.endswith(b"0\r\n\r\n") or era == NEW
    assert "Traceback" not in served.process.err.text


def seconds_to_end(api: Api, environment: dict[str, str], second: signal.Signals | None) -> float:
    """Return the seconds to a server's end while a call is under way, after a second signal too."""
    with (
        product_at_port("http", environment) as served,
        api.gate() as gate,
        connected(served, asking(f"How long is never to {served.port}?", "2025-06-18")),
    ):
        gate.wait_for(1)
        began = ending(served)
        if second is not None:
            served.process.popen.send_signal(second)
        wait_gone([served.process.pid])
        took = time.monotonic() - began
        assert served.process.wait() == 0
    return took


def test_a_call_that_is_never_answered_does_not_keep_it(
    api: Api, environment: dict[str, str]
) -> None:
    def took() -> float:
        seconds = seconds_to_end(api, environment, None)
        assert seconds > SOON
        return seconds

    one_within(TO_END, took)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(
    api: Api, environment: dict[str, str], second: signal.Signals
) -> None:
    one_within(SOON, partial(seconds_to_end, api, environment, second))


def test_a_request_that_came_in_time_is_answered(served: Served) -> None:
    ping = request(None, "GET", "/ping")
    with connected(served, ping) as kept:
        while b"pong" not in kept.recv(4096):
            pass
        served.process.popen.send_signal(signal.SIGSTOP)
        kept.sendall(ping)
        with connected(served, ping) as new:
            served.process.popen.send_signal(signal.SIGTERM)
            served.process.popen.send_signal(signal.SIGCONT)
            assert b"pong" in everything(kept)
            assert b"pong" in everything(new)


def test_connections_that_idle_are_closed_while_a_call_is_finished(
    api: Api, served: Served
) -> None:
    question = "Who idles?"
    with (
        api.gate() as gate,
        connected(served, request(LIST)) as idle,
        connected(served, asking(question, "2025-06-18")) as client,
    ):
        while b"0\r\n\r\n" not in idle.recv(65536):
            pass
        gate.wait_for(1)
        ending(served)
        assert idle.recv(1) == b""
        gate.release()
        assert b'"outcome":"miss"' in everything(client)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_is_ended_whole_while_a_call_is_finished(
    api: Api, served: Served, stream: str
) -> None:
    question = f"What of {stream}?"
    with (
        api.gate() as gate,
        connected(served, STREAMS[stream]) as open_stream,
        connected(served, asking(question, "2025-06-18")) as client,
    ):
        assert open_stream.recv(12) == b"HTTP/1.1 200"
        gate.wait_for(1)
        ending(served)
        assert everything(open_stream).endswith(b"0\r\n\r\n")
        gate.release()
        assert b'"outcome":"miss"' in everything(client)


@pytest.mark.parametrize("stream", [*STREAMS, None])
def test_without_a_call_under_way_it_ends_at_once(
    environment: dict[str, str], stream: str | None
) -> None:
    content = b"" if stream is None else STREAMS[stream]

    def took() -> float:
        with product_at_port("http", environment) as served, connected(served, content) as client:
            if stream is not None:
                assert client.recv(12) == b"HTTP/1.1 200"
            served.process.popen.send_signal(signal.SIGTERM)
            seconds = seconds_of(partial(wait_gone, [served.process.pid]))
            assert served.process.wait() == 0
        return seconds

    one_within(SOON, took)
