"""A static web site on loopback, over HTTP or HTTPS, whose pages may be hostile."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import trustme


class QuietServer(ThreadingHTTPServer):
    """A server of threads that end with the process, and that prints nothing."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: clients of these tests hang up."""


def with_tls(server: ThreadingHTTPServer, folder: Path, *hosts: str) -> Path:
    """Have a server speak TLS; return the file of the authority to trust."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*hosts).configure_cert(context)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    certificate = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(certificate))
    return certificate


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[None]:
    """Run a server in a thread for the length of the block."""
    thread = Thread(target=server.serve_forever, args=(0.01,), name="server")
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


Body = bytes | Callable[[BaseHTTPRequestHandler], None]
"""What a page sends: bytes, or a function that writes to the connection after the head."""


@dataclass(frozen=True)
class Page:
    """A page: its body, type, status and further headers."""

    body: Body
    kind: str = "text/plain; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """A running site: its address, the authority to trust, its pages by path, what was asked."""

    url: str
    authority: Path | None = None
    pages: dict[str, Page] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def text(self, path: str, text: str, **headers: str) -> None:
        """Serve a text at a path; `ETag` is written as `etag`."""
        self.pages[path] = Page(text.encode(), headers=headers)

    def redirect(self, path: str, target: str) -> None:
        """Send those who ask for a path elsewhere."""
        self.pages[path] = Page(b"", status=302, headers={"Location": target})

    @property
    def asked(self) -> list[str]:
        """The paths that were asked for."""
        return [path for path, _headers in self.requests]


@contextmanager
def site(folder: Path | None = None, host: str = "localhost") -> Iterator[Site]:
    """Serve a site for the length of the block; over HTTPS, if there is a folder for its keys."""
    server = _Server(("127.0.0.1", 0), _Handler)
    authority = with_tls(server, folder, host, "127.0.0.1") if folder else None
    scheme = "https" if folder else "http"
    server.facts = Site(f"{scheme}://{host}:{server.server_port}", authority)
    with running(server):
        yield server.facts


class _Server(QuietServer):
    facts: Site


class _Handler(BaseHTTPRequestHandler):
    server: _Server  # type: ignore[mutable-override]  # there is no other
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        facts = self.server.facts
        facts.requests.append((self.path, dict(self.headers)))
        page = facts.pages.get(self.path, Page(b"not found", status=404))
        tag = page.headers.get("etag")
        if tag and self.headers.get("If-None-Match") == tag:
            page = Page(b"", status=304, headers=page.headers)
        with suppress(OSError):
            self._send(page)

    def do_CONNECT(self) -> None:
        """Refuse to be a proxy, once it is recorded."""
        self.server.facts.requests.append((self.path, {}))
        self.send_error(403)

    def _send(self, page: Page) -> None:
        self.send_response(page.status)
        self.send_header("Content-Type", page.kind)
        for name, text in page.headers.items():
            self.send_header(name, text)
        if isinstance(page.body, bytes):
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            self.wfile.write(page.body)
        else:
            self.send_header("Connection", "close")
            self.end_headers()
            page.body(self)
            self.close_connection = True

    def log_message(self, *_words: object) -> None:
        """Log nothing."""
