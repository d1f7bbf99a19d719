"""Traces of shared servers: the server on HTTP, and the daemon."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from support.client import PLAIN, outcome_of, talking
from support.daemons import daemons, daemons_of, with_daemon
from support.mcp_upstream import McpUpstream, mcp_upstream
from support.otlp import BY_SDK, BY_US, Receiver, receiving
from support.product import PROGRAM, product_at_port, product_environment

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ARGUMENTS = {"libraryId": "/widgets/widget1", "query": "start"}
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def asked() -> Iterator[McpUpstream]:
    with mcp_upstream() as upstream:
        yield upstream


def to_langsmith(asked: McpUpstream, receiver: Receiver, key: str = "one") -> dict[str, str]:
    return {
        "CONTEXT7_FABRIC_UPSTREAM": asked.url,
        "LANGSMITH_API_KEY": key,
        "LANGSMITH_ENDPOINT": receiver.url,
    }


def post(client: httpx2.Client, url: str, meta: dict[str, str] | None = None) -> str:
    params = {"name": "query-docs", "arguments": ARGUMENTS} | ({"_meta": meta} if meta else {})
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return client.post(url, json=message, headers=HEADERS).raise_for_status().text


def test_on_http_both_lanes_are_traced_alike(
    home: Path, asked: McpUpstream, receiver: Receiver
) -> None:
    env = product_environment(home, to_langsmith(asked, receiver))
    with (
        product_at_port("http", env) as served,
        httpx2.Client(verify=PLAIN, trust_env=False, timeout=40) as client,
    ):
        url = served.url("/mcp")
        assert '"miss"' in post(client, url)
        assert '"hit"' in post(client, url, {"traceparent": f"00-{TRACE}-{PARENT}-01"})
        assert '"hit"' in post(client, url)
        receiver.wait_for(3)
    _miss, by_sdk, by_express = receiver.calls
    assert by_sdk.parent == PARENT
    assert by_express.name == by_sdk.name == "tools/call query-docs"
    assert (by_sdk.scope, by_express.scope) == (BY_SDK, BY_US)
    assert set(by_express.attributes) == set(by_sdk.attributes)
    for name in ("jsonrpc.request.id", "mcp.protocol.version"):
        assert by_express.attributes[name] == by_sdk.attributes[name]


def test_sessions_with_another_key_of_langsmiths_get_a_daemon_of_their_own(
    home: Path, asked: McpUpstream, receiver: Receiver
) -> None:
    with daemons(home):
        for key, calls in (("one", 1), ("one", 2), ("two", 3)):
            env = with_daemon(home, to_langsmith(asked, receiver, key))
            with talking([PROGRAM], env) as dialogue:
                outcome_of(dialogue.call("query-docs", **ARGUMENTS))
                receiver.wait_for(calls)
        assert len(daemons_of(home)) == 2
    assert {headers["x-api-key"] for headers in receiver.headers} == {"one", "two"}
