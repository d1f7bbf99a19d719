"""nginx with the configuration that ships, on free ports of this machine, and who calls it."""

import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import trustme
from anyio.from_thread import start_blocking_portal
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from context7_fabric.http_server.listener import HttpServer, bound_socket
from context7_fabric.settings.values import WebSettings
from support.client import HEADERS, bearing
from support.processes import spawn
from support.programs import needed_server
from support.upstreams import free_port

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx.conf"
PATIENCE = 10.0
"""Seconds that one waits for a reply, or for an end."""


@dataclass(frozen=True)
class Papers:
    """A throw-away certificate in a folder of secrets, and what trusts it."""

    folder: Path
    trusting: ssl.SSLContext


@dataclass(frozen=True)
class Front:
    """A running nginx: its address, and a client that trusts it."""

    url: str
    client: httpx2.Client
    papers: Papers

    def post(self, message: object, token: str, **headers: str) -> httpx2.Response:
        """What a call of one request is replied."""
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
    """Return a free port other than `port`, which nobody has taken yet either."""
    return next(each for each in iter(free_port, None) if each != port)


def client_from(address: str, verify: ssl.SSLContext | bool = True) -> httpx2.Client:  # noqa: FBT002
    """Return a client that calls from another address of this machine."""
    transport = httpx2.HTTPTransport(local_address=address, verify=verify)
    return httpx2.Client(transport=transport, trust_env=False)


@contextmanager
def told_address() -> Iterator[int]:
    """Serve, behind our listener that trusts 127.0.0.1, where each request seems to come from."""

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
