"""nginx with the configuration that ships, in front of two replicas on one Redis."""

import json
import os
import re
import signal
import ssl
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme
from anyio.from_thread import start_blocking_portal
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from context7_fabric.http_server.listener import HttpServer, bound_socket
from context7_fabric.http_server.token_file import TokenFile
from context7_fabric.settings.values import WebSettings
from support.client import FASTAPI, HEADERS, LIST, ask, asked, bearing, call, outcome_of, result_of
from support.context7_api import Api
from support.processes import spawn, wait_gone
from support.product import Served, Variables, product_at_port, product_environment
from support.programs import needed_server
from support.redis_servers import RedisServer, redis_server
from support.upstreams import free_port

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx.conf"
PATIENCE = 40.0
"""Longest wait in seconds for a reply or for an end."""


@dataclass(frozen=True)
class Papers:
    """Temporary certificate in a folder of secrets, and the TLS context that trusts it."""

    folder: Path
    trusting: ssl.SSLContext


@dataclass(frozen=True)
class Front:
    """A running nginx: its address, and a client that trusts it."""

    url: str
    client: httpx2.Client
    papers: Papers

    def post(self, message: object, token: str, **headers: str) -> httpx2.Response:
        """Send one request and return its response."""
        sent = {**HEADERS, **bearing(token), **headers}
        return self.client.post(f"{self.url}/mcp", json=message, headers=sent)


def papers_in(folder: Path) -> Papers:
    """A certificate for this machine, in the files that nginx reads it from."""
    authority, trusting = trustme.CA(), ssl.create_default_context()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for part in issued.cert_chain_pems:
        part.write_to_path(folder / "chain.pem", append=True)
    authority.configure_trust(trusting)
    return Papers(folder, trusting)


@contextmanager
def nginx(papers: Papers, folder: Path, ports: Sequence[int], text: str = "") -> Iterator[Front]:
    """Let nginx run with the configuration that ships, or with `text`, on free ports."""
    program = needed_server("nginx")
    prefix = folder / "nginx"
    prefix.mkdir()
    port = free_port()
    changed = _moved(text or SHIPPED.read_text("utf-8"), papers, prefix, port, ports)
    (prefix / "nginx.conf").write_text(changed)
    options = "daemon off; user root;" if os.geteuid() == 0 else "daemon off;"
    command = [program, "-e", "stderr", "-p", str(prefix), "-c", "nginx.conf", "-g", options]
    with (
        spawn(command) as process,
        httpx2.Client(verify=papers.trusting, trust_env=False, timeout=PATIENCE) as client,
    ):
        process.err.wait_for("start worker process ")
        yield Front(f"https://localhost:{port}", client, papers)


def _moved(text: str, papers: Papers, prefix: Path, port: int, ports: Sequence[int]) -> str:
    """Return the configuration with this machine's addresses and folders for the containers'."""
    here = {
        "/tmp/": f"{prefix}/",  # noqa: S108  # it is the container's
        "/run/secrets/": f"{papers.folder}/",
        "stderr warn": "stderr notice",
        "listen 8443 ": f"listen 127.0.0.1:{port} ",
        "listen 8080;": f"listen 127.0.0.1:{_another(port)};",
        **{f"fabric-{number}:3000": f"127.0.0.1:{each}" for number, each in enumerate(ports, 1)},
    }
    for there, ours in here.items():
        assert there in text
        text = text.replace(there, ours)
    return text


def _another(port: int) -> int:
    """Return a free port other than `port`, which may still be free itself."""
    return next(each for each in iter(free_port, None) if each != port)


def client_from(address: str, verify: ssl.SSLContext | bool = True) -> httpx2.Client:  # noqa: FBT002
    """Return a client that calls from another address of this machine."""
    transport = httpx2.HTTPTransport(local_address=address, verify=verify)
    return httpx2.Client(transport=transport, trust_env=False, timeout=40)


@contextmanager
def address_server() -> Iterator[int]:
    """Serve the client address of each request, behind our listener that trusts 127.0.0.1."""

    async def tell(scope: Scope, receive: Receive, send: Send) -> None:
        client = Request(scope).client
        await PlainTextResponse(client.host if client else "")(scope, receive, send)

    server = HttpServer(tell, WebSettings(proxies=("127.0.0.1",)))
    with bound_socket("127.0.0.1", 0) as listening, start_blocking_portal() as portal:
        serving = portal.start_task_soon(server.serve, [listening])
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            serving.result(PATIENCE)


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
    """Two replicas, the tokens of six people, and the nginx in front."""

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
    own = {"CONTEXT7_FABRIC_BACKEND": redis.patient_url, "CONTEXT7_FABRIC_PROXIES": "127.0.0.1"}
    environment = product_environment(tmp_path / "home", {**by_http, **own})
    tokens = [TokenFile(tmp_path / "home" / "tokens").add(name) for name in NAMES]
    with ExitStack() as stack:
        both = [stack.enter_context(product_at_port("http", environment)) for _ in range(2)]
        front = stack.enter_context(nginx(papers, tmp_path, [each.port for each in both]))
        yield Team(both, tokens, front)


def kill(served: Served) -> None:
    """Kill a replica without a clean shutdown."""
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


def test_the_scheme_is_taken_from_the_proxy_alone(team: Team) -> None:
    forged = {"x-forwarded-proto": "http", "x-forwarded-for": "192.0.2.1"}
    metadata = team.front.client.get(team.front.url + RESOURCE, headers=forged).json()
    assert metadata["resource"] == f"{team.front.url}/mcp"
    forged["x-forwarded-proto"] = "https"
    with client_from(OTHERS_ADDRESS) as stranger:
        direct = stranger.get(team.replicas[0].url(RESOURCE), headers=forged).json()
    assert direct["resource"] == team.replicas[0].url("/mcp")


def test_the_clients_address_is_taken_from_the_proxy_alone(papers: Papers, tmp_path: Path) -> None:
    forged = {"x-forwarded-for": "192.0.2.1"}
    with (
        address_server() as port,
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
            metadata = front.client.get(front.url + RESOURCE).json()
            listed = front.client.post(f"{front.url}/mcp", json=LIST, headers=HEADERS)
    assert metadata["resource"] == f"{front.url}/mcp"
    assert result_of(listed)["tools"]
