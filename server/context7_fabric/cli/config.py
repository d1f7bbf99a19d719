"""`config CLIENT`: print what to put into a client's configuration."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from context7_fabric.cli.parser import CommandParser

SERVER_NAME = "context7"
"""Upstream's own name in these files, so that prompts and allow-lists keep working."""

_CLIENTS = {
    "claude-code": ("mcpServers", ".mcp.json in the project (or run: claude mcp add-json)"),
    "cursor": ("mcpServers", "~/.cursor/mcp.json, or .cursor/mcp.json in the project"),
    "vscode": ("servers", ".vscode/mcp.json in the project"),
}


def run(words: list[str]) -> int:
    """Print the snippet on stdout, and on stderr where it belongs."""
    parser = CommandParser(
        "context7-fabric config", description="Print the configuration snippet for a client."
    )
    parser.add_argument("client", choices=sorted(_CLIENTS))
    section, place = _CLIENTS[parser.parse_args(words).client]
    server = {"type": "stdio", "command": _command(), "args": []}
    print(json.dumps({section: {SERVER_NAME: server}}, indent=2))
    print(f"Put this into {place}, in place of the present context7 entry.", file=sys.stderr)
    return 0


def _command() -> str:
    """Return this program's full path: editors do not share the shell's PATH."""
    started = Path(sys.argv[0])
    if started.name.startswith("context7-fabric") and started.is_file():
        return str(started.absolute())
    return shutil.which("context7-fabric") or "context7-fabric"
