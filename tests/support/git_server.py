"""A git server over HTTPS on loopback: git's own HTTP backend, and the repositories that it serves.

It speaks the smart protocol as forges do, with partial clones. Requests can be answered by a test
instead, by a redirect or a slow or endless body.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

from support.site import QuietServer, running, with_tls

AUTHOR = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "PATH": os.environ["PATH"],
}
"""Environment of git commands of tests: without the user's configuration."""

_CONFIG = {
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
    "safe.directory": "*",
}
_HEADERS = {
    "CONTENT_TYPE": "Content-Type",
    "CONTENT_LENGTH": "Content-Length",
    "HTTP_CONTENT_ENCODING": "Content-Encoding",
    "GIT_PROTOCOL": "Git-Protocol",
}

Answer = Callable[[BaseHTTPRequestHandler], bool]
"""Answers a request in place of git; False leaves it to git."""


@dataclass
class GitServer:
    """A running server: its address, the authority to trust, the folder of its repositories."""

    url: str
    authority: Path
    root: Path
    filters: bool = True
    answer: Answer = lambda _request: False
    requests: list[str] = field(default_factory=list)

    def repository(self, name: str, files: dict[str, str], *tags: str) -> Path:
        """Make a repository of one commit, with tags."""
        path = self.root / name
        path.mkdir(parents=True)
        git(path, "init", "--quiet", "--initial-branch=main")
        self.commit(path, files, *tags)
        return path

    def commit(self, path: Path, files: dict[str, str], *tags: str) -> str:
        """Commit files to a repository, with tags, the last of them annotated."""
        for name, text in files.items():
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        git(path, "add", "--all")
        git(path, "commit", "--quiet", "--allow-empty", "--message=x")
        for tag in tags[:-1]:
            git(path, "tag", tag)
        if tags:
            git(path, "tag", "--annotate", "--message=x", tags[-1])
        return git(path, "rev-parse", "HEAD")


def git(path: Path, *arguments: str, given: str = "") -> str:
    """Run git in a folder on what is given, and return what it prints."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=path,
        env=AUTHOR,
        input=given.encode(),
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


@contextmanager
def git_server(folder: Path, host: str = "localhost") -> Iterator[GitServer]:
    """Serve the repositories below `folder` for the length of the block."""
    root = folder / "repositories"
    root.mkdir()
    server = _Server(("127.0.0.1", 0), _Handler)
    url = f"https://{host}:{server.server_port}"
    server.facts = GitServer(url, with_tls(server, folder, host), root)
    with running(server):
        yield server.facts


class _Server(QuietServer):
    facts: GitServer


class _Handler(BaseHTTPRequestHandler):
    server: _Server  # type: ignore[mutable-override]  # there is no other
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_words: object) -> None:
        """Log nothing."""

    def _serve(self) -> None:
        facts = self.server.facts
        facts.requests.append(self.path)
        if not facts.answer(self):
            done = subprocess.run(
                ["git", "http-backend"],
                input=self._body(),
                env=self._environment(facts),
                capture_output=True,
                check=False,
            )
            self._reply(done.stdout)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _environment(self, facts: GitServer) -> dict[str, str]:
        parts = urlsplit(self.path)
        config = {**_CONFIG, "uploadpack.allowFilter": str(facts.filters).lower()}
        numbered = {
            f"GIT_CONFIG_{kind}_{at}": text
            for at, pair in enumerate(config.items())
            for kind, text in zip(("KEY", "VALUE"), pair, strict=True)
        }
        given = {name: self.headers[header] for name, header in _HEADERS.items()}
        return {
            **AUTHOR,
            **numbered,
            **{name: text for name, text in given.items() if text},
            "GIT_CONFIG_COUNT": str(len(config)),
            "GIT_PROJECT_ROOT": str(facts.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "REQUEST_METHOD": self.command,
            "REMOTE_ADDR": "127.0.0.1",
        }

    def _reply(self, printed: bytes) -> None:
        head, _, body = printed.partition(b"\r\n\r\n")
        headers = dict(re.findall(r"(?m)^(\S+): (.*?)\r?$", head.decode()))
        with suppress(OSError):
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, text in headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
