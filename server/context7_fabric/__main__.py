"""The command `context7-fabric`: a window of the daemon if it may be, else whatever is asked for.

Until it is known which, nothing is imported that takes time.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket


def main() -> int:
    """Run the command line; return the exit code."""
    words = sys.argv[1:]
    if sys.platform != "win32":
        from context7_fabric.relay.window import serve  # noqa: PLC0415  # there are no forks there

        serve(words, os.environ, _here)
    from context7_fabric.cli.main import main as command  # noqa: PLC0415  # takes its time

    return command(words)


def _here(connection: socket.socket, environ: dict[str, str], api_key: str | None) -> None:
    """Serve a window in this process."""
    from context7_fabric.cli.serve import serve_here  # noqa: PLC0415  # takes its time

    serve_here(connection, environ, api_key)


if __name__ == "__main__":
    sys.exit(main())
