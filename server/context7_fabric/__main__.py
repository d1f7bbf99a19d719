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
    try:
        return _run(sys.argv[1:])
    except KeyboardInterrupt:
        os._exit(130)  # a thread that is still at work would keep the process


def _run(words: list[str]) -> int:
    from context7_fabric.relay.usage import asks_to_serve, note_usage  # noqa: PLC0415  # as below

    _open_standard_files()
    if sys.platform == "win32":  # there are no forks there
        note_usage(words, os.environ, on_stdio=False)
    else:
        from context7_fabric.relay.client import asks_for_stdio, serve  # noqa: PLC0415  # as above

        on_stdio = asks_to_serve(words) and asks_for_stdio(words)
        note_usage(words, os.environ, on_stdio=on_stdio)
        serve(words, os.environ, _here)
    from context7_fabric.cli.main import run_to_the_end  # noqa: PLC0415  # takes its time

    return run_to_the_end(words)


def _open_standard_files() -> None:
    """Put the null device where standard input, output or error is closed.

    Otherwise the next file or socket that is opened takes its number.
    """
    opened = os.open(os.devnull, os.O_RDWR)
    while opened <= 2:  # noqa: PLR2004  # the number of standard error
        os.set_inheritable(opened, True)  # noqa: FBT003  # its only parameter
        opened = os.open(os.devnull, os.O_RDWR)
    os.close(opened)


def _here(connection: socket.socket, environ: dict[str, str], api_key: str | None) -> None:
    """Serve a window in this process."""
    from context7_fabric.cli.serve import serve_here  # noqa: PLC0415  # takes its time

    serve_here(connection, environ, api_key)


if __name__ == "__main__":
    sys.exit(main())
