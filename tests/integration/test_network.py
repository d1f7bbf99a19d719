"""Network between the product and upstream: proxies, certificates, and no unexpected requests."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.catalogue import Catalogue
from support.client import outcome_of, talking, texts_of
from support.context7_api import Api
from support.knocks import knocks
from support.product import PROGRAM, Variables, product_environment
from support.tls_proxy import Proxy, tls_proxy

pytestmark = pytest.mark.either_mode

HOST = "mcp.context7.com"
ASKED = {"libraryId": "/fastapi/fastapi", "query": "How do I test a WebSocket?"}


@pytest.fixture
def proxy(real_url: str) -> Iterator[Proxy]:
    """Proxy that answers for Context7's own address with the real server."""
    behind = Api(Catalogue())
    behind.url = real_url
    with tls_proxy(behind, HOST) as proxy:
        yield proxy


def answer_of(home: Path, variables: Variables) -> dict[str, Any]:
    """Ask one question over a new connection and return its result."""
    with talking([PROGRAM], product_environment(home, variables)) as dialogue:
        return dialogue.call("query-docs", **ASKED)


def problem_of(home: Path, variables: Variables) -> str:
    """Ask one question while upstream is unreachable and return its one-line error."""
    result = answer_of(home, variables)
    assert result["isError"]
    (text,) = texts_of(result)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("variable", ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"])
def test_context7_itself_is_reached_through_a_proxy_with_an_authority_of_its_own(
    api: Api, home: Path, proxy: Proxy, variable: str
) -> None:
    variables = {"HTTPS_PROXY": proxy.url, variable: str(proxy.authority)}
    assert outcome_of(answer_of(home, variables)) == "miss"
    assert set(proxy.asked) == {f"{HOST}:443"}
    assert api.calls == 1


def test_a_certificate_of_an_unknown_authority_is_an_error_that_says_so(
    api: Api, home: Path, proxy: Proxy
) -> None:
    text = problem_of(home, {"HTTPS_PROXY": proxy.url})
    assert f"https://{HOST}/mcp" in text
    assert "certificate" in text
    assert api.calls == 0


def test_an_authority_that_is_not_there_is_an_error_that_names_the_variable(
    home: Path, proxy: Proxy, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing.pem")
    text = problem_of(home, {"HTTPS_PROXY": proxy.url, "NODE_EXTRA_CA_CERTS": missing})
    assert "NODE_EXTRA_CA_CERTS" in text
    assert missing in text
    assert proxy.asked == []


def test_an_authority_that_is_none_is_an_error_that_names_the_variable(
    home: Path, proxy: Proxy, tmp_path: Path
) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate\n", encoding="ascii")
    text = problem_of(home, {"HTTPS_PROXY": proxy.url, "NODE_EXTRA_CA_CERTS": str(nonsense)})
    assert "NODE_EXTRA_CA_CERTS" in text


def test_a_proxy_that_turns_us_away_is_an_error(home: Path) -> None:
    with knocks() as dead:
        text = problem_of(home, {"HTTPS_PROXY": dead.url})
        assert dead.count > 0
    assert f"https://{HOST}/mcp cannot be reached" in text


def test_no_proxy_bypasses_the_proxy_over_https(home: Path) -> None:
    with knocks() as proxied, knocks() as target:
        variables = {
            "HTTPS_PROXY": proxied.url,
            "NO_PROXY": "localhost",
            "CONTEXT7_FABRIC_UPSTREAM": f"https://localhost:{target.port}/mcp",
        }
        problem_of(home, variables)
        assert (proxied.count, target.count > 0) == (0, True)


def test_no_proxy_bypasses_the_proxy_over_http(api: Api, home: Path, by_http: Variables) -> None:
    with knocks() as proxied:
        variables = {**by_http, "HTTP_PROXY": proxied.url, "NO_PROXY": "127.0.0.1"}
        assert outcome_of(answer_of(home, variables)) == "miss"
        assert proxied.count == 0


def test_an_api_of_ones_own_starts_context7s_package_and_asks_no_other_host(
    api: Api, home: Path, tmp_path: Path, newest: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    lines = (
        "#!/bin/sh",
        f"printf '%s\\n' \"$@\" > {shlex.quote(str(seen))}",
        f"env >> {shlex.quote(str(seen))}",
        "unset HTTPS_PROXY",  # 4.1.1 asks its proxy for loopback addresses too
        f"exec {shlex.join(newest)}",
    )
    (tmp_path / "npx").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "npx").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with knocks() as elsewhere:
        variables = {
            "CONTEXT7_API_URL": api.url,
            "CONTEXT7_API_KEY": "ctx7sk-mine",
            "HTTPS_PROXY": elsewhere.url,
        }
        assert outcome_of(answer_of(home, variables)) == "miss"
        assert elsewhere.count == 0
    first, second, *environment = seen.read_text(encoding="utf-8").splitlines()
    assert (first, second) == ("-y", "@upstash/context7-mcp")
    assert {f"{name}={value}" for name, value in variables.items()} <= set(environment)
    assert [each.key for each in api.requests] == ["ctx7sk-mine"]
