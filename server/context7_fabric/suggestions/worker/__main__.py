"""Main program of the worker: answer requests from stdin until it ends or the worker is idle.

Started by `process`, never by hand. The worker lives while the other end of stdin is open.
"""

from __future__ import annotations

import argparse
import logging
import os
import select
import sys
import time
from contextlib import closing

from context7_fabric.suggestions.worker.wire import WorkerLines, decode, encode

log = logging.getLogger(__name__)

_CHUNK = 65_536
_UPKEEP = frozenset({"upsert", "delete", "status", "release"})
"""Verbs of synchronisation, which do not count as use."""

# One thread does the work, and no library logs or reports anything by itself.
_ENVIRONMENT = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",
    "LOGURU_AUTOINIT": "0",
    "ORT_DISABLE_TELEMETRY": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
}


def main() -> int:
    """Serve one client; return the exit code."""
    parser = argparse.ArgumentParser(prog="context7_fabric.suggestions.worker")
    parser.add_argument("--idle-seconds", type=float, default=300.0)
    idle = parser.parse_args().idle_seconds
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    incoming, outgoing = _claim()
    try:
        _serve(incoming, outgoing, idle)
    except BrokenPipeError:  # the client has ended
        return 0
    except Exception:
        log.exception("the worker fails")
        return 1
    return 0


def _claim() -> tuple[int, int]:
    """Move the protocol off stdin and stdout, so that a library's print cannot break it."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return incoming, outgoing


def _serve(incoming: int, outgoing: int, idle: float) -> None:
    os.environ.update(_ENVIRONMENT)
    try:
        from context7_fabric.embedding import import_fastembed  # noqa: PLC0415  # reads it
        from context7_fabric.suggestions.worker.requests import WorkerSession  # noqa: PLC0415

        import_fastembed()
    except ImportError as error:
        _refuse(incoming, outgoing, idle, error)
        return

    session, lines = WorkerSession(), WorkerLines()
    deadline = time.monotonic() + idle
    with closing(session), os.fdopen(outgoing, "wb") as replies:
        while data := _read(incoming, deadline):
            for line in lines.feed(data):
                verb, reply = session.answer(line)
                replies.write(reply)
                replies.flush()
                if session.filling or verb not in _UPKEEP:
                    deadline = time.monotonic() + idle
                if session.worn:
                    return


def _refuse(incoming: int, outgoing: int, idle: float, error: ImportError) -> None:
    """Answer each request with the reason why there is no session."""
    reason = f"{error.name or 'a package'} cannot be imported ({error}): reinstall the package"
    lines, deadline = WorkerLines(), time.monotonic() + idle
    with os.fdopen(outgoing, "wb") as replies:
        while data := _read(incoming, deadline):
            for line in lines.feed(data):
                replies.write(encode({"id": decode(line).get("id"), "error": reason}))
                replies.flush()


def _read(incoming: int, deadline: float) -> bytes:
    """Return the data that has arrived, nothing if stdin has ended or the time is over."""
    left = max(0.0, deadline - time.monotonic())
    ready, _, _ = select.select([incoming], [], [], left)
    return os.read(incoming, _CHUNK) if ready else b""


if __name__ == "__main__":
    sys.exit(main())
