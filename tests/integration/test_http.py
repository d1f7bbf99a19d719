"""The product on a local port: /mcp in every era, /sse, and the checks of Host and Origin."""

import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client

from support.app_server import MODES, provenance, texts
from support.client import PLAIN, SECONDS, ask, over_http
from support.context7_api import Api
from support.processes import one_within, wait_gone
from support.product import Served, Variables, product_at_port, product_environment

FASTAPI = "/fastapi/fastapi"
TRANSPORTS = ("http", "sse")
SOON = 0.5
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "tests", "version": "1"},
    },
}
ACCEPT = {"accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module", params=TRANSPORTS)
def served(
    request: pytest.FixtureRequest,
    by_http: Variables,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """The product, started for either transport."""
    environment = product_environment(tmp_path_factory.mktemp("home"), by_http)
    with product_at_port(request.param, environment) as served:
        yield served


@asynccontextmanager
async def over_sse(url: str) -> AsyncIterator[Client]:
    """A client of the older HTTP transport; proxies are not asked."""
    transport = sse_client(url, httpx_client_factory=_plain)
    async with Client(transport, mode="legacy", read_timeout_seconds=SECONDS) as client:
        yield client


def _plain(
    headers: dict[str, str] | None = None,
    timeout: httpx2.Timeout | None = None,
    auth: httpx2.Auth | None = None,
) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        headers=headers, timeout=timeout, auth=auth, verify=PLAIN, trust_env=False
    )


async def twice(client: Client, question: str) -> tuple[list[str], list[str]]:
    asked = {"libraryId": FASTAPI, "query": question}
    results = [await client.call_tool("query-docs", asked) for _ in range(2)]
    return [texts(each)[0] for each in results], [provenance(each)["outcome"] for each in results]


@pytest.mark.parametrize("mode", MODES)
async def test_mcp_is_served_in_every_era(api: Api, served: Served, mode: str) -> None:
    async with over_http(served.url("/mcp"), mode=mode) as client:
        tools = await client.list_tools()
        answers, outcomes = await twice(client, f"How do I {mode}?")
        second = await ask(client, "query-docs", libraryId=FASTAPI, query=f"How do I {mode}?")
    assert len(tools.tools) == 3
    assert outcomes == ["miss", "hit"]
    assert answers[0] == answers[1] == second
    assert api.calls == 1


async def test_sse_is_served_to_clients_of_the_older_transport(api: Api, served: Served) -> None:
    async with over_sse(served.url("/sse")) as client:
        tools = await client.list_tools()
        answers, outcomes = await twice(client, "How do I stream?")
    assert len(tools.tools) == 3
    assert outcomes == ["miss", "hit"]
    assert answers[0] == answers[1]
    assert api.calls == 1


async def test_clients_of_both_transports_at_the_same_time_get_the_same_answer(
    api: Api, served: Served
) -> None:
    asked = {"libraryId": FASTAPI, "query": "How do I share?"}
    async with over_sse(served.url("/sse")) as one, over_http(served.url("/mcp")) as other:
        with api.gate() as gate:
            results = []

            async def call(client: Client) -> None:
                results.append(await client.call_tool("query-docs", asked))

            async with anyio.create_task_group() as both:
                both.start_soon(call, one)
                both.start_soon(call, other)
                await gate.arrived(1)
                gate.release()
    assert results[0].content == results[1].content
    assert api.calls == 1


def test_ping_is_answered(served: Served) -> None:
    reply = httpx2.get(served.url("/ping"), verify=PLAIN, trust_env=False, timeout=40)
    assert reply.status_code == 200
    assert reply.json() == {"status": "ok", "message": "pong"}


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("host", "context7.example", 421),
        ("host", "context7.example:80", 421),
        ("origin", "https://context7.example", 403),
        ("origin", "http://127.0.0.1.context7.example", 403),
        ("origin", "null", 403),
    ],
)
@pytest.mark.parametrize("method_path", ["POST /mcp", "GET /sse", "POST /messages/"])
def test_request_with_a_foreign_host_or_origin_is_refused(
    served: Served, method_path: str, header: str, value: str, status: int
) -> None:
    method, path = method_path.split()
    body = INITIALIZE if method == "POST" else None
    headers = {**ACCEPT, header: value}
    reply = httpx2.request(
        method,
        served.url(path),
        headers=headers,
        json=body,
        verify=PLAIN,
        trust_env=False,
        timeout=SECONDS,
    )
    assert reply.status_code == status


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_local_host_is_accepted_by_either_name(served: Served, host: str) -> None:
    origin = f"http://{host}:{served.port}"
    headers = {**ACCEPT, "host": f"{host}:{served.port}", "origin": origin}
    reply = httpx2.post(
        served.url("/mcp"),
        headers=headers,
        json=INITIALIZE,
        verify=PLAIN,
        trust_env=False,
        timeout=SECONDS,
    )
    assert reply.status_code == 200


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_taken_port_is_skipped_and_the_ready_line_names_the_one_in_use(
    home: Path, transport: str
) -> None:
    offline = product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": "off"})
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        product_at_port(transport, offline, taken.getsockname()[1]) as served,
    ):
        assert taken.getsockname()[1] < served.port <= taken.getsockname()[1] + 10
        assert (
            httpx2.get(served.url("/ping"), verify=PLAIN, trust_env=False, timeout=40).status_code
            == 200
        )
        assert served.process.out.text == ""


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_signal_with_a_stream_open_ends_it_at_once(
    home: Path, by_http: Variables, transport: str
) -> None:
    environment = product_environment(home, by_http)
    one_within(SOON, lambda: ending(environment, transport))


def ending(environment: dict[str, str], transport: str) -> float:
    """Return the seconds from the signal to the end, exit code 0, while a client waits."""
    with (
        product_at_port(transport, environment) as served,
        socket.create_connection(("127.0.0.1", served.port), SECONDS) as client,
    ):
        client.sendall(request("/sse", served.port))
        while b"/messages/" not in client.recv(4096):
            pass
        started = time.monotonic()
        served.process.popen.send_signal(signal.SIGTERM)
        wait_gone([served.process.pid])
        took = time.monotonic() - started
        assert served.process.wait() == 0
    return took


def request(path: str, port: int) -> bytes:
    """Return the bytes of a request for a stream."""
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Accept: application/json, text/event-stream",
        "\r\n",
    )
    return "\r\n".join(lines).encode()
