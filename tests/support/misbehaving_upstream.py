"""A small MCP server on stdio that misbehaves as its options say; it needs no package.

    python misbehaving_upstream.py FOLDER [--die TIMES] [--wait] [--reply JSON]
        [--exchange TEXT HEX]

Each start and each call leaves a line in FOLDER/log. `--die`: it ends at a call, so many times over
all starts. `--wait`: it does nothing before FOLDER/gate, a FIFO, has been opened for writing.
`--reply`: the result of each call. `--exchange`: bytes in the place of a text in what it writes.
"""

import argparse
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

SNIPPET = "### A widget\n\nSource: https://example.test/widgets\n\nHow widgets work.\n"


def command(folder: Path, *options: str) -> str:
    """Return the command line that starts this server, with what it is to do."""
    return shlex.join([sys.executable, "-S", "-E", __file__, str(folder), *options])


def log(folder: Path) -> list[str]:
    """Return what the server has noted so far: `start` and `call`."""
    path = folder / "log"
    return path.read_text().split() if path.exists() else []


def main() -> None:
    options = _options()
    _note(options.folder, "start")
    if options.wait:
        (options.folder / "gate").read_bytes()
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            _answer(message, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--die", type=int, default=0)
    parser.add_argument("--wait", action="store_true")
    parser.add_argument("--reply", default=None)
    parser.add_argument("--exchange", nargs=2, default=("", ""))
    return parser.parse_args()


def _answer(message: dict[str, Any], options: argparse.Namespace) -> None:
    method, reply = message["method"], {}
    if method == "tools/call":
        _note(options.folder, "call")
        if log(options.folder).count("start") <= options.die:
            os._exit(1)
    result = _result(method, options.reply)
    if result is None:
        reply = {"error": {"code": -32601, "message": "Method not found"}}
    else:
        reply = {"result": result}
    written = json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}).encode() + b"\n"
    old, new = options.exchange
    sys.stdout.buffer.write(written.replace(old.encode(), bytes.fromhex(new)) if old else written)
    sys.stdout.buffer.flush()


def _result(method: str, reply: str | None) -> dict[str, Any] | None:
    if method == "initialize":
        named = {"name": "small", "version": "1"}
        offered = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
        return {**offered, "serverInfo": named}
    if method == "tools/list":
        names = ("resolve-library-id", "query-docs")
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]}
    if method == "tools/call":
        text = {"content": [{"type": "text", "text": SNIPPET}]}
        return text if reply is None else json.loads(reply)
    return None


def _note(folder: Path, what: str) -> None:
    with (folder / "log").open("a") as notes:
        notes.write(f"{what}\n")


if __name__ == "__main__":
    main()
