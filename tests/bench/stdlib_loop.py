"""The floor under every Python server: JSON lines in, one canned answer of 6 kB out.

It knows nothing of MCP but the form of a reply, imports nothing but `json` and `sys`, and encodes
its answer once.
"""

import json
import sys

TEXT = "word " * 1200
CANNED = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "serverInfo": {"name": "loop", "version": "1"},
    "tools": [],
    "content": [{"type": "text", "text": TEXT}],
}
"""The result of every request."""


def main() -> None:
    """Answer every request until the input ends."""
    result = json.dumps(CANNED).encode()
    for line in sys.stdin.buffer:
        number = json.loads(line).get("id")
        if number is not None:
            sys.stdout.buffer.write(b'{"jsonrpc":"2.0","id":%d,"result":%b}\n' % (number, result))
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
