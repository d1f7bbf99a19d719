"""`config CLIENT`: print the entry for a client's configuration file."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from context7_fabric.cli.text import CommandParser, print_note
from context7_fabric.privacy.redaction import redact
from context7_fabric.relay.handshake import resolved, working_directory
from context7_fabric.variables import PREFIX, VARIABLES

SERVER_NAME = "context7"
"""Upstream's own name in these files, so that prompts and allow-lists keep working."""

_PROGRAM = "context7-fabric"
_CLAUDE = "claude-code"
_CLIENTS: Final[Mapping[str, tuple[str, str, str]]] = {
    _CLAUDE: ("mcpServers", ".mcp.json in the project", "${%s:-}"),
    "cursor": (
        "mcpServers",
        "~/.cursor/mcp.json, or .cursor/mcp.json in the project",
        "${env:%s}",
    ),
    "vscode": ("servers", ".vscode/mcp.json in the project", "${env:%s}"),
}
"""Section of the file, the file, and form of a reference to a variable, by client."""

_COPIED: Final = ("CONTEXT7_API_URL", *(PREFIX + name for name in VARIABLES))
_SECRET: Final = (
    "CONTEXT7_API_KEY",
    *(PREFIX + name for name, (kind, *_) in VARIABLES.items() if kind == "secret"),
)
_WITH_KEYS: Final = (
    "CONTEXT7_API_URL",
    *(PREFIX + name for name, (kind, *_) in VARIABLES.items() if kind == "address"),
)
_REDACTED: Final = re.compile(r"\[(?:api-key|bearer-token|jwt|password|private-key)\]")
_UV_CACHE: Final = ("archive-v", "environments-v", "builds-v")
"""Prefixes of the folders in uv's cache for environments of a single run."""


def run(words: list[str]) -> int:
    """Print the entry on stdout, and the file for it on stderr."""
    parser = CommandParser(
        "context7-fabric config", description="Print the configuration entry for a client."
    )
    parser.add_argument("client", choices=sorted(_CLIENTS))
    client = parser.parse_args(words).client
    section, place, reference = _CLIENTS[client]
    copied, secret = _variables(os.environ)
    environment = copied | {name: reference % name for name in secret}
    command, *args = _command()
    server: dict[str, object] = {"type": "stdio", "command": command, "args": args}
    server |= {"env": environment} if environment else {}
    print(json.dumps({section: {SERVER_NAME: server}}, indent=2))
    print_note(f"Put this into {place}, in place of the present context7 entry.")
    if client == _CLAUDE:
        entry = shlex.quote(json.dumps(server))
        print(f"Or run: claude mcp add-json {SERVER_NAME} {entry}", file=sys.stderr)
    _note_variables(copied, secret)
    return 0


def _note_variables(copied: Mapping[str, str], secret: list[str]) -> None:
    if copied:
        print_note(f"From this shell it has {', '.join(copied)}.")
    if secret:
        print_note(
            f"{', '.join(secret)}: a secret is not printed. The entry refers to the variable,"
            " so set it where the client starts, or put the value in its place."
        )


def _variables(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the variables of a shell that are copied, and the names of the secret ones."""
    clear = resolved(environ, working_directory())
    copied = {name: clear[name] for name in _COPIED if environ.get(name, "").strip()}
    secret = [name for name in _SECRET if environ.get(name, "").strip()]
    secret += [name for name in copied if name not in secret and _is_secret(name, copied[name])]
    return {name: text for name, text in copied.items() if name not in secret}, secret


def _is_secret(name: str, value: str) -> bool:
    """Tell whether a URL or a command line holds a key."""
    if name not in _WITH_KEYS:
        return False
    try:
        parts = [urlsplit(word) for word in value.split()]
    except ValueError:
        return True
    in_url = any("@" in each.netloc or each.query for each in parts)
    return in_url or "key" in value.lower() or bool(_REDACTED.search(redact(value)))


def _command() -> list[str]:
    """Return the command line of this program; it survives a temporary environment."""
    return _by_runner(Path(sys.prefix)) or [_path()]


def _path() -> str:
    """Return this program's full path, as editors do not share the shell's PATH."""
    started = Path(sys.argv[0])
    if started.name.startswith(_PROGRAM) and started.is_file():
        return os.path.join(working_directory(), started)  # noqa: PTH118  # the folder may be deleted
    return shutil.which(_PROGRAM) or _PROGRAM


def _by_runner(prefix: Path) -> list[str] | None:
    """Return the command line of the runner whose cache holds the environment `prefix`."""
    if any(part.startswith(_UV_CACHE) for part in prefix.parts):
        return [_full("uvx"), "--from", _source(), _PROGRAM]
    if {"pipx", ".cache"} <= set(prefix.parts):
        return [_full("pipx"), "run", "--spec", _source(), _PROGRAM]
    return None


def _full(program: str) -> str:
    """Return the full path of a runner on the PATH, or beside the uv that started this one."""
    beside = Path(os.environ.get("UV", "")).with_name(program) if os.environ.get("UV") else None
    found = shutil.which(program) or (str(beside) if beside and beside.is_file() else None)
    return found or program


def _source() -> str:
    """Return the source of this installation in the form of installers."""
    try:
        return source_in(distribution(_PROGRAM).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        return _PROGRAM


def source_in(direct_url: str) -> str:
    """Return the source in the `direct_url.json` of an installed package. Pure."""
    record = json.loads(direct_url)
    url, version_control = str(record.get("url", "")), record.get("vcs_info")
    if version_control:
        revision = version_control.get("requested_revision")
        return f"{version_control['vcs']}+{url}" + (f"@{revision}" if revision else "")
    return unquote(urlsplit(url).path) if url.startswith("file:") else url or _PROGRAM
