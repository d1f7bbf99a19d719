"""`McpUpstream` on stdio, as a command: its replies with one text in them exchanged for bytes.

Its arguments are the text, and the bytes in hexadecimal.
"""

import json
import shlex
import sys
from pathlib import Path

from support.mcp_upstream import McpUpstream

TESTS = Path(__file__).parents[1]


def stdio_upstream(text: str, written: bytes) -> str:
    """The command line that starts it."""
    words = ["env", f"PYTHONPATH={TESTS}", sys.executable, "-m", "support.stdio_upstream"]
    return shlex.join([*words, text, written.hex()])


def main(text: str, written: str) -> None:
    """Answer each request that comes on stdin."""
    upstream = McpUpstream()
    upstream.written = lambda body: body.replace(text.encode(), bytes.fromhex(written))
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "id" in message:
            sys.stdout.buffer.write(upstream.answer(message) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
