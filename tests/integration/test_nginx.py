"""nginx with the configuration that ships, in front of two replicas on one Redis."""

import json
import os
import re
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from context7_fabric.http_server.token_file import TokenFile
from support.client import FASTAPI, HEADERS, LIST, ask, asked, bearing, call, outcome_of, result_of
from support.context7_api import Api
from support.nginx import (
    PATIENCE,
    SHIPPED,
    Front,
    Papers,
    client_from,
    nginx,
    papers_in,
    told_address,
)
from support.processes import wait_gone
from support.product import Served, Variables, product_at_port, product_environment
from support.redis_servers import RedisServer, redis_server

ROOT = Path(__file__).parents[2]
HANDBOOK = ROOT / "docs" / "server.md"
PASSWORD = "open-sesame"
NAMES = ("ann", "bob", "cid", "dan", "eve", "fay")
OTHERS_ADDRESS = "127.0.0.9"
RESOURCE = "/.well-known/oauth-protected-resource"
NEWER = {
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "query-docs",
}
_META = "io.modelcontextprotocol/"
ENVELOPE = {
    f"{_META}protocolVersion": "2026-07-28",
    f"{_META}clientInfo": {"name": "tests", "version": "1"},
    f"{_META}clientCapabilities": {},
}


@dataclass(frozen=True)
class Team:
    """Two replicas, the tokens of six people, and what stands in front."""

    replicas: Sequence[Served]
    tokens: list[str]
    front: Front


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return papers_in(tmp_path_factory.mktemp("secrets"))


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server with the configuration that ships."""
    folder = tmp_path_factory.mktemp("redis")
    (folder / "secret.conf").write_text(f"requirepass {PASSWORD}\n")
    text = (ROOT / "deploy" / "redis.conf").read_text("utf-8")
    shipped = folder / "redis.conf"
    shipped.write_text(text.replace("/run/secrets/redis.conf", str(folder / "secret.conf")))
    with redis_server("--include", str(shipped)) as server:
        server.password = PASSWORD
        yield server


@pytest.fixture
def team(
    api: Api, by_http: Variables, redis: RedisServer, papers: Papers, tmp_path: Path
) -> Iterator[Team]:
    """Replicas that trust nginx alone, on one home, as in one volume, and on an empty Redis."""
    redis.cli("flushall")
    own = {"CONTEXT7_FABRIC_BACKEND": redis.url, "CONTEXT7_FABRIC_PROXIES": "127.0.0.1"}
    environment = product_environment(tmp_path / "home", {**by_http, **own})
    tokens = [TokenFile(tmp_path / "home" / "tokens").add(name) for name in NAMES]
    with ExitStack() as stack:
        both = [stack.enter_context(product_at_port("http", environment)) for _ in range(2)]
        front = stack.enter_context(nginx(papers, tmp_path, [each.port for each in both]))
        yield Team(both, tokens, front)


def kill(served: Served) -> None:
    """End a replica without a chance to say so."""
    os.kill(served.process.pid, signal.SIGKILL)
    wait_gone([served.process.pid], PATIENCE)


def question(number: int) -> dict[str, object]:
    return call("query-docs", libraryId=FASTAPI, query=f"How do I test WebSocket number {number}?")


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_clients_of_both_eras_are_answered_over_tls(team: Team, mode: str) -> None:
    headers = bearing(team.tokens[0])
    asked_for = {"libraryId": FASTAPI, "query": "How do I test a WebSocket?"}
    async with httpx2.AsyncClient(
        headers=headers, verify=team.front.papers.trusting, trust_env=False
    ) as http:
        transport = streamable_http_client(f"{team.front.url}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            answers = [await ask(client, "query-docs", **asked_for) for _call in range(4)]
    assert "WebSocket" in answers[0]
    assert len(set(answers)) == 1


def test_what_one_replica_fetched_the_other_serves(team: Team, api: Api) -> None:
    replies = [team.front.post(question(1), token) for token in team.tokens]
    outcomes = [outcome_of(result_of(each)) for each in replies]
    assert outcomes == ["miss", *["hit"] * 5]
    assert api.calls == 1
    for served in team.replicas:
        direct = asked(served, headers=bearing(team.tokens[0]), message=question(1))
        assert outcome_of(result_of(direct)) == "hit"


def test_sessions_of_sse_stay_with_their_replica_and_come_unbuffered(team: Team) -> None:
    with ExitStack() as stack:
        opened = [stack.enter_context(session(team.front, token)) for token in team.tokens]
        for number, (lines, path, token) in enumerate(opened):
            message = {**LIST, "id": number, "method": "initialize", "params": INITIALIZE}
            posted = team.front.client.post(
                team.front.url + path, json=message, headers={**HEADERS, **bearing(token)}
            )
            assert posted.status_code == 202
            reply = json.loads(next(line for line in lines if "jsonrpc" in line)[5:])
            assert reply["id"] == number
            assert reply["result"]["serverInfo"]


INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "tests", "version": "1"},
}


@contextmanager
def session(front: Front, token: str) -> Iterator[tuple[Iterator[str], str, str]]:
    """Open /sse; yield the lines of the stream, where messages go, and the token."""
    with front.client.stream("GET", f"{front.url}/sse", headers=bearing(token)) as stream:
        assert stream.status_code == 200
        lines = stream.iter_lines()
        path = next(line for line in lines if "/messages/" in line).removeprefix("data:").strip()
        yield lines, path, token


def test_a_call_at_a_replica_that_is_killed_is_made_again_at_the_other(
    team: Team, api: Api
) -> None:
    def ask_newly(number: int) -> httpx2.Response:
        message: dict[str, Any] = question(number)
        message["params"]["_meta"] = ENVELOPE
        return team.front.post(message, team.tokens[number], **NEWER)

    with ThreadPoolExecutor(2) as threads, api.gate() as gate:
        waiting = [threads.submit(ask_newly, number) for number in range(2)]
        gate.wait_for(2)
        kill(team.replicas[0])
        gate.wait_for(3)
        gate.release()
        replies = [each.result(PATIENCE) for each in waiting]
    assert [each.status_code for each in replies] == [200, 200]
    assert all("WebSocket" in result_of(each)["content"][0]["text"] for each in replies)


def test_of_an_older_client_whose_stream_had_begun_it_breaks_off_and_can_be_made_again(
    team: Team, api: Api
) -> None:
    with ThreadPoolExecutor(2) as threads, api.gate() as gate:
        asking = partial(team.front.post, token=team.tokens[0])
        waiting = [threads.submit(asking, question(number)) for number in range(2)]
        gate.wait_for(2)
        kill(team.replicas[0])
        (broken, *_none), (other, *_one) = wait(waiting, PATIENCE, FIRST_COMPLETED)
        gate.release()
        assert isinstance(broken.exception(), httpx2.RemoteProtocolError)
        assert other.result(PATIENCE).status_code == 200
    assert {asking(question(number)).status_code for number in range(2)} == {200}


def test_with_one_replica_dead_every_call_is_answered(team: Team) -> None:
    kill(team.replicas[1])
    replies = [team.front.post(question(1), token) for token in team.tokens * 4]
    assert {each.status_code for each in replies} == {200}
    with session(team.front, team.tokens[0]) as (_lines, path, token):
        answered = team.front.client.post(
            team.front.url + path, json=LIST, headers={**HEADERS, **bearing(token)}
        )
        assert answered.status_code == 202


def test_the_scheme_is_the_proxys_word_and_nobody_elses(team: Team) -> None:
    forged = {"x-forwarded-proto": "http", "x-forwarded-for": "192.0.2.1"}
    told = team.front.client.get(team.front.url + RESOURCE, headers=forged).json()
    assert told["resource"] == f"{team.front.url}/mcp"
    forged["x-forwarded-proto"] = "https"
    with client_from(OTHERS_ADDRESS) as stranger:
        direct = stranger.get(team.replicas[0].url(RESOURCE), headers=forged).json()
    assert direct["resource"] == team.replicas[0].url("/mcp")


def test_the_clients_address_is_the_proxys_word_and_nobody_elses(
    papers: Papers, tmp_path: Path
) -> None:
    forged = {"x-forwarded-for": "192.0.2.1"}
    with (
        told_address() as port,
        nginx(papers, tmp_path, [port, port]) as front,
        client_from(OTHERS_ADDRESS, papers.trusting) as client,
    ):
        address = client.get(front.url, headers=forged).text
        direct = client.get(f"http://127.0.0.1:{port}/", headers=forged).text
    assert address == OTHERS_ADDRESS
    assert direct == OTHERS_ADDRESS


def test_metrics_of_a_replica_by_chance_are_not_given_out(team: Team) -> None:
    reply = team.front.client.get(f"{team.front.url}/metrics", headers=bearing(team.tokens[0]))
    assert reply.status_code == 404


def test_the_example_in_the_handbook_serves_one_server(papers: Papers, tmp_path: Path) -> None:
    (location,) = re.findall(r"```nginx\n(.*?)```", HANDBOOK.read_text("utf-8"), re.DOTALL)
    head, _, rest = SHIPPED.read_text("utf-8").partition("    upstream replicas {")
    served_by = rest[rest.index("    server {") :].partition("        client_max_body_size")[0]
    variables = {"CONTEXT7_FABRIC_UPSTREAM": "off", "CONTEXT7_FABRIC_PROXIES": "127.0.0.1"}
    environment = product_environment(tmp_path / "home", variables)
    with product_at_port("http", environment) as served:
        example = location.replace("127.0.0.1:3000", "fabric-1:3000")
        text = f"{head}{served_by}{example}}}\n}}\n"
        with nginx(papers, tmp_path, [served.port], text) as front:
            told = front.client.get(front.url + RESOURCE).json()
            listed = front.client.post(f"{front.url}/mcp", json=LIST, headers=HEADERS)
    assert told["resource"] == f"{front.url}/mcp"
    assert result_of(listed)["tools"]
