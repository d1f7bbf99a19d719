"""Real MCP clients from npm: their versions, the files they read, and commands that show servers.

None of them needs an account: where a client starts servers for a prompt only, the model that it
asks is a stand-in (`ModelStandIn`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from support.npm import npm_package

KEY = "ctx7sk-0a1b2c3d-4e5f-6789-abcd-ef0123456789"
SECONDS = 120
"""Limit of a client's command on a busy machine."""


@dataclass(frozen=True)
class RealClient:
    """A client at one version, and its ways to show and to start servers.

    `shows` is the command that lists the servers; `connects` is the text by which its output says
    that ours answers, None if the command starts nothing. `asks` is a command that sends a prompt
    to the model, with `environment` beside it, `{url}` being the stand-in's address. `names_tools`
    is the text by which the request to the model names our tools, None if it goes out before the
    servers answer. `config` is the file of servers, and `old` its text with Context7's own entry,
    `rule` the file of the rule.
    """

    name: str
    package: str
    version: str
    program: str
    config: str
    old: str
    shows: Sequence[str] = ("mcp", "list")
    connects: str | None = None
    asks: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    names_tools: str | None = None
    rule: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    """Further files of the user, by path below the home; `{home}` is the home."""

    def command(self) -> list[str]:
        """Return the words that start it; the test is skipped where it cannot be installed."""
        return [str(npm_package(self.package, self.version) / ".bin" / self.program)]


_CODEX_MODEL = (
    'model_providers.stand_in={name="stand-in",base_url="{url}/v1",env_key="MODEL_KEY",'
    'wire_api="responses",request_max_retries=0,stream_max_retries=0}'
)
_NPX = ["-y", "@upstash/context7-mcp", "--api-key", KEY]
_PLAIN = {"command": "npx", "args": _NPX}


def _old(container: str, entry: Mapping[str, Any], **others: object) -> str:
    return json.dumps({**others, container: {"context7": entry}}, indent=2) + "\n"


CLIENTS = {
    each.name: each
    for each in (
        RealClient(
            "claude-code",
            "@anthropic-ai/claude-code",
            "2.1.332",
            "claude",
            ".claude.json",
            _old("mcpServers", {"type": "stdio", **_PLAIN}, theme="dark"),
            connects="Connected",
            asks=("-p", "say hi"),
            environment={
                "ANTHROPIC_BASE_URL": "{url}",
                "ANTHROPIC_API_KEY": "sk-none",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "ENABLE_TOOL_SEARCH": "false",
                "MCP_CONNECTION_NONBLOCKING": "0",
            },
            names_tools="mcp__context7__query-docs",
            rule=".claude/rules/context7.md",
        ),
        RealClient(
            "codex",
            "@openai/codex",
            "0.171.0",
            "codex",
            ".codex/config.toml",
            "# mine\n[mcp_servers.context7]\ncommand = 'npx'  # theirs\n"
            f"args = {json.dumps(_NPX)}\n\n[tui]\nnotifications = true\n",
            shows=("mcp", "list", "--json"),
            asks=(
                "exec",
                "--skip-git-repo-check",
                "--config",
                "mcp_servers.context7.required=true",
                "--config",
                "model_provider=stand_in",
                "--config",
                _CODEX_MODEL,
                "say hi",
            ),
            environment={"MODEL_KEY": "none"},
            names_tools="mcp__context7",
            rule=".codex/AGENTS.md",
        ),
        RealClient(
            "gemini",
            "@google/gemini-cli",
            "0.61.0",
            "gemini",
            ".gemini/settings.json",
            "{\n  // mine\n"
            + _old(
                "mcpServers", _PLAIN, security={"auth": {"selectedType": "gemini-api-key"}}
            ).removeprefix("{\n"),
            connects="Connected",
            asks=("--prompt", "say hi"),
            environment={"GOOGLE_GEMINI_BASE_URL": "{url}", "GEMINI_API_KEY": "none"},
            rule=".gemini/GEMINI.md",
            files={".gemini/trustedFolders.json": '{"{home}": "TRUST_FOLDER"}'},
        ),
        RealClient(
            "qwen",
            "@qwen-code/qwen-code",
            "0.24.4",
            "qwen",
            ".qwen/settings.json",
            "{\n  // mine\n" + _old("mcpServers", _PLAIN).removeprefix("{\n"),
            connects="Connected",
            asks=("--auth-type", "openai", "--prompt", "say hi"),
            environment={
                "OPENAI_BASE_URL": "{url}/v1",
                "OPENAI_API_KEY": "none",
                "OPENAI_MODEL": "stand-in",
            },
            names_tools="mcp__context7__query-docs",
            rule=".qwen/QWEN.md",
        ),
        RealClient(
            "opencode",
            "opencode-ai",
            "1.18.33",
            "opencode",
            ".config/opencode/opencode.json",
            "{\n  // mine\n"
            + _old("mcp", {"type": "local", "command": ["npx", *_NPX]}).removeprefix("{\n"),
            connects="connected",
            asks=("run", "say hi"),
            environment={
                "OPENCODE_CONFIG_CONTENT": json.dumps(
                    {
                        "provider": {
                            "stand-in": {
                                "npm": "@ai-sdk/openai-compatible",
                                "options": {"baseURL": "{url}/v1", "apiKey": "none"},
                                "models": {"stand-in": {}},
                            }
                        },
                        "model": "stand-in/stand-in",
                    }
                )
            },
            names_tools="context7_query-docs",
            rule=".config/opencode/AGENTS.md",
        ),
        RealClient(
            "copilot",
            "@github/copilot",
            "1.0.102",
            "copilot",
            ".copilot/mcp-config.json",
            _old("mcpServers", {"type": "local", **_PLAIN, "tools": ["query-docs"]}),
            shows=("mcp", "get", "context7"),
            asks=("--prompt", "say hi"),
            environment={
                "COPILOT_PROVIDER_BASE_URL": "{url}/v1",
                "COPILOT_MODEL": "gpt-4",
                "COPILOT_OFFLINE": "true",
            },
            names_tools="context7-query-docs",
            rule=".copilot/copilot-instructions.md",
        ),
        RealClient(
            "cline",
            "cline",
            "3.0.65",
            "cline",
            ".cline/data/settings/cline_mcp_settings.json",
            _old("mcpServers", _PLAIN),
            shows=(),
            asks=("--json", "--timeout", "60", "say hi"),
            names_tools="context7__query-docs",
        ),
    )
}
"""Clients by the name that `setup` gives them; packages and versions of 2026-11-30."""


@dataclass
class ModelStandIn:
    """HTTP server in place of a model: it refuses every request, and keeps what was asked."""

    url: str
    requests: list[str] = field(default_factory=list)

    @property
    def asked(self) -> str:
        """All requests, as one text without escapes."""
        return "\n".join(each.replace("\\n", "\n").replace('\\"', '"') for each in self.requests)


@contextmanager
def model_stand_in() -> Iterator[ModelStandIn]:
    """Serve a stand-in for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, {"data": [], "models": []})

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            stand_in.requests.append(self.rfile.read(length).decode("utf-8", "replace"))
            error = {"message": "a stand-in", "type": "invalid_request_error", "code": 400}
            self._answer(400, {"error": {**error, "status": "INVALID_ARGUMENT"}})

        def _answer(self, status: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand_in = ModelStandIn(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_RECORDING = """#!{python}
import subprocess, sys, threading
if len(sys.argv) > 1:
    from context7_fabric.__main__ import main
    sys.exit(main())
log = open({log!r}, "ab", buffering=0)
server = subprocess.Popen(
    [sys.executable, "-m", "context7_fabric"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
)
def pass_on():
    for line in sys.stdin.buffer:
        log.write(b"> " + line)
        server.stdin.write(line)
        server.stdin.flush()
    server.stdin.close()
threading.Thread(target=pass_on, daemon=True).start()
for line in server.stdout:
    log.write(b"< " + line)
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
sys.exit(server.wait())
"""
"""Our program, that writes each line between a client and the server into a log."""


class UserMachine:
    """Home of a user on which clients run, our program in front of the PATH.

    Its `npx` fails, so that an entry for Context7's own server starts nothing.
    """

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.log = folder / "lines.log"
        self.program = folder / "bin" / "context7-fabric"
        self.home.mkdir()
        self.program.parent.mkdir()
        text = _RECORDING.format(python=sys.executable, log=str(self.log))
        for path, content in (
            (self.program, text),
            (self.program.with_name("npx"), "#!/bin/false\n"),
        ):
            path.write_text(content, "utf-8")
            path.chmod(0o755)

    def write(self, files: Mapping[str, str]) -> None:
        """Write files below the home."""
        for name, text in files.items():
            path = self.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("{home}", str(self.home)), "utf-8")

    def run(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the home, without the environment of the tests."""
        path = os.pathsep.join([str(self.program.parent), os.environ["PATH"]])
        return subprocess.run(
            command,
            cwd=self.home,
            env={
                "HOME": str(self.home),
                "PATH": path,
                "LANG": "C.UTF-8",
                "TERM": "dumb",
                "NO_COLOR": "1",
                "CONTEXT7_FABRIC_UPSTREAM": "off",
                "CONTEXT7_FABRIC_MODEL": "off",
                **(environment or {}),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def ours(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of our program."""
        return self.run([str(self.program), *words])

    def calls(self) -> list[str]:
        """Return the methods that clients have called since the last time, and forget them."""
        lines = self.log.read_text("utf-8").splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        sent = (json.loads(line[2:]) for line in lines if line.startswith("> "))
        return [str(each.get("method")) for each in sent if isinstance(each, dict)]
