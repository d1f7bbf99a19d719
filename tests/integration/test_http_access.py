"""Access to a shared server: tokens, rates, and visibility of entries."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from support.client import HEADERS, PLAIN, asked, bearing, call, result_of, token_of, until
from support.product import Served, product_at_port, product_environment, run_product

OFFLINE = {"CONTEXT7_FABRIC_UPSTREAM": "off", "CONTEXT7_FABRIC_TOOLS": "+fabric"}
EVERYWHERE = ("--host", "0.0.0.0")  # noqa: S104  # it is what is tested
PRIVATE = (
    "POST /mcp",
    "GET /mcp",
    "GET /sse",
    "POST /messages/",
    "GET /health",
    "GET /metrics",
    "POST /rag/query",
    "GET /openapi.json",
    "GET /nothing",
)


@dataclass(frozen=True)
class Team:
    """A server at every address of this machine, and the tokens of two."""

    served: Served
    ann: str
    bob: str


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    environment = product_environment(tmp_path_factory.mktemp("home"), OFFLINE)
    ann, bob = token_of("ann", environment), token_of("bob", environment)
    with product_at_port("http", environment, 0, *EVERYWHERE) as served:
        yield Team(served, ann, bob)


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return product_environment(home, OFFLINE)


def status(served: Served, token: str) -> int:
    return asked(served, headers=bearing(token)).status_code


def text(served: Served, token: str, tool: str, **arguments: object) -> str:
    result = result_of(asked(served, headers=bearing(token), message=call(tool, **arguments)))
    return str(result["content"][0]["text"])


@pytest.mark.parametrize(
    ("host", "by"),
    [
        ("0.0.0.0", "option"),  # noqa: S104
        ("0.0.0.0", "variable"),  # noqa: S104
        ("::", "option"),
        ("127.0.0.2", "option"),
        ("context7.example", "option"),
    ],
)
def test_an_address_that_others_reach_is_refused_without_tokens_and_it_says_why(
    environment: dict[str, str], host: str, by: str
) -> None:
    words = ("--host", host) if by == "option" else ()
    set_so = {} if by == "option" else {"CONTEXT7_FABRIC_HOST": host}
    ended = run_product("--transport", "http", "--port", "0", *words, env=environment | set_so)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert f"CONTEXT7_FABRIC_HOST: '{host}'" in line
    assert "`context7-fabric token add NAME`" in line


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"c\0i\0\n\0", "it is no text"),
        (None, "there is no such file"),
        (b"x" * 300_000, "bytes"),
    ],
)
def test_a_token_file_that_is_none_keeps_it_from_starting(
    environment: dict[str, str], tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    file = tmp_path / "of the team"
    if content is not None:
        file.write_bytes(content)
    named = {"CONTEXT7_FABRIC_TOKENS_FILE": str(file)}
    ended = run_product("--transport", "http", "--port", "0", env=environment | named)
    assert ended.returncode in {1, 2}
    (line,) = ended.stderr.splitlines()
    assert str(file) in line
    assert complaint in line


@pytest.mark.parametrize("bad", [b"ci", b"\xff\xfe", b"ci sha256:00 2026-01-01", b"\tann \xe9"])
def test_a_line_that_is_no_token_is_left_out_and_an_unreadable_file_lets_no_one_in(
    environment: dict[str, str], home: Path, bad: bytes
) -> None:
    ann = token_of("ann", environment)
    file = home / "tokens"
    file.write_bytes(bad + b"\n" + file.read_bytes())
    with product_at_port("http", environment) as served:
        served.process.err.wait_for("ERROR: a token is left out: .*tokens, line 1")
        assert status(served, ann) == 200
        file.write_bytes(file.read_bytes() + b"\0")
        until(served, lambda: status(served, ann) == 401)
        served.process.err.wait_for("all requests are rejected .*it is no text")


def test_every_address_accepts_valid_tokens_alone(team: Team) -> None:
    token, served = team.ann, team.served
    wrong: tuple[dict[str, str], ...] = (
        {},
        bearing(token[:-1]),
        {"authorization": token},
        {"x-api-key": token},
    )
    for headers in wrong:
        for place in PRIVATE:
            method, path = place.split()
            reply = asked(served, path, headers, {}, method)
            assert (place, reply.status_code) == (place, 401)
            assert reply.headers["www-authenticate"] == 'Bearer realm="context7-fabric"'
            assert "Authorization: Bearer TOKEN" in reply.json()["error"]
    assert len(result_of(asked(served, headers=bearing(token)))["tools"]) == 7
    assert asked(served, "/health", bearing(token), method="GET").status_code == 200


def test_health_and_authorization_metadata_need_no_token(team: Team) -> None:
    served = team.served
    assert asked(served, "/ping", method="GET").json() == {"status": "ok", "message": "pong"}
    for path in ("", "/mcp"):
        metadata = asked(served, f"/.well-known/oauth-protected-resource{path}", method="GET")
        assert metadata.json() == {
            "resource": served.url("/mcp"),
            "bearer_methods_supported": ["header"],
        }
    for method in ("GET", "POST"):
        refused = asked(served, "/mcp/oauth", method=method)
        assert refused.status_code == 401
        assert "no OAuth here" in refused.json()["error"]


def test_tokens_are_given_taken_back_and_lost_without_a_restart(
    environment: dict[str, str], home: Path
) -> None:
    ann = token_of("ann", environment)
    with product_at_port("http", environment) as served:
        assert status(served, ann) == 200
        bob = token_of("bob", environment)
        until(served, lambda: status(served, bob) == 200)
        assert run_product("token", "revoke", "ann", env=environment).returncode == 0
        until(served, lambda: status(served, ann) == 401)
        assert status(served, bob) == 200

        kept = (home / "tokens").read_bytes()
        (home / "tokens").write_bytes(b"nonsense\n")
        until(served, lambda: status(served, bob) == 401)
        served.process.err.wait_for("ERROR: a token is left out: .*tokens, line 1")
        (home / "tokens").unlink()
        (home / "tokens").write_bytes(kept)
        until(served, lambda: status(served, bob) == 200)


def test_an_open_stream_ends_soon_when_its_token_is_taken_back(
    environment: dict[str, str],
) -> None:
    ann = HEADERS | bearing(token_of("ann", environment))
    with (
        product_at_port("http", environment) as served,
        httpx2.stream(
            "GET", served.url("/sse"), headers=ann, verify=PLAIN, trust_env=False, timeout=40
        ) as stream,
    ):
        assert stream.status_code == 200
        assert run_product("token", "revoke", "ann", env=environment).returncode == 0
        stream.read()
        assert "Traceback" not in served.process.err.text


def test_an_open_stream_says_nothing_more_for_a_token_that_is_taken_back(
    environment: dict[str, str],
) -> None:
    ann = bearing(token_of("ann", environment))
    with (
        product_at_port("http", environment) as served,
        httpx2.stream(
            "GET", served.url("/sse"), headers=ann, verify=PLAIN, trust_env=False, timeout=40
        ) as stream,
    ):
        lines = stream.iter_lines()
        path = next(line for line in lines if "/messages/" in line).removeprefix("data:").strip()
        assert asked(served, path, ann).status_code == 202
        assert '"id":1' in next(line for line in lines if line.startswith("data:"))
        assert run_product("token", "revoke", "ann", env=environment).returncode == 0
        until(served, lambda: asked(served, headers=ann).status_code == 401)
        assert asked(served, path, ann).status_code == 401
        assert not [line for line in lines if line.startswith(("event:", "data:"))]


def test_each_token_has_a_rate_of_its_own(environment: dict[str, str]) -> None:
    ann, bob = token_of("ann", environment), token_of("bob", environment)
    with product_at_port("http", environment | {"CONTEXT7_FABRIC_RATE": "10"}) as served:
        strangers = [status(served, "c7f_unknown") for _request in range(12)]
        replies = [asked(served, headers=bearing(ann)) for _request in range(11)]
        assert strangers == [401] * 12
        assert [each.status_code for each in replies] == [200] * 10 + [429]
        assert 1 <= int(replies[-1].headers["retry-after"]) <= 6
        assert replies[-1].json()["error"]
        assert status(served, bob) == 200


def test_a_name_that_is_not_listed_is_not_answered_for(environment: dict[str, str]) -> None:
    token = token_of("ann", environment)
    names = {"CONTEXT7_FABRIC_HOSTS": "context7.example, other.example"}
    with product_at_port("http", environment | names) as served:
        for host, expected in {
            "context7.example": 200,
            "OTHER.example:8443": 200,
            f"localhost:{served.port}": 200,
            "third.example": 421,
        }.items():
            reply = asked(served, headers={**bearing(token), "host": host})
            assert (host, reply.status_code) == (host, expected)


def test_no_page_of_another_site_is_allowed_anything(team: Team) -> None:
    foreign = {
        **bearing(team.ann),
        "origin": "https://elsewhere.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    for path in ("/mcp", "/sse", "/ping", "/query"):
        for method in ("OPTIONS", "GET", "POST"):
            reply = asked(team.served, path, foreign, {}, method)
            assert reply.status_code == 403
            assert not [name for name in reply.headers if name.startswith("access-control")]


def test_what_is_stored_for_the_user_is_the_tokens_owners(team: Team) -> None:
    served, theme = team.served, {"key": "theme", "scope": "USER"}
    text(served, team.ann, "fabric-set", **theme, value="dark")
    text(served, team.bob, "fabric-set", key="editor", scope="USER", value="vi")
    assert text(served, team.bob, "fabric-get", **theme) == "there is no 'theme' in USER"
    text(served, team.bob, "fabric-set", **theme, value="light")
    for token, value in ((team.ann, "dark"), (team.bob, "light")):
        assert json.loads(text(served, token, "fabric-get", **theme))["value"] == value
    assert user_scope(served, team.ann) == {"theme#ann"}
    assert user_scope(served, team.bob) == {"editor#bob", "theme#bob"}


def user_scope(served: Served, token: str) -> set[str]:
    """The keys that `fabric://USER` names."""
    read = {"jsonrpc": "2.0", "id": 1, "method": "resources/read"}
    message = {**read, "params": {"uri": "fabric://USER"}}
    result = result_of(asked(served, headers=bearing(token), message=message))
    listing = json.loads(result["contents"][0]["text"])
    return {each["key"] for each in listing["entries"]}
