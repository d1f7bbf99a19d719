"""Entry point of `context7-fabric`: a relay to the daemon if possible, else the command itself.

Nothing that takes time is imported before this is decided.
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
        os._exit(130)  # a working thread would keep the process alive


def _run(words: list[str]) -> int:
    from context7_fabric.relay.usage import asks_to_serve, note_usage  # noqa: PLC0415  # as below

    _open_standard_files()
    if sys.platform == "win32":  # no fork there
        note_usage(words, os.environ, on_stdio=False)
    else:
        from context7_fabric.relay.client import asks_for_stdio, serve  # noqa: PLC0415  # as above

        on_stdio = asks_to_serve(words) and asks_for_stdio(words)
        note_usage(words, os.environ, on_stdio=on_stdio)
        serve(words, os.environ, _here)
    from context7_fabric.cli.main import run_to_the_end  # noqa: PLC0415  # slow to import

    return run_to_the_end(words)


def _open_standard_files() -> None:
    """Open the null device in place of a closed standard stream.

    Otherwise the next file or socket would get its number.
    """
    opened = os.open(os.devnull, os.O_RDWR)
    while opened <= 2:  # noqa: PLR2004  # the number of standard error
        os.set_inheritable(opened, True)  # noqa: FBT003  # its only parameter
        opened = os.open(os.devnull, os.O_RDWR)
    os.close(opened)


def _here(connection: socket.socket, environ: dict[str, str], api_key: str | None) -> None:
    """Serve one client in this process."""
    from context7_fabric.cli.serve import serve_here  # noqa: PLC0415  # slow to import

    serve_here(connection, environ, api_key)


if __name__ == "__main__":
    sys.exit(main())
