"""`daemon`: how the shared daemons of this home are, what they logged, and their end."""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from context7_fabric.cli.output import harmless, print_json, print_table
from context7_fabric.cli.text import CommandParser, print_error, print_text
from context7_fabric.daemon.logs import added, logs_in
from context7_fabric.daemon.status import (
    DaemonProbe,
    DaemonStatus,
    ends,
    folder_trouble,
    home_of_daemons,
    visits,
)
from context7_fabric.durations import format_duration
from context7_fabric.process import imported
from context7_fabric.relay.endpoint import FOLDER, Endpoint
from context7_fabric.relay.handshake import STATUS, STOP, identity, resolved, working_directory

END_SECONDS = 5.0
"""How long a daemon may take to end."""

_READ_EVERY = 0.25
_TAIL = 50
_ABOUT = """One daemon serves all windows (editors, agents) of a user on one home. The first window
starts it, and it ends after ten minutes without one (CONTEXT7_FABRIC_DAEMON_IDLE).
CONTEXT7_FABRIC_DAEMON=off lets each window serve itself."""


def run(words: list[str]) -> int:
    """Do what the first of `words` says."""
    options = _parser().parse_args(words)
    return int(options.do(options))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("context7-fabric daemon", description=_ABOUT)
    named = parser.add_subparsers(required=True, metavar="status|stop|logs|run")
    add = partial(_add, named)
    status = add("status", _status, "tell which daemons serve this home, and how they are")
    status.add_argument("--json", action="store_true", help="the same as a JSON list")
    add("stop", _stop, "end them; a window that is open, or the next, starts another")
    logs = add("logs", _logs, "print what they logged last, also those that are gone")
    wanted = f"how many lines of each log (default {_TAIL})"
    logs.add_argument("--lines", "-n", type=_count, default=_TAIL, metavar="N", help=wanted)
    on = "go on with what is logged from now on, until Ctrl-C"
    logs.add_argument("--follow", "-f", action="store_true", help=on)
    serve = add("run", _run, "be a daemon in the foreground (windows start theirs by themselves)")
    serve.add_argument("--listener", type=int, metavar="FD", help=argparse.SUPPRESS)
    return parser


def _add(named: Any, name: str, do: Any, told: str) -> argparse.ArgumentParser:  # noqa: ANN401  # argparse's subparsers have no public type
    parser: argparse.ArgumentParser = named.add_parser(
        name, help=told, description=f"{told[0].upper()}{told[1:]}."
    )
    parser.set_defaults(do=do)
    return parser


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text)):  # noqa: PLR2004  # signs
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _status(options: argparse.Namespace) -> int:
    home = home_of_daemons()
    found, trouble = list(visits(home, STATUS)), folder_trouble(home)
    if options.json:
        print_json([_as_object(visit) for visit in found])
    elif found:
        _show(found)
    elif trouble is None:
        print_text("No daemon runs; the next window starts one.")
    if trouble is not None:
        print_error(f"{trouble}: each window serves itself")
    return _told_troubles(found) or int(trouble is not None)


def _as_object(visit: DaemonProbe) -> dict[str, Any]:
    """Return `visit` as JSON tells it: the figures are not there where there is a trouble."""
    figures = {} if visit.status is None else asdict(visit.status)
    return {**figures, "log": visit.log, "trouble": visit.trouble}


def _show(found: list[DaemonProbe]) -> None:
    told = [(visit.log, visit.status) for visit in found if visit.status is not None]
    if not told:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("pid", "version", "up", "windows", "upstreams", "memory"):
        table.add_column(column, no_wrap=True)
    for _log, status in told:
        table.add_row(*map(harmless, _row(status)))
    print_table(table)
    # Not in the table, where a path might be cut.
    for log, status in told:
        print_text(f"log of {status.pid}: {log}")


def _row(status: DaemonStatus) -> tuple[str, ...]:
    return (
        str(status.pid),
        status.version,
        format_duration(max(0.0, time.time() - status.since)),
        str(status.windows),
        str(status.apps),
        f"{status.memory / 2**20:.0f} MiB" if status.memory else "-",
    )


def _stop(_options: argparse.Namespace) -> int:
    found = list(visits(home_of_daemons(), STOP))
    left = 0
    for status in (visit.status for visit in found if visit.status is not None):
        if ends(status.pid, END_SECONDS):
            print_text(f"The daemon {status.pid} has ended.")
        else:
            left += 1
            print_error(f"the daemon {status.pid} was told to end and still runs")
    if not found:
        print_text("No daemon runs.")
    return _told_troubles(found) or min(left, 1)


def _logs(options: argparse.Namespace) -> int:
    folder = Path(home_of_daemons(), FOLDER)
    logs, shown = logs_in(folder), _Shown()
    for log in logs:
        for line in log.last_lines(options.lines):
            shown.line(log.path, line)
    if not logs:
        print_error(f"there is no log in {folder}: no daemon has run")
    if options.follow:
        # Looking costs nothing that anybody notices, and works on every platform and file system.
        for path, line in added(folder, logs, partial(time.sleep, _READ_EVERY)):
            shown.line(path, line)
    return 0


class _Shown:
    """What was printed of several logs: whose line came last."""

    def __init__(self) -> None:
        self._last: Path | None = None

    def line(self, log: Path, line: str) -> None:
        if log != self._last:
            print_text(f"==> {log} <==")
            self._last = log
        print_text(line)


def _run(options: argparse.Namespace) -> int:
    environ = resolved(os.environ, working_directory())
    door = Endpoint.of(environ["CONTEXT7_FABRIC_HOME"], identity(environ))
    imported("context7_fabric.daemon.run").run_daemon(door, environ, options.listener)
    return 0


def _told_troubles(found: list[DaemonProbe]) -> int:
    """Tell what was wrong at each door; return the exit code that follows."""
    troubles = [visit for visit in found if visit.trouble is not None]
    for visit in troubles:
        print_error(f"a daemon {visit.trouble}; its log is {visit.log}")
    return 1 if troubles else 0
