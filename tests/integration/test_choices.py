"""Choices of one client of a shared server affect no other client, over real connections."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from support.client import HEADERS, PLAIN, asked, bearing, call, result_of, token_of
from support.mcp_upstream import mcp_upstream
from support.product import Served, product_at_port, product_environment

OFFLINE = {"CONTEXT7_FABRIC_UPSTREAM": "off", "CONTEXT7_FABRIC_RATE": "60000"}
MODERN = "2026-07-28"
NAMES = ("pytest", "huggingface", "brand new", "flaskling", "fastapi")


@dataclass(frozen=True)
class Team:
    """A server, and the headers of two members, each with a token."""

    served: Served
    ann: Mapping[str, str]
    bob: Mapping[str, str]

    def result(self, member: Mapping[str, str], message: object) -> Any:  # noqa: ANN401  # JSON
        """Return the result of a message to /mcp, without the `_meta` of the call."""
        result = result_of(asked(self.served, headers=member, message=message))
        result.pop("_meta", None)
        return result

    def posted(self, member: Mapping[str, str], path: str, body: object) -> Any:  # noqa: ANN401
        """Return the reply to a POST of JSON."""
        reply = asked(self.served, path, member, body)
        assert reply.status_code == 200, reply.text
        return reply.json()


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    environment = product_environment(tmp_path_factory.mktemp("home"), OFFLINE)
    ann, bob = (bearing(token_of(name, environment)) for name in ("ann", "bob"))
    with product_at_port("http", environment) as served:
        yield Team(served, ann, bob)


def seen(team: Team, member: Mapping[str, str]) -> list[Any]:
    """Return everything that a member sees of libraries."""
    served, found = team.served, []
    for name in NAMES:
        found.append(team.posted(member, "/query", {"query": name, "n_results": 50}))
        wanted = {"library_name": name}
        found.append(team.posted(member, "/rag/query", {"query": "", "metadata_filter": wanted}))
        found.append(team.result(member, call("resolve-library-id", libraryName=name, query="x")))
        found.append(team.result(member, read(f"library://registry?q={name.replace(' ', '%20')}")))
    found.append(asked(served, "/collections", member, method="GET").json())
    figures = asked(served, "/library-cache/stats", member, method="GET").json()
    found.append(figures["total_libraries"])
    found.append(team.posted(member, "/query", {"query": "a library for brand new flasklings"}))
    found += (team.result(member, read(uri)) for uri in ("library://registry", "fabric://GLOBAL"))
    found += (team.result(member, completed(*each)) for each in (("q", "bra"), ("org", "claimed")))
    found.append(asked(served, headers=member, message=read("library://claimed/one")).text)
    return found


@pytest.fixture(scope="module")
def untouched(team: Team) -> list[Any]:
    """Return the view of a member before any member has written."""
    return seen(team, team.bob)


def read(uri: str) -> dict[str, object]:
    """The message that reads a resource."""
    return {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": uri}}


def completed(name: str, value: str) -> dict[str, object]:
    """The message that completes a parameter of a resource's address."""
    template = "library://registry{?q}" if name == "q" else "library://{org}/{project}"
    params = {
        "ref": {"type": "ref/resource", "uri": template},
        "argument": {"name": name, "value": value},
    }
    return {"jsonrpc": "2.0", "id": 1, "method": "completion/complete", "params": params}


@pytest.mark.parametrize(
    "entry",
    [
        {"library_name": "pytest", "library_id": "/msgspec/msgspec"},
        {"library_name": "huggingface", "library_id": "/claimed/one"},
        {"library_name": "brand new", "library_id": "/claimed/one", "aliases": ["flaskling"]},
        {"library_name": "flaskling", "library_id": "/pytest-dev/pytest", "category": "claimed"},
        {"library_name": "pytest", "library_id": "/pytest-dev/pytest", "aliases": ["brand new"]},
    ],
)
def test_index_when_one_token_writes_changes_nothing_for_another(
    team: Team, untouched: list[Any], entry: Mapping[str, object]
) -> None:
    form = {"documents": ["x"], "ids": ["x"], "metadatas": [entry]}
    assert team.posted(team.ann, "/index", form)["library_ids"] == [entry["library_id"]]
    own = team.posted(team.ann, "/query", {"query": entry["library_name"]})["results"][0]
    assert (own["metadata"]["library_id"], own["relevance_score"]) == (entry["library_id"], 1)
    assert seen(team, team.bob) == untouched


def test_index_when_the_registry_knows_no_such_name_answers_the_writer_in_an_outage(
    team: Team,
) -> None:
    entry = {"library_name": "harbour", "library_id": "/quay/harbour"}
    form = {"documents": ["x"], "ids": ["x"], "metadatas": [entry]}
    assert team.posted(team.ann, "/index", form)["indexed"] == 1
    message = call("resolve-library-id", libraryName="Harbour", query="x")
    assert "/quay/harbour" in str(team.result(team.ann, message))
    assert "/quay/harbour" not in str(team.result(team.bob, message))
    assert "/quay/harbour" in str(team.result(team.ann, read("library://quay/harbour")))


def named(tool: str, **more: str) -> dict[str, str]:
    """The headers with which a modern client calls a tool."""
    return {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": tool, **more}


def modern(message: dict[str, Any]) -> dict[str, Any]:
    """A message as a client of the modern era sends it."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return {**message, "params": {**message["params"], "_meta": meta}}


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server without tokens in front of a Context7 that lists five widgets for any name."""
    with mcp_upstream() as upstream:
        variables = {"CONTEXT7_FABRIC_UPSTREAM": upstream.url}
        environment = product_environment(tmp_path_factory.mktemp("asking"), variables)
        with product_at_port("http", environment) as served:
            yield served


def tier(result: Any) -> str:  # noqa: ANN401  # JSON
    return str(result["_meta"]["context7-fabric/answer"]["tier"])


@pytest.mark.parametrize(
    ("headers", "is_modern", "expected"),
    [
        (({}, {}), False, "name"),
        (({"x-forwarded-for": "10.0.0.1"}, {"x-forwarded-for": "10.0.0.1"}), False, "name"),
        (({}, {}), True, "name"),
        (({"mcp-session-id": "one"}, {}), False, "name"),
        (({"mcp-session-id": "one"}, {"mcp-session-id": "two"}), False, "name"),
        (({"mcp-session-id": "three"}, {"mcp-session-id": "three"}), False, "learned"),
    ],
)
def test_resolve_when_requests_name_no_common_session_learns_nothing(
    asking: Served, headers: Sequence[Mapping[str, str]], *, is_modern: bool, expected: str
) -> None:
    look_up = call("resolve-library-id", libraryName="widget1", query="x")
    question = call("query-docs", libraryId="/widgets/widget1", query="x")
    result = None
    for who, message in ((0, look_up), (1, question), (1, question), (0, look_up)):
        sent, said = dict(headers[who]), message
        if is_modern:
            sent |= named(message["params"]["name"])
            said = modern(message)
        result = result_of(asked(asking, headers=sent, message=said))
    assert tier(result) == expected


def test_resolve_when_a_stream_of_events_asks_learns_for_its_own_look_up(asking: Served) -> None:
    look_up = {"libraryName": "widget4", "query": "x"}
    with ExitStack() as stack:
        one, other = (Stream(asking, stack) for _stream in range(2))
        one.call("resolve-library-id", **look_up)
        for stream, expected in ((other, "name"), (one, "learned")):
            stream.call("query-docs", libraryId="/widgets/widget4", query="x")
            assert tier(one.call("resolve-library-id", **look_up)) == expected


class Stream:
    """A client of /sse, without its handshake's answers."""

    def __init__(self, served: Served, stack: ExitStack) -> None:
        self.served = served
        reply = httpx2.stream(
            "GET", served.url("/sse"), headers=HEADERS, verify=PLAIN, trust_env=False, timeout=40
        )
        self.lines = stack.enter_context(reply).iter_lines()
        self.path = self._data("/messages/")
        client = {"name": "tests", "version": "1"}
        params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
        self._post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
        self._data('"id":0')
        self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def call(self, tool: str, **arguments: object) -> Any:  # noqa: ANN401  # JSON
        self._post(call(tool, **arguments))
        return json.loads(self._data('"id":1'))["result"]

    def _post(self, message: object) -> None:
        assert asked(self.served, self.path, message=message).status_code == 202

    def _data(self, sign: str) -> str:
        return next(line for line in self.lines if sign in line).removeprefix("data:").strip()
