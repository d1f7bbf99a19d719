"""`daemon`: how the shared daemons of this home are, and their end."""

from __future__ import annotations

import argparse
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from rich.table import Table

from context7_fabric.cli.output import harmless, plain_console, print_json
from context7_fabric.relay.door import Door, doors
from context7_fabric.relay.hello import STATUS, STOP, hello, identity, resolved

_TAIL = 50


def run(words: list[str]) -> int:
    """Do what the first of `words` says."""
    parser = argparse.ArgumentParser("context7-fabric daemon", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="status|stop|logs|run")
    status = commands.add_parser("status", help="tell which daemons serve this home")
    status.add_argument("--json", action="store_true", help="the same as a JSON list")
    status.set_defaults(do=_status)
    stop = commands.add_parser("stop", help="end them; a window that needs one starts another")
    stop.set_defaults(do=_stop)
    logs = commands.add_parser("logs", help="print what they logged last")
    logs.add_argument("--lines", type=int, default=_TAIL, metavar="N", help=f"{_TAIL} if not given")
    logs.set_defaults(do=_logs)
    serve = commands.add_parser("run", help="be a daemon (windows start theirs by themselves)")
    serve.add_argument("--listener", type=int, metavar="FD", help=argparse.SUPPRESS)
    serve.set_defaults(do=_run)
    options = parser.parse_args(words)
    return int(options.do(options))


def told(wish: str) -> Iterator[tuple[dict[str, Any], socket.socket]]:
    """Say `wish` to every daemon of this home; yield what each says of itself."""
    environ = _environ()
    said = hello(wish, environ, "/", None)
    for door in doors(environ["CONTEXT7_FABRIC_HOME"]):
        try:
            connection = door.connect()
        except OSError:
            continue
        with connection:
            connection.sendall(said)
            with connection.makefile("rb") as lines:
                line = lines.readline()
            if line:
                yield json.loads(line), connection


def _environ() -> dict[str, str]:
    return resolved(os.environ, str(Path.cwd()))


def _status(options: argparse.Namespace) -> int:
    found = [status for status, _connection in told(STATUS)]
    if options.json:
        print_json(found)
        return 0
    if not found:
        print("No daemon runs; the next window starts one.")
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("pid", "version", "up", "windows", "upstreams", "memory", "log"):
        table.add_column(column, no_wrap=True)
    for each in found:
        table.add_row(*map(harmless, _row(each)))
    plain_console().print(table)
    return 0


def _row(status: dict[str, Any]) -> tuple[str, ...]:
    up = max(0, int(time.time() - status["since"]))
    return (
        str(status["pid"]),
        status["version"],
        f"{up // 3600}:{up // 60 % 60:02}:{up % 60:02}",
        str(status["windows"]),
        str(status["apps"]),
        f"{status['memory'] / 2**20:.0f} MiB",
        status["log"],
    )


def _stop(_options: argparse.Namespace) -> int:
    ended = 0
    for status, connection in told(STOP):
        _until_closed(connection)
        print(f"The daemon {status['pid']} has ended.")
        ended += 1
    if not ended:
        print("No daemon runs.")
    return 0


def _until_closed(connection: socket.socket) -> None:
    """Wait until the daemon is gone."""
    with suppress(OSError):
        while connection.recv(1):
            pass


def _logs(options: argparse.Namespace) -> int:
    environ = _environ()
    for door in doors(environ["CONTEXT7_FABRIC_HOME"]):
        path = Path(door.log)
        if path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            print(f"== {path}")
            print(harmless("\n".join(lines[-options.lines :])))
    return 0


def _run(options: argparse.Namespace) -> NoReturn:
    from context7_fabric.cli.daemon_run import run_daemon

    environ = _environ()
    door = Door.of(environ["CONTEXT7_FABRIC_HOME"], identity(environ))
    run_daemon(door, environ, options.listener)
