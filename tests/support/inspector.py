"""The MCP Inspector's command line, run as a user runs it."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.npm import npm_package
from support.product import Variables
from support.upstreams import clean_environment

INSPECTOR = ("@modelcontextprotocol/inspector", "2.12.0")
SECONDS = 50


def inspector_program() -> str:
    """The Inspector's program; skips the test at hand where it cannot be had."""
    return str(npm_package(*INSPECTOR) / ".bin" / "mcp-inspector")


def options(home: Path, variables: Variables) -> list[str]:
    """Return the Inspector's options for the settings of a server on stdio.

    It has no model, and a daemon of its own that ends soon after the last call.
    """
    own = {
        "CONTEXT7_FABRIC_HOME": str(home),
        "CONTEXT7_FABRIC_MODEL": "off",
        "CONTEXT7_FABRIC_DAEMON_IDLE": "10s",
    }
    given = {**own, **variables}
    return [word for name, value in given.items() for word in ("-e", f"{name}={value}")]


def inspect(
    inspector: str, home: Path, target: Sequence[str], method: str, *words: str
) -> dict[str, Any]:
    """Call a method of the server at `target` (options, a command or a URL)."""
    done = subprocess.run(
        [inspector, "--cli", *target, "--method", method, *words],
        env=clean_environment({"HOME": str(home)}),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result
