"""Transports of a shared server: IPv4 and IPv6, TLS by files, a proxy in front; and its end."""

import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import trustme

from support.client import HEADERS, LIST, SECONDS, asked, result_of
from support.processes import one_within, seconds_of
from support.product import Served, product_at_port, product_environment, run_product

OFFLINE = {"CONTEXT7_FABRIC_UPSTREAM": "off"}
STREAMS = 20
TO_END = 3
"""Seconds within which it has to end, open streams or not."""


@dataclass(frozen=True)
class Papers:
    """The files of a certificate for this machine, and who trusts its authority."""

    certificate: Path
    key: Path
    trusting: ssl.SSLContext

    @property
    def variables(self) -> dict[str, str]:
        """The settings that name the files."""
        return {
            "CONTEXT7_FABRIC_TLS_CERT": str(self.certificate),
            "CONTEXT7_FABRIC_TLS_KEY": str(self.key),
        }


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("papers")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1", "::1")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for part in issued.cert_chain_pems:
        part.write_to_path(folder / "chain.pem", append=True)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return Papers(folder / "chain.pem", folder / "key.pem", trusting)


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return product_environment(home, OFFLINE)


def test_it_is_served_on_ipv6(environment: dict[str, str]) -> None:
    with product_at_port("http", environment, 0, "--host", "::1") as served:
        assert served.address == f"http://[::1]:{served.port}"
        assert result_of(asked(served))["tools"]


@pytest.mark.parametrize("transport", ["http", "sse"])
def test_without_a_port_it_is_context7s_or_one_of_the_next_ten(
    environment: dict[str, str], transport: str
) -> None:
    with product_at_port(transport, environment, None) as served:
        assert 3000 <= served.port <= 3010
        assert served.address == f"http://127.0.0.1:{served.port}"


def test_no_port_left_is_an_error_of_one_line(environment: dict[str, str]) -> None:
    with ExitStack() as stack:
        last = stack.enter_context(_listening_near_the_end())
        port = str(last.getsockname()[1])
        ended = run_product("--transport", "http", "--port", port, env=environment)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert f"no port from {port} to 65535" in line


def _listening_near_the_end() -> socket.socket:
    """The last port there is, taken by this process or by another one."""
    try:
        return socket.create_server(("127.0.0.1", 65535))
    except OSError:
        return socket.socket()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_tls_is_served_from_files(environment: dict[str, str], papers: Papers, host: str) -> None:
    with product_at_port("http", environment | papers.variables, 0, "--host", host) as served:
        assert served.address.startswith("https://")
        with httpx2.Client(verify=papers.trusting, trust_env=False, timeout=40) as client:
            with pytest.raises(httpx2.TransportError):
                client.get(served.url("/ping").replace("https:", "http:"))
            with pytest.raises(httpx2.ConnectError):
                httpx2.get(served.url("/ping"), trust_env=False, timeout=40)
            reply = client.post(served.url("/mcp"), headers=HEADERS, json=LIST)
            metadata = client.get(served.url("/.well-known/oauth-protected-resource")).json()
    assert result_of(reply)["tools"]
    assert metadata["resource"] == served.url("/mcp")


@pytest.mark.parametrize("broken", ["no certificate", "no key", "no pair", "half"])
def test_tls_that_cannot_work_is_an_error_before_anything_is_served(
    environment: dict[str, str], papers: Papers, tmp_path: Path, broken: str
) -> None:
    other = tmp_path / "other.pem"
    if broken == "no pair":
        trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(other)
    replaced = "CERT" if broken == "no certificate" else "KEY"
    value = "" if broken == "half" else str(other)
    variables = papers.variables | {f"CONTEXT7_FABRIC_TLS_{replaced}": value}
    ended = run_product("--transport", "http", "--port", "0", env=environment | variables)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "CONTEXT7_FABRIC_TLS_" in line


@pytest.mark.parametrize(
    ("proxies", "scheme"),
    [("127.0.0.1", "https"), ("127.0.0.0/8", "https"), ("10.0.0.1", "http"), ("", "http")],
)
def test_only_a_trusted_proxys_word_counts(
    environment: dict[str, str], proxies: str, scheme: str
) -> None:
    trusted = {"CONTEXT7_FABRIC_PROXIES": proxies, "CONTEXT7_FABRIC_HOSTS": "context7.example"}
    forwarded = {
        "host": "context7.example",
        "x-forwarded-proto": "https",
        "x-forwarded-for": "192.0.2.1",
        "x-forwarded-host": "elsewhere.example",
    }
    path = "/.well-known/oauth-protected-resource"
    with product_at_port("http", environment | trusted) as served:
        metadata = asked(served, path, forwarded, method="GET").json()
    assert metadata["resource"] == f"{scheme}://context7.example/mcp"


@contextmanager
def listened_to(environment: dict[str, str], papers: Papers) -> Iterator[Served]:
    """A server with open streams."""
    with product_at_port("http", environment) as served, ExitStack() as stack:
        client = stack.enter_context(
            httpx2.Client(verify=papers.trusting, trust_env=False, timeout=SECONDS)
        )
        for number in range(STREAMS):
            path = ("/sse", "/sse/")[number % 2]
            stream = client.stream("GET", served.url(path), headers=HEADERS)
            assert stack.enter_context(stream).status_code == 200
        yield served


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_despite_open_streams(
    environment: dict[str, str], papers: Papers, by: signal.Signals, tls: bool
) -> None:
    environment |= papers.variables if tls else {}

    def took() -> float:
        with listened_to(environment, papers) as served:
            served.process.popen.send_signal(by)
            seconds = seconds_of(served.process.wait)
            assert "Traceback" not in "".join(served.process.complaints())
        return seconds

    one_within(TO_END, took)
