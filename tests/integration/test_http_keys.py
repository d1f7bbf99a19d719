"""Callers' keys: each goes to Context7, and what it fetched is served to that key alone."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from context7_fabric.http_server.app import MOST_IDENTITIES, MOST_OF_ONE
from context7_fabric.http_server.auth import KEY_HEADERS
from support.client import FASTAPI, PLAIN, asked, bearing, call, outcome_of, result_of, token_of
from support.context7_api import Api
from support.product import Served, Variables, product_at_port, product_environment

ANN, BOB, HOUSE = "ctx7sk-ann", "ctx7sk-bob", "ctx7sk-house"


@dataclass(frozen=True)
class Shared:
    """A server that asks the real 4.1.1 with a key of its own, and a token for it."""

    served: Served
    home: Path
    token: str


@pytest.fixture(scope="module")
def alone(by_http: Variables, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server for this machine, without a key of its own."""
    with product_at_port(
        "http", product_environment(tmp_path_factory.mktemp("home"), by_http)
    ) as served:
        yield served


@pytest.fixture(scope="module")
def shared(by_http: Variables, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    home = tmp_path_factory.mktemp("home")
    own = {"CONTEXT7_API_KEY": HOUSE, "CONTEXT7_FABRIC_LOG_LEVEL": "debug"}
    environment = product_environment(home, {**by_http, **own})
    token = token_of("ann", environment)
    with product_at_port("http", environment) as served:
        yield Shared(served, home, token)


def outcome_under(served: Served, question: str, **headers: str) -> str:
    """Ask a question with headers, their names written with _, and return the outcome."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return outcome_with(served, question, sent)


def outcome_with(served: Served, question: str, headers: dict[str, str]) -> str:
    message = call("query-docs", libraryId=FASTAPI, query=question)
    return outcome_of(result_of(asked(served, headers=headers, message=message)))


@pytest.mark.parametrize("header", [*KEY_HEADERS, "authorization"])
def test_a_key_in_any_header_of_context7s_goes_upstream(
    api: Api, alone: Served, header: str
) -> None:
    value = f"Bearer {ANN}" if header == "authorization" else ANN
    assert outcome_with(alone, f"What does {header} bear?", {header: value}) == "miss"
    assert [request.key for request in api.requests] == [ANN]


def test_what_a_key_fetched_no_other_caller_is_served(api: Api, alone: Served) -> None:
    question = "How are secrets kept?"
    assert outcome_under(alone, question, context7_api_key=ANN) == "miss"
    assert outcome_under(alone, question, context7_api_key=BOB) == "miss"
    assert outcome_under(alone, question) == "miss"
    assert outcome_under(alone, question, context7_api_key=ANN) == "hit"
    assert [request.key for request in api.requests] == [ANN, BOB, None]


def test_what_was_fetched_without_a_key_is_for_all(api: Api, alone: Served) -> None:
    question = "How are secrets shared?"
    assert outcome_under(alone, question) == "miss"
    assert outcome_under(alone, question, context7_api_key=ANN) == "hit"
    assert [request.key for request in api.requests] == [None]


def test_who_has_no_key_uses_the_servers_and_shares_what_it_fetched(
    api: Api, shared: Shared
) -> None:
    question, served, let_in = "How do I share a key?", shared.served, bearing(shared.token)
    assert outcome_with(served, question, let_in) == "miss"
    assert outcome_with(served, question, let_in) == "hit"
    assert outcome_with(served, question, {**let_in, "context7-api-key": ANN}) == "miss"
    assert outcome_with(served, question, {**let_in, "context7-api-key": HOUSE}) == "hit"
    assert [request.key for request in api.requests] == [HOUSE, ANN]


def test_a_token_lets_in_and_never_goes_upstream(api: Api, shared: Shared) -> None:
    question, served, let_in = "Where does a token go?", shared.served, bearing(shared.token)
    assert outcome_with(served, question, let_in) == "miss"
    assert outcome_with(served, question, {**let_in, "x-api-key": ANN}) == "miss"
    assert [request.key for request in api.requests] == [HOUSE, ANN]
    assert not [each for each in api.requests if shared.token in str(each)]


@pytest.mark.parametrize(
    ("value", "complaint"), [("the token", "is not passed on"), ("two words", "holds blanks")]
)
def test_what_cannot_be_a_key_is_not_passed_on(
    api: Api, shared: Shared, value: str, complaint: str
) -> None:
    key = shared.token if value == "the token" else value
    reply = asked(shared.served, headers={**bearing(shared.token), "x-api-key": key})
    assert reply.status_code == 400
    assert complaint in reply.json()["error"]
    assert api.calls == 0


def test_keys_and_tokens_stand_in_no_log_and_no_file(api: Api, shared: Shared) -> None:
    let_in = bearing(shared.token)
    for headers in (let_in, {**let_in, "context7-api-key": ANN}):
        outcome_with(shared.served, "What is written down?", headers)
    asked(shared.served, headers={**let_in, "x-api-key": shared.token})
    written = [path.read_bytes() for path in shared.home.rglob("*") if path.is_file()]
    assert any(b"What is written down?" in each for each in written)
    for text in [shared.served.process.err.text.encode(), *written]:
        for secret in (ANN, HOUSE, shared.token):
            assert secret.encode() not in text


def keys_of(token: str | None, count: int) -> list[dict[str, str]]:
    """Return headers with `count` different keys, and with the token if there is one."""
    let_in = {} if token is None else bearing(token)
    return [let_in | {"x-api-key": f"ctx7sk-{token}-{number}"} for number in range(count)]


def test_many_keys_one_behind_the_other_are_all_served(home: Path) -> None:
    environment = product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": "off"})
    with product_at_port("http", environment) as served:
        for number, key in enumerate(keys_of(None, MOST_IDENTITIES + 1)):
            method, path = (("POST", "/mcp"), ("GET", "/health"))[number % 2]
            assert asked(served, path, key, method=method).status_code == 200


@pytest.mark.parametrize("tokens", [True, False])
def test_a_principal_at_its_limit_of_keys_does_not_lock_others_out(
    home: Path, *, tokens: bool
) -> None:
    environment = product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": "off"})
    ann, bob = (token_of(name, environment) if tokens else None for name in ("ann", "bob"))
    *held, one_more = keys_of(ann, MOST_OF_ONE + 1)
    with product_at_port("http", environment) as served, ExitStack() as stack:
        client = stack.enter_context(httpx2.Client(verify=PLAIN, trust_env=False, timeout=40))
        for key in held:
            stream = client.stream("GET", served.url("/sse"), headers=key)
            assert stack.enter_context(stream).status_code == 200
        refused = asked(served, headers=one_more)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "60"
        assert "different keys" in refused.json()["error"]
        assert asked(served, headers=held[0]).status_code == 200
        if bob is not None:
            assert asked(served, headers=bearing(bob)).status_code == 200
